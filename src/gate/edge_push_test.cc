// An edge and the pushes of its core: what is prepared beside the loop counts when it is ready, and only
// then.
#include <gtest/gtest.h>

#include <memory>

#include "base/limits.h"
#include "gate/edge.h"
#include "link/session.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
xmpp::Pair pair_with(std::string_view remote) { return {domain("example.com"), domain(remote)}; }

struct Quiet : LogSink, Random {
  void log(LogEvent) override {}
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
};

// The core's end is a session alone; the driver's part is done by hand.
class EdgePush : public testing::Test {
 protected:
  void SetUp() override {
    start({});
    link_up();
  }
  void start(std::vector<policy::DomainPattern> may_bring) {
    config::EdgeConfig config{.name = domain("vcse.example.net")};
    config.cores.push_back({.name = "core-1", .pins = {}, .domains = std::move(may_bring)});
    edge_ = std::make_unique<Edge>(EdgeSetup{std::move(config), "1", "edge"}, quiet_, quiet_, now_);
    core_ = std::make_unique<link::Session>(
        link::SessionConfig{link::Role::kCore, "core.example.org", "1", "core"});
  }
  void link_up() {
    conn_ += 2;
    core_->handle_connected(now_.mono);
    edge_->handle_link(conn_, 0, {}, now_);
    exchange();
  }
  void link_down() {
    core_->handle_disconnected(now_.mono);
    edge_->handle_disconnected(conn_, {Code::kStreamLost, {}}, now_);
    exchange();
  }

  void push(std::uint64_t generation, std::vector<std::string> allowed) {
    config::Push push;
    push.generation = generation;
    push.rules.local = {{domain("example.com"), false}};
    for (const auto& name : allowed)
      push.rules.lists.push_back({.domain = *policy::DomainPattern::parse(name), .allow = true});
    bring(generation, push.encode());
  }
  void bring(std::uint64_t generation, std::string bytes) {
    core_->push(generation, std::make_shared<const SecretBytes>(std::move(bytes)));
    exchange();
  }
  // What a driver does with the first of the pushes to be prepared.
  void prepare() {
    ASSERT_FALSE(to_prepare_.empty());
    Prepare order = std::move(to_prepare_.front());
    to_prepare_.pop_front();
    auto decoded = config::decode_push(std::move(order.work));
    if (decoded) {
      edge_->handle_prepared(
          order.id, config::PreparedPush{std::move(decoded->policy), std::make_shared<config::Credentials>()},
          now_);
    } else {
      edge_->handle_prepared(order.id, decoded.error(), now_);
    }
    exchange();
  }
  void send(std::string_view remote, std::uint64_t ticket) {
    xmpp::Stanza stanza{xmpp::StanzaKind::kMessage,
                        xmpp::Jid::of(domain("example.com")),
                        xmpp::Jid::of(domain(remote)),
                        "1",
                        "chat",
                        {},
                        "<message/>"};
    core_->send(pair_with(remote), std::move(stanza), ticket, now_.mono);
    exchange();
  }

  void exchange() {
    std::string bytes;
    for (bool any = true; any;) {
      any = false;
      if (core_->take_output(bytes, now_.mono)) {
        any = true;
        edge_->handle_bytes(conn_, std::exchange(bytes, {}), now_);
      }
      while (auto output = edge_->poll()) {
        any = true;
        obey(*std::move(output));
      }
      while (auto event = core_->poll()) {
        if (auto* done = std::get_if<link::PushDone>(&*event)) done_.push_back(std::move(*done));
        if (auto* settled = std::get_if<link::Settled>(&*event)) settled_.push_back(std::move(*settled));
      }
    }
  }
  void obey(Output output) {
    std::string bytes;
    if (auto* flush = std::get_if<Flush>(&output); flush && flush->conn == conn_) {
      while (edge_->take_output(conn_, bytes, now_)) core_->handle_bytes(std::exchange(bytes, {}), now_.mono);
    } else if (auto* prepare = std::get_if<Prepare>(&output)) {
      to_prepare_.push_back(std::move(*prepare));
    } else if (auto* use = std::get_if<UseCredentials>(&output)) {
      credentials_ = std::move(use->credentials);
    } else if (auto* listen = std::get_if<Listen>(&output)) {
      listening_ = listen->on;
      if (listen->on) ++listens_;
      if (listen->on) edge_->handle_listening(opened_, now_);
    } else if (auto* discard = std::get_if<Discard>(&output)) {
      if (discard->value) discarded_.push_back(std::move(discard->value));
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      dialled_.push_back(dial->plan.dns ? dial->plan.dns->ascii() : "");
    }
  }
  bool status_has(std::string_view words) {
    return edge_->control(R"({"ask":"status"})", now_).find(words) != std::string::npos;
  }
  void pass(Duration time) {
    now_.mono += time;
    edge_->handle_timeout(now_);
    exchange();
  }
  bool shows(std::string_view words) {
    return edge_->control(R"({"ask":"policy show"})", now_).find(words) != std::string::npos;
  }
  std::vector<std::uint64_t> done() const {
    std::vector<std::uint64_t> generations;
    for (const auto& each : done_) generations.push_back(each.generation);
    return generations;
  }

  Quiet quiet_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<link::Session> core_;
  ConnId conn_ = 1;
  std::deque<Prepare> to_prepare_;
  std::vector<link::PushDone> done_;
  std::vector<link::Settled> settled_;
  std::vector<std::shared_ptr<const void>> discarded_;
  std::vector<std::string> dialled_;
  std::shared_ptr<const config::Credentials> credentials_;
  bool listening_ = false;
  Result<void> opened_;  // what the driver answers to Listen{true}
  int listens_ = 0;
};

TEST_F(EdgePush, counts_when_it_is_prepared_and_not_before) {
  push(1, {"partner.example"});
  EXPECT_FALSE(listening_);
  EXPECT_TRUE(done_.empty());
  EXPECT_TRUE(shows("link.down"));
  prepare();
  EXPECT_TRUE(listening_);
  EXPECT_NE(credentials_, nullptr);
  ASSERT_EQ(done(), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(done_[0].result);
  EXPECT_TRUE(shows(R"("generation":1)"));
}

TEST_F(EdgePush, one_that_cannot_be_read_is_refused_and_the_one_in_force_stays) {
  push(1, {"partner.example"});
  prepare();
  bring(2, "nonsense");
  prepare();
  ASSERT_EQ(done_.size(), 2u);
  ASSERT_FALSE(done_[1].result);
  EXPECT_EQ(done_[1].result.error().code, Code::kLinkFrame);
  EXPECT_TRUE(shows(R"("generation":1)"));
}

TEST_F(EdgePush, a_core_brings_only_the_names_that_it_may) {
  start({*policy::DomainPattern::parse("other.example")});
  link_up();
  push(1, {"partner.example"});
  prepare();
  ASSERT_EQ(done_.size(), 1u);
  ASSERT_FALSE(done_[0].result);
  EXPECT_EQ(done_[0].result.error().code, Code::kLinkDomain);
  EXPECT_FALSE(listening_);
}

TEST_F(EdgePush, of_two_that_are_prepared_the_later_one_counts) {
  push(1, {"partner.example"});
  push(2, {"partner.example"});
  ASSERT_EQ(to_prepare_.size(), 2u);
  prepare();
  EXPECT_FALSE(listening_);
  ASSERT_EQ(discarded_.size(), 2u);  // the policy and the credentials of the first
  EXPECT_EQ(discarded_[0].use_count(), 1);
  prepare();
  EXPECT_TRUE(listening_);
  EXPECT_EQ(done(), std::vector<std::uint64_t>{2});
  EXPECT_TRUE(shows(R"("generation":2)"));
}

TEST_F(EdgePush, what_was_in_force_is_left_to_the_driver_to_free) {
  push(1, {"partner.example"});
  prepare();
  push(2, {"partner.example"});
  prepare();
  ASSERT_EQ(discarded_.size(), 1u);
  EXPECT_EQ(discarded_[0].use_count(), 1);
}

TEST_F(EdgePush, is_pushed_and_prepared_again_when_the_link_went_down_meanwhile) {
  push(1, {"partner.example"});
  link_down();
  prepare();
  EXPECT_FALSE(listening_);
  EXPECT_TRUE(done_.empty());
  EXPECT_TRUE(shows("link.down"));
  EXPECT_EQ(discarded_.size(), 2u);
  link_up();
  EXPECT_FALSE(listening_);
  prepare();
  EXPECT_TRUE(listening_);
  EXPECT_EQ(done(), std::vector<std::uint64_t>{1});
}

TEST_F(EdgePush, prepared_while_the_link_is_down_it_opens_nothing) {
  push(1, {"partner.example"});
  link_down();
  link_up();  // it has come twice now, and is prepared twice
  ASSERT_EQ(to_prepare_.size(), 2u);
  link_down();
  prepare();
  prepare();
  EXPECT_FALSE(listening_);
  EXPECT_TRUE(shows("link.down"));
}

TEST_F(EdgePush, a_stanza_that_only_the_push_under_way_admits_waits_for_it) {
  push(1, {"old.example"});
  prepare();
  push(2, {"new.example"});
  send("new.example", 1);
  send("nobody.example", 2);
  send("old.example", 3);
  EXPECT_TRUE(settled_.empty());
  EXPECT_EQ(dialled_, std::vector<std::string>{"old.example"});
  prepare();
  now_.mono += limits::kSettleDelay;
  edge_->handle_timeout(now_);
  exchange();
  EXPECT_EQ(dialled_, (std::vector<std::string>{"old.example", "new.example"}));
  ASSERT_EQ(settled_.size(), 1u);
  EXPECT_EQ(settled_[0].ticket, 2u);
  ASSERT_TRUE(settled_[0].outcome);
  EXPECT_EQ(settled_[0].outcome->code, Code::kPolicyNotListed);
}

TEST_F(EdgePush, nothing_of_it_is_kept_a_minute_after_the_link) {
  push(1, {"partner.example"});
  prepare();
  push(2, {"partner.example"});
  link_down();
  for (int i = 0; i < 100 && edge_->poll_timeout(); ++i) {
    now_.mono = std::max(now_.mono, *edge_->poll_timeout());
    if (now_.mono > Time{1s} + limits::kLinkSessionKept) break;
    edge_->handle_timeout(now_);
  }
  now_.mono = Time{1s} + limits::kLinkSessionKept;
  edge_->handle_timeout(now_);
  exchange();
  EXPECT_EQ(credentials_, nullptr);
  EXPECT_EQ(discarded_.size(), 1u);
  prepare();
  EXPECT_TRUE(shows("link.down"));
  EXPECT_EQ(discarded_.size(), 3u);
}

// --- listeners

TEST_F(EdgePush, listeners_that_could_not_be_opened_are_not_shown_as_open_and_tried_again) {
  opened_ = Error{Code::kNetAddressInUse, "listening on 0.0.0.0:5269: Address already in use"};
  push(1, {});
  prepare();
  EXPECT_TRUE(status_has(R"("listening":false)"));
  EXPECT_TRUE(status_has(R"("listen_error":"net.address-in-use: listening on 0.0.0.0:5269)"));
  // The link has nothing to do with it.
  EXPECT_TRUE(status_has(R"("state":"up")"));
  EXPECT_EQ(listens_, 1);
  ASSERT_TRUE(edge_->poll_timeout());
  EXPECT_LE(*edge_->poll_timeout(), now_.mono + limits::kListenRetryFirst);
  pass(limits::kListenRetryFirst - 1ms);
  EXPECT_EQ(listens_, 1);
  opened_ = {};
  pass(1ms);
  EXPECT_EQ(listens_, 2);
  EXPECT_TRUE(status_has(R"("listening":true)"));
  EXPECT_FALSE(status_has("listen_error"));
}

// Its pin stands in no row, so that nobody knows which core it is: while none is linked it is the likely
// reason.
TEST_F(EdgePush, a_core_whose_key_is_refused_is_the_last_error_while_no_core_is_linked) {
  const dns::SocketAddress peer{*dns::Ip::parse("10.0.0.5"), 40'000};
  const Error refused{Code::kTlsPin, "sha256:abc"};
  edge_->handle_link_refused(peer, refused, now_);
  EXPECT_EQ(edge_->control(R"({"ask":"status"})", now_).find("tls.pin"), std::string::npos);
  link_down();
  edge_->handle_link_refused(peer, refused, now_);
  const std::string shown = edge_->control(R"({"ask":"status"})", now_);
  EXPECT_NE(shown.find("tls.pin: sha256:abc (from 10.0.0.5:40000)"), std::string::npos) << shown;
}

TEST_F(EdgePush, a_drained_edge_says_draining_and_its_link_stays_up) {
  push(1, {});
  prepare();
  EXPECT_TRUE(status_has(R"("state":"serving")"));
  edge_->drain(now_);
  exchange();
  EXPECT_FALSE(listening_);
  EXPECT_TRUE(status_has(R"("state":"draining","listening":false)"));
  EXPECT_TRUE(status_has(R"("state":"up")"));
}

}  // namespace
}  // namespace sallyport::gate
