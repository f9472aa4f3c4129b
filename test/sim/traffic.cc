// What the users of the simulation say to each other.
#include <fmt/format.h>

#include "world.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* kAlias = "chatroom1.example.com";
constexpr const char* kNode = "conference-2.corp.example";

xmpp::Jid jid(const std::string& text) { return *xmpp::Jid::parse(text); }

// As the sender's own side writes it.
struct Words {
  xmpp::StanzaKind kind;
  std::string type;
  std::string inner;
};

Words words(Sort sort, const std::string& from, std::size_t body_bytes) {
  const std::string body = fmt::format("<body>{}</body>", std::string(body_bytes, 'x'));
  switch (sort) {
    case Sort::kMessage:
      return {xmpp::StanzaKind::kMessage, "chat", body};
    case Sort::kSubscribe:
      return {xmpp::StanzaKind::kPresence, "subscribe", {}};
    case Sort::kPresence:
      return {xmpp::StanzaKind::kPresence, {}, "<show>away</show>"};
    case Sort::kRequest:
      // Names its own room where it has one, as disco does.
      return {xmpp::StanzaKind::kIq, "get", fmt::format("<query xmlns='urn:sim:q' jid='{}'/>", from)};
    case Sort::kResult:
      return {xmpp::StanzaKind::kIq, "result",
              fmt::format("<query xmlns='urn:sim:q'><item jid='{}'/></query>", from)};
    case Sort::kError:
      return {xmpp::StanzaKind::kMessage, "error",
              "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"};
  }
  return {};
}

}  // namespace

void World::talk() {
  if (conversations_ == 0) return;
  --conversations_;
  const User& a = inside_[chance_.up_to(inside_.size() - 1)];
  const User& b = outside_[chance_.up_to(outside_.size() - 1)];
  // A burst now and then: several for one pair at once.
  const std::uint64_t burst = chance_.one_in(5) ? 1 + chance_.up_to(5) : 1;
  const bool outward = chance_.one_in(2);
  for (std::uint64_t i = 0; i < burst; ++i) outward ? say(a, b) : say(b, a);
  if (chance_.one_in(8)) attack();
  schedule_.in(chance_.between(0us, pace_ * 2), [this] { talk(); });
}

void World::say(const User& from, const User& to) {
  static constexpr Sort kSorts[] = {Sort::kMessage,   Sort::kMessage,  Sort::kMessage, Sort::kRequest,
                                    Sort::kSubscribe, Sort::kPresence, Sort::kError};
  const Sort sort = kSorts[chance_.up_to(6)];
  // The world knows the node by its alias only.
  const std::string to_domain = to.domain == kNode ? kAlias : to.domain;
  const std::string resource = chance_.one_in(3) ? "/desk" : "";
  post(sort, from, from.local + "@" + from.domain + resource, to.local + "@" + to_domain, {},
       chance_.up_to(body_bytes_max_));
}

void World::post(Sort sort, const User& from, const std::string& from_jid, const std::string& to_jid,
                 const std::string& id, std::size_t body_bytes) {
  const auto outer = [](std::string text) {
    const auto at = text.find(kNode);
    return at == text.npos ? text : text.replace(at, std::string(kNode).size(), kAlias);
  };
  Server& server = *servers_[from.server];
  const xmpp::Jid from_address = jid(from_jid), to_address = jid(to_jid);
  const bool is_internal = server.config().next_hop.has_value();
  const std::string partner = is_internal ? to_address.domain().ascii() : from_address.domain().ascii();
  const bool owns =
      std::ranges::find(server.config().domains, from_address.domain()) != server.config().domains.end();
  const std::uint64_t number = ledger_.sent({.sort = sort,
                                             .from = outer(from_jid),
                                             .to = outer(to_jid),
                                             .partner = partner,
                                             .sent = {},
                                             .forged = !owns,
                                             .reliable = partner != "evil.example",
                                             .guarded = sort == Sort::kMessage && is_guarded(server)});
  const Words w = words(sort, from_jid, body_bytes);
  const std::string shown_id = id.empty() ? fmt::format("s{}", number) : id;
  const std::string kind(xmpp::kind_name(w.kind));
  std::string xml = fmt::format("<{} from='{}' to='{}' id='{}'", kind, from_jid, to_jid, shown_id);
  if (!w.type.empty()) xml += fmt::format(" type='{}'", w.type);
  xml += fmt::format(">{}<x xmlns='urn:sim' n='{}'/></{}>", w.inner, number, kind);
  const Pair pair{from_address.domain(), to_address.domain()};
  if (options_.trace) note(fmt::format("{} sends {}", server.config().name, ledger_.story(number)));
  server.send(pair, {w.kind, from_address, to_address, shown_id, w.type, {}, std::move(xml)},
              schedule_.both());
  network_.touch(nodes_[from.server]);
}

// With stream management towards its node, which takes EXTERNAL, a server keeps a message until the node has
// answered for it. A core knows its internal servers' certificates in half of the worlds.
bool World::is_guarded(const Server& server) const {
  const auto& config = server.config();
  const bool by_certificate = !config.next_hop || options_.seed % 2 == 0;
  return config.asks && config.acknowledges && config.use_external && !config.multiplexes && by_certificate;
}

// The hostile server speaks for others, on streams of its own making.
void World::attack() {
  static const char* const kVictims[] = {"ext.example",  "dial.example",    "mux-a.example",
                                         "beta.example", "blocked.example", "core.corp.example"};
  const std::string victim = kVictims[chance_.up_to(5)];
  const User evil = outside_.back();
  const std::string to = chance_.one_in(4) ? "room@conference-2.corp.example" : "user@example.com";
  if (to.find("conference") != to.npos && chance_.one_in(2)) {
    // Its own name, but a node's inside name: refused by the core at the latest.
    post(Sort::kMessage, evil, "user@evil.example", to, {}, 10);
  } else {
    post(Sort::kMessage, evil, "user@" + victim, to, {}, 10);
  }
}

void World::arrived(const ServerConfig& at, const Pair& pair, const Stanza& stanza) {
  if (stanza.from().domain() != pair.remote)
    throw Violation("proof", at.name + " was given a stanza of another domain than was proved: " +
                                 std::string(stanza.xml()));
  if (std::ranges::find(at.domains, stanza.to().domain()) == at.domains.end()) {
    if (at.hostile) return;
    throw Violation("addresses",
                    at.name + " was given a stanza that is not for it: " + std::string(stanza.xml()));
  }
  if (options_.broken == "order" && broke_) {
    if (!swapped_) {
      swapped_ = stanza;
      // One that nothing follows is late, not lost.
      schedule_.in(1s, [this, &at] {
        if (swapped_) deliver(at, *std::exchange(swapped_, std::nullopt));
      });
      return;
    }
    if (swapped_->from() == stanza.from() && swapped_->to() == stanza.to()) {
      deliver(at, stanza);
      deliver(at, *std::exchange(swapped_, std::nullopt));
      broke_ = false;
      return;
    }
  }
  if (options_.broken == "address" && !stanza.is_error() && std::exchange(broke_, false)) {
    return deliver(at, {stanza.kind(), *xmpp::Jid::parse("nobody@" + std::string(stanza.from_domain())),
                        stanza.to(), stanza.id(), stanza.type(), stanza.lang(), stanza.xml()});
  }
  deliver(at, stanza);
  // A second error would be noticed as a second answer.
  if (options_.broken == "twice" && !stanza.is_error() && std::exchange(broke_, false)) deliver(at, stanza);
}

void World::deliver(const ServerConfig& at, const Stanza& stanza) {
  if (options_.trace)
    note(fmt::format("{} receives {} {} -> {} {}", at.name, stanza.id(), stanza.from().text(),
                     stanza.to().text(), stanza.type()));
  ledger_.arrived(at.name, stanza);
  if (!stanza.is_request()) return;
  // The answer, after a while, by whoever was asked.
  const auto& users = at.next_hop ? inside_ : outside_;
  for (const User& user : users) {
    if (user.domain != stanza.to().domain().ascii()) continue;
    const User self = user;
    schedule_.in(chance_.between(0us, 20'000us), [this, self, stanza] {
      post(Sort::kResult, self, stanza.to().text(), stanza.from().text(), std::string(stanza.id()), 0);
    });
  }
}

void World::failed(const ServerConfig& at, const Stanza& stanza, const Error& error) {
  if (options_.trace)
    note(fmt::format("{} gives back {}: {} {}", at.name, stanza.id(), code_row(error.code).name, error.text));
  ledger_.failed(stanza, error);
}

}  // namespace sallyport::sim
