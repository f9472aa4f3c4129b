// Initiated and accepted streams joined in memory, TLS replaced by facts: every way that two nodes like ours
// can prove themselves to each other, with all four roles of dialback played by the machines.
#include <algorithm>
#include <array>
#include <deque>
#include <memory>

#include "s2s/dialogue.h"

namespace sallyport::s2s::dialogue {
namespace {

enum class Transport { kStartTls, kDirectTls, kPlain };

// The setup of one side. Both sides are `<name>.example` with further domains below it.
struct Arrangement {
  const char* name;
  Transport transport;
  bool certificates;  // both sides show one that is valid for all their domains
  Authenticate authenticate;
  bool use_external;
  // Expected: how the sender is proved to the receiver, and the receiver to the sender.
  const char* sender_method;   // of the header's pair
  const char* further_method;  // of pairs that join later
  const char* receiver_method;
  bool asks_authority;  // whether a key has to be verified for it
};

const Arrangement kWays[] = {
    {"EXTERNAL", Transport::kStartTls, true, Authenticate::kCertificate, true, "external",
     "dialback+certificate", "external", false},
    {"EXTERNAL, Direct TLS", Transport::kDirectTls, true, Authenticate::kCertificate, true, "external",
     "dialback+certificate", "external", false},
    {"EXTERNAL where DNS would do", Transport::kStartTls, true, Authenticate::kDialback, true, "external",
     "dialback+certificate", "external", false},
    {"dialback with certificates", Transport::kStartTls, true, Authenticate::kCertificate, false,
     "dialback+certificate", "dialback+certificate", "external", false},
    {"dialback with certificates, Direct TLS", Transport::kDirectTls, true, Authenticate::kDialback, false,
     "dialback+certificate", "dialback+certificate", "external", false},
    {"dialback", Transport::kStartTls, false, Authenticate::kDialback, true, "dialback", "dialback",
     "dialback", true},
    {"dialback, Direct TLS", Transport::kDirectTls, false, Authenticate::kDialback, true, "dialback",
     "dialback", "dialback", true},
    {"dialback without TLS", Transport::kPlain, false, Authenticate::kDialback, true, "dialback", "dialback",
     "dialback", true},
};

// The two organisations, their secrets and policies, and the streams between them.
class World {
 public:
  World(const Arrangement& way, std::size_t chunk) : way_(way), chunk_(chunk) {
    for (Side& side : sides_) {
      side.policy.usual.authenticate = way.authenticate;
      side.policy.usual.use_external = way.use_external;
      if (way.transport == Transport::kPlain) side.policy.usual.tls = TlsRule::kOptional;
    }
    sides_[0].policy.served = {domain("left.example"), domain("rooms.left.example")};
    sides_[1].policy.served = {domain("right.example"), domain("rooms.right.example")};
    sides_[1].secret = "another secret";
  }

  // A connection from side `from`, for `first`, to prove it or only to ask.
  std::size_t dial(int from, const Pair& first, bool authenticate) {
    const bool direct = way_.transport == Transport::kDirectTls;
    links_.push_back(
        std::make_unique<Link>(from, Outbound(sides_[from].policy, first, authenticate, direct, now_),
                               Inbound(sides_[1 - from].policy, sides_[1 - from].random, direct, now_)));
    links_.back()->out.handle_connected(now_);
    return links_.size() - 1;
  }
  Outbound& out(std::size_t link) { return links_[link]->out; }
  Inbound& in(std::size_t link) { return links_[link]->in; }
  const std::vector<std::string>& log(std::size_t link) const { return links_[link]->log; }
  std::size_t links() const { return links_.size(); }
  Time now() const { return now_; }
  TestPolicy& policy(int side) { return sides_[static_cast<std::size_t>(side)].policy; }
  std::string& secret(int side) { return sides_[static_cast<std::size_t>(side)].secret; }

  // Until nothing moves.
  void run() {
    for (int turn = 0; turn < 100'000; ++turn) {
      if (!turn_once()) return;
    }
    FAIL() << "it never comes to rest";
  }
  bool turn_once() {
    bool moved = false;
    for (std::size_t i = 0; i < links_.size(); ++i) moved = step(i) || moved;
    return moved;
  }

 private:
  struct Side {
    TestPolicy policy;
    CountingRandom random;
    std::string secret = "a secret";
  };
  struct Link {
    Link(int dialler, Outbound client, Inbound server)
        : from(dialler), out(std::move(client)), in(std::move(server)) {}
    int from;
    Outbound out;
    Inbound in;
    std::string to_server, to_client;
    std::optional<StartTls> tls_client, tls_server;
    std::vector<std::string> log;
  };
  // Somebody waits for the answer to a question that we asked the authority.
  struct Waiting {
    std::size_t link;
    Pair pair;
    std::string id;
  };

  TlsFacts seen_by(int viewer, const xmpp::Domain& own, const std::string& sni) const {
    static const std::array<std::vector<std::string>, 2> kNames{
        std::vector<std::string>{"left.example", "rooms.left.example"},
        std::vector<std::string>{"right.example", "*.right.example"}};
    TlsFacts found = facts(way_.certificates ? kNames[1 - viewer] : std::vector<std::string>{},
                           way_.certificates ? own.ascii() : std::string());
    found.server_name = sni;
    return found;
  }

  bool step(std::size_t i) {
    Link& link = *links_[i];
    bool moved = false;
    while (auto output = link.out.poll()) {
      moved = true;
      link.log.push_back(describe(*output));
      std::visit([&](const auto& o) { act(i, o); }, *output);
    }
    while (auto output = link.in.poll()) {
      moved = true;
      link.log.push_back(describe(*output));
      std::visit([&](const auto& o) { act(i, o); }, *output);
    }
    link.out.take_output(link.to_server);
    link.in.take_output(link.to_client);
    const bool handshake = link.tls_client && (link.tls_server || way_.transport == Transport::kDirectTls);
    if (handshake && link.to_server.empty() && link.to_client.empty()) {
      const xmpp::Domain named = *link.tls_client->server_name;
      link.in.handle_tls(seen_by(1 - link.from, named, named.ascii()), now_);
      link.out.handle_tls(seen_by(link.from, link.tls_client->own, named.ascii()), now_);
      link.tls_client.reset();
      link.tls_server.reset();
      return true;
    }
    moved =
        carry(link.to_server, [&](std::string_view bytes) { link.in.handle_bytes(bytes, now_); }) || moved;
    return carry(link.to_client, [&](std::string_view bytes) { link.out.handle_bytes(bytes, now_); }) ||
           moved;
  }
  template <class StanzaReceived>
  bool carry(std::string& bytes, const StanzaReceived& deliver) {
    if (bytes.empty()) return false;
    deliver(std::string_view(bytes).substr(0, chunk_));
    bytes.erase(0, chunk_);
    return true;
  }

  void act(std::size_t i, const StartTls& start) {
    (start.server_name ? links_[i]->tls_client : links_[i]->tls_server) = start;
  }
  void act(std::size_t i, const NeedKey& need) {
    Link& link = *links_[i];
    link.out.handle_key(need.pair, need.stream_id,
                        dialback_key(sides_[link.from].secret, need.pair, need.stream_id), now_);
  }
  void act(std::size_t i, const VerifyKey& request) {
    const int asker = 1 - links_[i]->from;
    const std::size_t question = dial(asker, request.pair, false);
    waiting_.emplace(question, Waiting{i, request.pair, request.stream_id});
    links_[question]->out.verify(request.pair, request.stream_id, request.key, now_);
  }
  void act(std::size_t i, const CheckKey& check) {
    Link& link = *links_[i];
    const std::string key = dialback_key(sides_[1 - link.from].secret, check.pair, check.stream_id);
    link.in.handle_key_checked(check.pair, check.stream_id, equal_constant_time(key, check.key), now_);
  }
  void act(std::size_t i, const Verified& verified) {
    const Waiting& waiting = waiting_.at(i);
    links_[waiting.link]->in.handle_verified(waiting.pair, waiting.id, verified.answer, now_);
    links_[i]->out.close(std::nullopt, now_);
  }
  template <class Other>
  void act(std::size_t, const Other&) {}

  const Arrangement& way_;
  const std::size_t chunk_;
  std::array<Side, 2> sides_;
  std::vector<std::unique_ptr<Link>> links_;
  std::map<std::size_t, Waiting> waiting_;
  Time now_{1h};
};

bool has(const std::vector<std::string>& log, const std::string& line) {
  return std::ranges::find(log, line) != log.end();
}

// Pairs as the sender (left) and the receiver (right) see them.
std::string ready(const char* local, const char* remote, const char* method) {
  return fmt::format("PairReady {}<{} {}", local, remote, method);
}
std::string admitted(const char* local, const char* remote, const char* method) {
  return fmt::format("Admitted {}<{} {}", remote, local, method);
}

// Runs `play` for every way, with the bytes in pieces of several sizes.
template <class Play>
void in_every_way(const Play& play) {
  for (const Arrangement& way : kWays) {
    for (const std::size_t chunk : {1, 7, 1 << 20}) {
      SCOPED_TRACE(fmt::format("{}, chunks of {}", way.name, chunk));
      World world(way, chunk);
      play(way, world);
    }
  }
}

TEST(Joined, streams_of_both_kinds_prove_pairs_to_each_other_and_carry_stanzas) {
  in_every_way([](const Arrangement& way, World& world) {
    const std::size_t link = world.dial(0, pair("left.example", "right.example"), true);
    world.run();
    EXPECT_TRUE(has(world.log(link), ready("left.example", "right.example", way.receiver_method)));
    EXPECT_TRUE(has(world.log(link), admitted("left.example", "right.example", way.sender_method)));
    EXPECT_EQ(world.links(), way.asks_authority ? 2u : 1u);

    // Sender multiplexing (XEP-0220 2.5.1).
    world.out(link).add_pair(pair("rooms.left.example", "right.example"), world.now());
    world.run();
    EXPECT_TRUE(has(world.log(link), ready("rooms.left.example", "right.example", way.receiver_method)));
    EXPECT_TRUE(has(world.log(link), admitted("rooms.left.example", "right.example", way.further_method)));
    ASSERT_EQ(world.out(link).proofs().size(), 2u);

    xmpp::StanzaReader reader;
    for (const PeerProof& proof : world.out(link).proofs()) {
      const auto stanza = reader.read(
          fmt::format("<message from='u@{}' to='v@right.example'><body>é &amp; 😀</body></message>",
                      proof.pair().local.ascii()));
      ASSERT_TRUE(stanza);
      EXPECT_TRUE(world.out(link).send(proof, *stanza, world.now()));
    }
    world.run();
    EXPECT_TRUE(has(world.log(link), "StanzaReceived message u@left.example>v@right.example"));
    EXPECT_TRUE(has(world.log(link), "StanzaReceived message u@rooms.left.example>v@right.example"));

    // The questions' streams ended in peace; now ours does.
    world.out(link).close(std::nullopt, world.now());
    world.run();
    EXPECT_EQ(std::ranges::count(world.log(link), "Closed"), 2) << "both ends, cleanly";
    for (std::size_t i = 1; i < world.links(); ++i) EXPECT_EQ(std::ranges::count(world.log(i), "Closed"), 2);
  });
}

TEST(Joined, a_sender_with_another_secret_is_not_believed) {
  in_every_way([](const Arrangement& way, World& world) {
    if (!way.asks_authority) return;  // a certificate proves it here
    const std::size_t link = world.dial(0, pair("left.example", "right.example"), true);
    // The key is made with one secret and checked with another: the initiating entity is not left.example.
    bool moving = true;
    while (moving && world.links() == 1) moving = world.turn_once();
    world.secret(0) = "the true one";
    world.run();
    EXPECT_TRUE(has(world.log(link), "PairRefused right.example<left.example dialback.invalid"));
    EXPECT_TRUE(has(world.log(link), "PairFailed left.example<right.example dialback.invalid"));
    EXPECT_FALSE(has(world.log(link), admitted("left.example", "right.example", "dialback")));
    EXPECT_TRUE(has(world.log(link), "Closed dialback.invalid"));
  });
}

TEST(Joined, a_sender_that_policy_refuses_learns_it) {
  in_every_way([](const Arrangement&, World& world) {
    world.policy(1).refused.emplace(domain("left.example"), Code::kPolicyDenied);
    const std::size_t link = world.dial(0, pair("left.example", "right.example"), true);
    world.run();
    EXPECT_TRUE(has(world.log(link), "PairRefused right.example<left.example policy.denied"));
    EXPECT_TRUE(has(world.log(link), "PairFailed left.example<right.example dialback.error"));
    EXPECT_TRUE(has(world.log(link), "Closed dialback.error"));
    EXPECT_TRUE(has(world.log(link), "Closed policy.denied"));
  });
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
