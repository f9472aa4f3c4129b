#include "world.h"

#include <iostream>

#include <fmt/format.h>

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* kAlias = "chatroom1.example.com";
constexpr const char* kNode = "conference-2.corp.example";

Domain name(const std::string& text) { return *Domain::parse(text); }
SocketAddress at(const std::string& ip, std::uint16_t port = 5269) { return {*dns::Ip::parse(ip), port}; }
route::HostPort host(const std::string& text) { return *route::HostPort::parse(text); }
policy::DomainPattern pattern(const std::string& text) { return *policy::DomainPattern::parse(text); }

constexpr const char* kCore = "10.0.0.5";
constexpr const char* kEdges[] = {"203.0.113.1", "203.0.113.2"};

// How long all goes on at least: what comes twice may come late.
constexpr Duration kAfterFaults = 65s;
constexpr Duration kAfterFaultsBrief = 20s;

std::string edge_name(std::size_t edge) { return fmt::format("vcse{}.example.com", edge); }

}  // namespace

World::World(Options options)
    : options_(std::move(options)),
      chance_(options_.seed),
      ledger_(schedule_, options_.restarts ? Promise::kAtLeastOnce : Promise::kExactlyOnce, kAlias, kNode),
      network_(schedule_, chance_, *this, Chance(options_.seed, Chance::Stream::kDeath)) {
  is_durable_ = chance_.one_in(2);
  lifetime_ = chance_.one_in(4) ? 20s : 24h;
  ledger_.keep_order_of_messages_alone(is_durable_);
  ledger_.expire_after(lifetime_);
  edges_.resize(1 + chance_.up_to(1));
  build();
}

World::~World() = default;

std::vector<gate::Role*> World::roles() const {
  std::vector<gate::Role*> all;
  if (core_) all.push_back(core_.get());
  for (const auto& each : edges_)
    if (each.edge) all.push_back(each.edge.get());
  return all;
}

void World::add_server(ServerConfig config, std::vector<std::string> trusts, std::string issuer,
                       const std::string& address) {
  config.acknowledges = chance_.one_in(2);
  config.asks = chance_.one_in(2);
  using Pings = ServerConfig::Pings;
  constexpr Pings kPings[] = {Pings::kAnswered, Pings::kAnswered, Pings::kLate, Pings::kTwice, Pings::kNever};
  config.pings = kPings[chance_.up_to(std::size(kPings) - 1)];
  const Chance::Stream of_lies = Chance::Stream::kLies;
  Chance lies(options_.seed * 16 + servers_.size(), of_lies);
  if (lies.one_in(8)) config.pings = lies.one_in(2) ? Pings::kTooLate : Pings::kErrors;
  if (config.acks != ServerConfig::Acks::kTrue) config.acknowledges = true;
  Node node{.name = config.name, .addresses = {at(address)}};
  node.trusts = {trusts.begin(), trusts.end()};
  std::vector<std::string> names;
  for (const auto& domain : config.domains) names.push_back(domain.ascii());
  const bool hostile = config.hostile;
  node.certificate = [names, issuer, hostile](const std::string& domain) -> std::optional<Certificate> {
    for (const auto& mine : names)
      if (mine == domain || hostile) return Certificate{names, issuer};
    return std::nullopt;
  };
  const bool is_internal = config.next_hop.has_value();
  if (!is_internal)
    for (const auto& domain : names) network_.set_name(domain, {at(address)});
  const std::size_t index = servers_.size();
  for (const auto& domain : names) {
    if (domain == "node-only.example") continue;
    (is_internal ? inside_ : outside_).push_back({domain == kNode ? "room" : "user", index, domain});
  }
  nodes_.push_back(network_.add(std::move(node)));
  Users& users = *this;
  LogSink& sink = *this;
  servers_.push_back(std::make_unique<Server>(std::move(config), users, chance_, sink, lies));
}

void World::build() {
  const auto core = host("10.0.0.5:5269");
  using policy::Authenticate;
  Node core_node{.name = "core", .addresses = {at(kCore)}, .trusts = {"corp"}, .is_core = true};
  // Minted for whatever domain is asked for.
  core_node.certificate = [](const std::string& domain) { return Certificate{{domain}, "minted"}; };
  core_node.spool = &disk_;
  core_node_ = network_.add(std::move(core_node));
  std::vector<std::size_t> edges;
  std::vector<SocketAddress> public_side;
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    public_side.push_back(at(kEdges[i]));
    edges.push_back(network_.add({.name = fmt::format("edge{}", i),
                                  .addresses = {at(kEdges[i]), at(kEdges[i], 7400)},
                                  .trusts = {"public"},
                                  .is_edge = true}));
    edges_[i].node = edges.back();
  }
  network_.set_edges(edges);

  add_server({.name = "int0", .domains = {name("example.com"), name(kNode)}, .next_hop = core}, {"minted"},
             "corp", "10.0.0.20");
  add_server({.name = "int1",
              .domains = {name("beta.example")},
              .authenticate = Authenticate::kDialback,
              .use_external = false,
              .next_hop = core},
             {}, "corp", "10.0.0.21");
  add_server({.name = "ext", .domains = {name("ext.example"), name("ext2.example")}}, {"public"}, "public",
             "198.51.100.1");
  add_server({.name = "dial",
              .domains = {name("dial.example")},
              .authenticate = Authenticate::kDialback,
              .use_external = false},
             {}, "itself", "198.51.100.2");
  add_server({.name = "mux",
              .domains = {name("mux-a.example"), name("mux-b.example"), name("mux-c.example")},
              .authenticate = Authenticate::kDialback,
              .use_external = false,
              .multiplexes = true},
             {"public"}, chance_.one_in(2) ? "public" : "itself", "198.51.100.3");
  add_server({.name = "blocked", .domains = {name("blocked.example")}}, {"public"}, "public", "198.51.100.4");
  add_server({.name = "oneway", .domains = {name("oneway.example")}}, {"public"}, "public", "198.51.100.6");
  add_liar();
  add_server({.name = "evil",
              .domains = {name("evil.example")},
              .authenticate = Authenticate::kDialback,
              .hostile = true},
             {"public"}, "public", "198.51.100.5");
  for (const char* local : {"example.com", "beta.example", kAlias}) network_.set_name(local, public_side);
  ledger_.refuse("blocked.example", true);
  ledger_.let_only_answer("oneway.example");
}

void World::add_liar() {
  using Acks = ServerConfig::Acks;
  Chance lies(options_.seed, Chance::Stream::kLies);
  const bool believed = options_.broken == "believes", waited_for = options_.broken == "waits";
  if (!lies.one_in(4) && !believed && !waited_for) return;
  const bool is_silent = waited_for || (lies.one_in(2) && !believed);
  if (is_silent) lies_.expect_silence();
  add_server({.name = "liar",
              .domains = {name("liar.example")},
              .acks = is_silent ? Acks::kNever : Acks::kTooHigh,
              .only_seems_to_lie = believed || waited_for},
             {"public"}, "public", "198.51.100.7");
}

config::PolicyUpdate World::policy() const {
  config::PolicyUpdate update;
  auto& rules = update.policy.rules;
  if (is_durable_) rules.delivery = policy::Delivery::kDurable;
  rules.local = {{name("example.com")}, {name("beta.example")}, {name(kAlias), true}};
  if (is_open()) {
    // No row names the others: the edge asks the core about each pair.
    rules.privacy = policy::Privacy::kOff;
    rules.lists.push_back({.domain = pattern("blocked.example"), .allow = false});
    if (dial_refused_) rules.lists.push_back({.domain = pattern("dial.example"), .allow = false});
  } else {
    for (const char* allowed :
         {"ext.example", "ext2.example", "*.mux.example", "mux-a.example", "mux-b.example", "mux-c.example",
          "evil.example", "absent.example", "liar.example"})
      rules.lists.push_back({.domain = pattern(allowed), .allow = true});
    rules.lists.push_back({.domain = pattern("dial.example"), .allow = !dial_refused_});
  }
  // Only we may start: by what is allowed, or where all is allowed by what is denied.
  rules.lists.push_back({.domain = pattern("oneway.example"),
                         .allow = !is_open(),
                         .direction = is_open() ? policy::Direction::kIn : policy::Direction::kOut});
  for (const char* weak : {"dial.example", "mux-a.example", "mux-b.example", "mux-c.example"})
    rules.peers.push_back({.domain = pattern(weak), .authenticate = policy::Authenticate::kDialback});
  update.policy.routes = {{.domain = name("ext2.example"), .address = host("198.51.100.1:5269")}};
  rules.routed = {name("ext2.example")};
  update.policy.served = {{.name = name("example.com"),
                           .internal_name = name("example.com"),
                           .servers = {host("10.0.0.20:5269")},
                           .trust = {}},
                          {.name = name("beta.example"),
                           .internal_name = name("beta.example"),
                           .servers = {host("10.0.0.21:5269")},
                           .trust = config::Trust::kDialback},
                          {.name = name(kAlias),
                           .internal_name = name(kNode),
                           .servers = {host("10.0.0.20:5269")},
                           .trust = {},
                           .is_alias = true}};
  update.generation = generation_;
  update.policy_sha256 = sha256(std::to_string(generation_));
  for (const char* local : {"example.com", "beta.example", kAlias}) {
    config::CertificatePem pem;
    pem.names = {local};
    pem.chain = "chain";
    pem.key = "key";
    update.certificates.push_back(std::move(pem));
  }
  return update;
}

config::CoreConfig World::core_config() const {
  config::CoreConfig config{.name = name("core.corp.example")};
  for (std::size_t i = 0; i < edges_.size(); ++i)
    config.edges.push_back({.name = name(edge_name(i)), .address = host(fmt::format("{}:7400", kEdges[i]))});
  config.internal_names = {pattern("corp.example"), pattern("*.corp.example")};
  config.delivery.lifetime = options_.broken == "hasty" ? std::chrono::seconds(1) : lifetime_;
  // Half of the worlds know their internal servers by certificate, half by their address.
  if (options_.seed % 2 == 0) config.server_ca = "servers-ca.crt";
  return config;
}

gate::CoreSetup World::core_setup() {
  config::CoreConfig config = core_config();
  auto prepared = config::PreparedPolicy::make(config, policy());
  return {.config = std::move(config),
          .policy = std::move(prepared),
          .dialback_secret = "the secret that never leaves the core",
          .version = "1",
          .instance = fmt::format("core-{}", instances_),
          .spool = disk_.contents()};
}

gate::EdgeSetup World::edge_setup(std::size_t edge) const {
  config::EdgeConfig config{.name = name(edge_name(edge))};
  config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
  return {std::move(config), "1", fmt::format("edge-{}", instances_)};
}

void World::start_core() {
  ++instances_;
  LogSink& sink = *this;
  core_ = std::make_unique<gate::Core>(core_setup(), chance_, sink, network_.now_of(core_node_));
  network_.start(core_node_, *core_);
}

void World::start_edge(std::size_t edge) {
  ++instances_;
  LogSink& sink = edge_log_;
  auto& [role, node] = edges_[edge];
  role = std::make_unique<gate::Edge>(edge_setup(edge), chance_, sink, network_.now_of(node));
  network_.start(node, *role);
}

Summary World::run() {
  // Some worlds are calm, some have long stanzas and thin pipes.
  const bool heavy = !options_.restarts && chance_.one_in(12);
  network_.set_shape(chance_.between(200us, heavy ? 5'000us : 40'000us), chance_.between(0us, 30'000us),
                     heavy ? 8192 : 32'768);
  conversations_ = heavy ? 40 : 60 + chance_.up_to(120);
  if (options_.brief) conversations_ /= 4;
  body_bytes_max_ = heavy ? 100'000 : 600;
  pace_ = in_this_world(chance_.between(4s, 34s)) / static_cast<long>(conversations_);
  for (std::size_t i = 0; i < servers_.size(); ++i) network_.start(nodes_[i], *servers_[i]);
  for (std::size_t i = 0; i < edges_.size(); ++i) start_edge(i);
  start_core();
  plan_faults();
  if (options_.restarts) plan_restarts();
  if (is_durable_) plan_full_disk();
  plan_drain();
  plan_clocks();
  plan_black_holes();
  if (!options_.broken.empty()) schedule_.in(3s, [this] { canary(); });
  schedule_.in(chance_.between(0us, 2'000'000us), [this] { talk(); });
  const Time end = schedule_.now() + in_this_world(45s);
  for (Time second = schedule_.now(); second < end; second += 1s) {
    schedule_.run_until(second);
    check_bounds();
  }
  // The faults are over. All that is under way has an end within the longest of the time limits.
  network_.faults() = {};
  // A message that has arrived is kept until its server says so, or does not answer.
  const auto is_empty = [this] { return disk_.messages() == 0 && disk_.flows() == 0; };
  const auto is_quiet = [&] { return ledger_.open() == 0 && is_empty(); };
  // A peer may fail in many attempts, which come ever more rarely.
  const auto most = [&] { return (!is_durable_ ? 100s : is_empty() ? 600s : 7200s) + patience_; };
  const Duration least = options_.brief ? kAfterFaultsBrief : kAfterFaults;
  for (Duration passed{}; passed < most() && (!is_quiet() || passed < least); passed += 1s) {
    schedule_.run_until(schedule_.now() + 1s);
    if (passed % 10s == 0s) check_bounds();
  }
  ledger_.close();
  check_disk();
  check_resumed();
  check_uncertain();
  return {ledger_.size(), ledger_.delivered(), ledger_.answered(), ledger_.missing(), schedule_.steps()};
}

void World::note(const std::string& text) {
  if (options_.trace)
    std::cout << fmt::format("{:12.6f} {}\n",
                             std::chrono::duration<double>(schedule_.now().time_since_epoch()).count(), text);
}

// Where the core dials from is seen by whoever accepts its connection; nothing else inside is.
void World::EdgeLog::log(LogEvent event) {
  for (const auto& [key, value] : event.fields)
    if (value.find("10.0.0.") != value.npos && !event.name.starts_with("link."))
      throw Violation("inside names", "the edge logs an inside address: " + format_text(event, ""));
  if (event.name == "link.forgotten") ledger.link_given_up();
  all.log(std::move(event));
}

void World::log(LogEvent event) {
  if (event.name == "stanza.refused")
    for (const auto& [key, value] : event.fields)
      if (key == "code" && value == "policy.disabled")
        throw Violation("resumes", "a stanza is refused for want of a policy that is on its way: " +
                                       format_text(event, ""));
  const auto field = [&event](std::string_view wanted) -> std::string_view {
    for (const auto& [key, value] : event.fields)
      if (key == wanted) return value;
    return {};
  };
  if (event.name == "stanza.refused" && field("code") == "policy.direction" && field("direction") == "in")
    ledger_.refused_by_direction(field("id"));
  if (event.name == "stanza.refused") ledger_.refused_by_node(field("id"));
  if (event.name == "pair.pings-unanswered")
    ledger_.confirms_nothing(field(field("face") == "inside" ? "local" : "remote"));
  // The way back was as broken as the way there.
  if (event.name == "answer.lost")
    for (const auto& [key, value] : event.fields)
      if (key == "id") ledger_.answer_lost(value);
  if (options_.trace) note("      " + format_text(event, ""));
}

}  // namespace sallyport::sim
