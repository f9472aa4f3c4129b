// What one source may have of an edge: of its questions to the core, and of the memory for what waits for it.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/limits.h"
#include "gate/edge.h"
#include "link/session.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
dns::SocketAddress from(std::uint8_t last) { return {dns::Ip::v4({198, 51, 100, last}), 40'000}; }

struct Quiet : LogSink, Random {
  void log(LogEvent) override {}
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
};

// The core's end is a session alone. It answers no question by itself, and settles nothing.
class EdgeShares : public testing::Test {
 protected:
  static constexpr ConnId kLink = 1;
  static constexpr std::size_t kBig = 100'000;

  void SetUp() override {
    config::EdgeConfig config{.name = domain("vcse.example.net")};
    config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    config.limits.waiting_bytes = 8 * limits::kCanonicalBytesMax;
    edge_ = std::make_unique<Edge>(EdgeSetup{std::move(config), "1", "edge"}, quiet_, quiet_, now_);
    core_ = std::make_unique<link::Session>(
        link::SessionConfig{link::Role::kCore, "core.example.org", "1", "core"});
    core_->handle_connected(now_.mono);
    edge_->handle_link(kLink, 0, {}, now_);
    exchange();
    config::Push push;
    push.generation = 1;
    push.rules.local = {{domain("example.com"), false}};
    for (const auto* name : {"flood.example", "honest.example"})
      push.rules.lists.push_back({.domain = *policy::DomainPattern::parse(name), .allow = true});
    core_->push(1, std::make_shared<const SecretBytes>(push.encode()));
    exchange();
  }

  void exchange() {
    std::string bytes;
    for (bool any = true; any;) {
      any = false;
      if (core_->take_output(bytes, now_.mono)) {
        any = true;
        edge_->handle_bytes(kLink, std::exchange(bytes, {}), now_);
      }
      while (auto output = edge_->poll()) {
        any = true;
        obey(*std::move(output));
      }
      while (auto event = core_->poll()) {
        if (auto* asked = std::get_if<link::Asked>(&*event)) asked_.push_back(std::move(*asked));
      }
    }
  }
  void obey(Output output) {
    std::string bytes;
    if (auto* flush = std::get_if<Flush>(&output)) {
      while (edge_->take_output(flush->conn, bytes, now_)) {
        if (flush->conn == kLink) core_->handle_bytes(bytes, now_.mono);
        said_[flush->conn] += std::exchange(bytes, {});
      }
    } else if (auto* prepare = std::get_if<Prepare>(&output)) {
      auto decoded = config::decode_push(std::move(prepare->work));
      ASSERT_TRUE(decoded);
      edge_->handle_prepared(
          prepare->id,
          config::PreparedPush{std::move(decoded->policy), std::make_shared<config::Credentials>()}, now_);
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      dialled_.push_back(dial->plan.dns ? dial->plan.dns->ascii() : "");
    }
  }
  void says(ConnId conn, const std::string& bytes) {
    edge_->handle_bytes(conn, bytes, now_);
    exchange();
  }
  void accept(ConnId conn, dns::SocketAddress peer, const std::string& name, bool with_certificate = false) {
    const std::string header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback' from='" +
        name + "' to='example.com' version='1.0'>";
    s2s::TlsFacts facts;
    if (with_certificate) {
      facts.peer_certificate = true;
      facts.chain = {};
      facts.names.dns = {name};
    }
    edge_->handle_accepted(conn, {peer, {}, false}, now_);
    says(conn, header);
    says(conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    edge_->handle_tls(conn, facts, now_);
    says(conn, header);
    if (!with_certificate) return;
    says(conn, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    says(conn, header);
  }
  // `count` questions about keys, on as many streams as they need.
  void ask(dns::SocketAddress peer, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (i % limits::kVerificationsPerStreamMax == 0)
        accept(last_conn_ += 2, peer, "h" + std::to_string(peer.ip.bytes[15]) + ".example");
      says(last_conn_, "<db:verify from='h" + std::to_string(peer.ip.bytes[15]) +
                           ".example' to='example.com' id='" + std::to_string(i) + "'>00ff</db:verify>");
    }
  }
  std::size_t refusals() const {
    std::size_t count = 0;
    for (const auto& [conn, said] : said_)
      for (auto at = said.find("<resource-constraint"); at != std::string::npos;
           at = said.find("<resource-constraint", at + 1))
        ++count;
    return count;
  }
  void message(ConnId conn, const std::string& name, std::size_t bytes) {
    says(conn, "<message from='a@" + name + "' to='b@example.com' id='1'><body>" + std::string(bytes, 'x') +
                   "</body></message>");
  }

  Quiet quiet_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<link::Session> core_;
  ConnId last_conn_ = 1'001;
  std::vector<link::Asked> asked_;
  std::vector<std::string> dialled_;
  std::map<ConnId, std::string> said_;
};

constexpr std::size_t kOneAddress = limits::address_share(limits::kVerdictsMax);

TEST_F(EdgeShares, an_address_has_its_share_of_the_questions_about_keys_and_not_one_more) {
  ask(from(1), kOneAddress);
  EXPECT_EQ(asked_.size(), kOneAddress);
  EXPECT_EQ(refusals(), 0u);
  ask(from(1), 3);
  EXPECT_EQ(asked_.size(), kOneAddress);
  EXPECT_EQ(refusals(), 3u);
  ask(from(2), 1);
  EXPECT_EQ(asked_.size(), kOneAddress + 1);
  EXPECT_EQ(refusals(), 3u);
  // An answer makes room for the next.
  core_->answer(asked_.front().id, std::string("valid"));
  exchange();
  ask(from(1), 1);
  EXPECT_EQ(asked_.size(), kOneAddress + 2);
}

TEST_F(EdgeShares, when_all_questions_about_keys_are_asked_the_largest_loses_its_oldest_and_is_answered) {
  for (std::uint8_t address = 1; address <= limits::kAddressShareOf; ++address)
    ask(from(address), kOneAddress);
  ASSERT_EQ(asked_.size(), limits::kVerdictsMax);
  ASSERT_EQ(refusals(), 0u);
  ask(from(100), 1);
  EXPECT_EQ(asked_.size(), limits::kVerdictsMax + 1);
  EXPECT_EQ(refusals(), 1u);
  // The answer that comes late finds nobody, and the newcomer's is told.
  core_->answer(asked_.front().id, std::string("valid"));
  core_->answer(asked_.back().id, std::string("valid"));
  exchange();
  EXPECT_NE(said_[last_conn_].find("type='valid'"), std::string::npos);
  EXPECT_EQ(refusals(), 1u);
}

TEST_F(EdgeShares, what_waits_for_the_core_has_the_share_of_its_peer_and_others_find_room) {
  const std::size_t share = limits::waiting_share(8 * limits::kCanonicalBytesMax);
  for (ConnId conn = 3; conn < 43; conn += 2) accept(conn, from(1), "flood.example", true);
  accept(101, from(2), "honest.example", true);
  core_->handle_disconnected(now_.mono);
  edge_->handle_disconnected(kLink, {Code::kStreamLost, {}}, now_);
  // A driver stops reading from a stream that is held; what it read before still comes.
  std::size_t sent = 0;
  for (std::size_t bytes = 0; bytes <= share; bytes += kBig, ++sent)
    message(3 + 2 * (sent % 20), "flood.example", kBig);
  EXPECT_GT(dialled_.size(), 0u) << "one is answered, and its answer wants a stream";
  dialled_.clear();
  message(101, "honest.example", kBig);
  EXPECT_TRUE(dialled_.empty()) << "it waits";
}

}  // namespace
}  // namespace sallyport::gate
