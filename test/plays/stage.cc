#include "stage.h"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "config/policy_config.h"

namespace sallyport::plays {
namespace {

constexpr const char* kCompany = R"(
[[domain]]
name = "example.com"
servers = ["10.0.0.20:5269"]
[[chat_node]]
alias = "chatroom1.example.com"
node = "conference-2.corp.example"
servers = ["10.0.0.20:5269"]
)";

xmpp::Domain domain(const std::string& name) { return *xmpp::Domain::parse(name); }
dns::SocketAddress at(const std::string& ip, std::uint16_t port = 5269) {
  return {*dns::Ip::parse(ip), port};
}
route::HostPort host(const std::string& text) { return *route::HostPort::parse(text); }

// The text between two marks; empty when one is absent.
std::string between(std::string_view text, std::string_view from, std::string_view to) {
  const auto begin = text.find(from);
  if (begin == text.npos) return {};
  const auto end = text.find(to, begin + from.size());
  return end == text.npos ? "" : std::string(text.substr(begin + from.size(), end - begin - from.size()));
}

}  // namespace

Stage::Stage() : core_config_{.name = domain("core.corp.example")} {
  core_config_.edges.push_back(
      {.name = domain("vcse.example.com"), .address = host("203.0.113.1:7400"), .pins = {}});
  core_config_.internal_names = {*policy::DomainPattern::parse("corp.example"),
                                 *policy::DomainPattern::parse("*.corp.example")};
  core_config_.server_ca = "servers-ca.crt";
  build();
}

Stage::~Stage() = default;

void Stage::build() {
  network_.set_shape(5ms, 0ms, 32 * 1024);
  sim::Node core{.name = "core", .addresses = {at("10.0.0.5")}, .trusts = {"corp"}, .is_core = true};
  core.certificate = [](const std::string& name) { return sim::Certificate{{name}, "minted"}; };
  core_node_ = network_.add(std::move(core));
  edge_node_ = network_.add({.name = "edge",
                             .addresses = {at("203.0.113.1"), at("203.0.113.1", 7400)},
                             .trusts = {"public"},
                             .is_edge = true});
  network_.set_edges({edge_node_});
  for (const char* served : {"example.com", "chatroom1.example.com"})
    network_.set_name(served, {at("203.0.113.1")});
  add_server({.name = "internal",
              .domains = {domain("example.com"), domain("conference-2.corp.example")},
              .next_hop = host("10.0.0.5:5269")},
             "corp", "10.0.0.20");
  std::string address = "198.51.100.1";
  for (const char* name : {"partner.example", "other.example", "stranger.example"}) {
    add_server({.name = name, .domains = {domain(name)}}, "public", address);
    ++address.back();
  }
  add_server({.name = "old.example",
              .domains = {domain("old.example")},
              .authenticate = policy::Authenticate::kDialback,
              .use_external = false},
             "itself", "198.51.100.8");
}

void Stage::add_server(sim::ServerConfig config, const std::string& issuer, const std::string& address) {
  config.asks = false;
  std::vector<std::string> names;
  for (const auto& each : config.domains) names.push_back(each.ascii());
  const bool internal = config.next_hop.has_value();
  sim::Node node{.name = config.name, .addresses = {at(address)}};
  node.trusts = {internal ? "minted" : "public"};
  node.certificate = [names, issuer](const std::string& name) -> std::optional<sim::Certificate> {
    if (std::ranges::find(names, name) == names.end()) return std::nullopt;
    return sim::Certificate{names, issuer};
  };
  if (!internal)
    for (const auto& name : names) network_.set_name(name, {at(address)});
  sim::Users& users = *this;
  LogSink& sink = *this;
  auto running = std::make_shared<Running>();
  running->server = std::make_unique<sim::Server>(std::move(config), users, chance_, sink);
  running->node = network_.add(std::move(node));
  network_.start(running->node, *running->server);
  for (const auto& name : names) servers_[name] = running;
}

void Stage::installs_certificate(const std::string& name) {
  replaced_.push_back(servers_.at(name));
  network_.kill(servers_.at(name)->node);
  add_server({.name = name, .domains = {domain(name)}}, "public", "198.51.100.9");
}

// --- the administrator, and the nodes

std::shared_ptr<const config::PreparedPolicy> Stage::prepared() {
  auto loaded = config::parse_policy(policy_text_, "policy.toml", core_config_);
  EXPECT_TRUE(loaded.value) << (loaded.errors.empty() ? "" : loaded.errors.front().shown());
  config::PolicyUpdate update;
  update.policy = *std::move(loaded.value);
  update.generation = ++generation_;
  for (const char* served : {"example.com", "chatroom1.example.com"}) {
    update.certificates.emplace_back().names = {served};
    update.certificates.back().key = "key";
  }
  return config::PreparedPolicy::make(core_config_, std::move(update));
}

void Stage::policy(const std::string& rows) {
  policy_text_ = "[federation]\nenabled = true\n" + rows + kCompany;
  if (!core_) {
    edge_starts();
    LogSink& sink = *this;
    core_ = std::make_unique<gate::Core>(
        gate::CoreSetup{core_config_, prepared(), "the dialback secret", "1", "core"}, chance_, sink,
        schedule_.both());
    network_.start(core_node_, *core_);
  } else {
    core_->apply(prepared(), schedule_.both());
    network_.touch(core_node_);
  }
  passes(2s);
}

void Stage::edge_starts() {
  config::EdgeConfig config{.name = domain("vcse.example.com")};
  config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
  LogSink& sink = *this;
  const std::string instance = "edge-" + std::to_string(++edge_starts_);
  edge_ = std::make_unique<gate::Edge>(gate::EdgeSetup{std::move(config), "1", instance}, chance_, sink,
                                       schedule_.both());
  network_.start(edge_node_, *edge_);
}

void Stage::edge_dies() {
  network_.kill(edge_node_);
  edge_.reset();
}

void Stage::passes(Duration time) { schedule_.run_until(schedule_.now() + time); }

// --- users

void Stage::send(xmpp::StanzaKind kind, const std::string& from, const std::string& to,
                 const std::string& type, const std::string& inner) {
  const auto sender = *xmpp::Jid::parse(from), recipient = *xmpp::Jid::parse(to);
  const std::string id = "p" + std::to_string(++last_id_);
  const std::string name(xmpp::kind_name(kind));
  std::string xml = "<" + name + " from='" + from + "' to='" + to + "' id='" + id + "'";
  if (!type.empty()) xml += " type='" + type + "'";
  xml += ">" + inner + "</" + name + ">";
  Running& at = *servers_.at(sender.domain().ascii());
  at.server->send({sender.domain(), recipient.domain()},
                  {kind, sender, recipient, id, type, {}, std::move(xml)}, schedule_.both());
  network_.touch(at.node);
}

void Stage::says(const std::string& from, const std::string& to, const std::string& body) {
  send(xmpp::StanzaKind::kMessage, from, to, "chat", "<body>" + body + "</body>");
}

void Stage::joins(const std::string& from, const std::string& room_and_nick) {
  send(xmpp::StanzaKind::kPresence, from, room_and_nick, "", "<x xmlns='http://jabber.org/protocol/muc'/>");
}

Lines Stage::heard(const std::string& user) {
  passes(3s);
  return std::exchange(heard_[user], {});
}

void Stage::arrived(const sim::ServerConfig&, const xmpp::Pair&, const xmpp::Stanza& stanza) {
  const std::string from = stanza.from().text();
  const std::string user = stanza.to().text().substr(0, stanza.to().text().find('/'));
  if (stanza.is_error()) {
    const std::string error = between(stanza.xml(), "<error", "</error>");
    heard_[user].push_back(from + " refuses: " + between(error, "><", " "));
  } else if (stanza.kind() == xmpp::StanzaKind::kPresence) {
    heard_[user].push_back(from + " joins as " + stanza.to().text());
  } else {
    heard_[user].push_back(from + ": " + between(stanza.xml(), "<body>", "</body>"));
  }
}

void Stage::failed(const sim::ServerConfig& at, const xmpp::Stanza& stanza, const Error&) {
  heard_[stanza.from().text()].push_back(at.name + " could not send");
}

// --- what is seen

void Stage::dialled(const sim::Node& by, const gate::DialPlan& plan) {
  if (by.is_edge && plan.dns) looked_for_.push_back(plan.dns->ascii());
}

void Stage::log(LogEvent event) {
  if (event.name != "pair.proved") return;
  std::map<std::string, std::string> fields(event.fields.begin(), event.fields.end());
  if (fields["face"] == "world")
    proofs_.push_back(fields["direction"] + " " + fields["remote"] + " " + fields["method"]);
}

std::string Stage::unsettled() {
  const auto status = boost::json::parse(core_->control(R"({"ask":"status"})", schedule_.both()));
  return boost::json::serialize(status.at("waiting"));
}

}  // namespace sallyport::plays
