// A push takes effect on an edge when it has been prepared, and not before.
#include "gate/edge_fixture.h"

namespace sallyport::gate {
namespace {

// The test decides when a push is prepared.
class EdgePush : public EdgeFixture {
 protected:
  EdgePush() {
    pushes_.at_once = false;
    starts();
    link_comes_up();
  }
  void prepare() {
    pushes_.prepare_next(*edge_, now_);
    exchange();
  }
  bool shows(std::string_view words) {
    return edge_->control(R"({"ask":"policy show"})", now_).find(words) != std::string::npos;
  }
  std::vector<std::uint64_t> done() const {
    std::vector<std::uint64_t> generations;
    for (const auto& each : core_.pushes.done) generations.push_back(each.generation);
    return generations;
  }
  void send(const std::string& remote) {
    core_sends("<message from='example.com' to='" + remote + "' id='1' type='chat'/>");
  }
};

TEST_F(EdgePush, counts_when_it_is_prepared_and_not_before) {
  core_pushes(push(1, {"partner.example"}));
  EXPECT_FALSE(listeners_.open);
  EXPECT_TRUE(core_.pushes.done.empty());
  EXPECT_TRUE(shows("link.down"));
  prepare();
  EXPECT_TRUE(listeners_.open);
  EXPECT_NE(pushes_.credentials, nullptr);
  ASSERT_EQ(done(), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(core_.pushes.done[0].result);
  EXPECT_TRUE(shows(R"("generation":1)"));
}

TEST_F(EdgePush, one_that_cannot_be_read_is_refused_and_the_one_in_force_stays) {
  core_pushes(push(1, {"partner.example"}));
  prepare();
  core_pushes(2, "nonsense");
  prepare();
  ASSERT_EQ(core_.pushes.done.size(), 2u);
  ASSERT_FALSE(core_.pushes.done[1].result);
  EXPECT_EQ(core_.pushes.done[1].result.error().code, Code::kLinkFrame);
  EXPECT_TRUE(shows(R"("generation":1)"));
}

TEST_F(EdgePush, a_core_brings_only_the_names_that_it_may) {
  auto config = edge_config();
  config.cores[0].domains = {pattern("other.example")};
  starts(std::move(config));
  link_comes_up();
  core_pushes(push(1, {"partner.example"}));
  prepare();
  ASSERT_EQ(core_.pushes.done.size(), 1u);
  ASSERT_FALSE(core_.pushes.done[0].result);
  EXPECT_EQ(core_.pushes.done[0].result.error().code, Code::kLinkDomain);
  EXPECT_FALSE(listeners_.open);
}

TEST_F(EdgePush, of_two_that_are_prepared_the_later_one_counts) {
  core_pushes(push(1, {"partner.example"}));
  core_pushes(push(2, {"partner.example"}));
  ASSERT_EQ(pushes_.waiting.size(), 2u);
  prepare();
  EXPECT_FALSE(listeners_.open);
  ASSERT_EQ(pushes_.discarded.size(), 2u);  // the policy and the credentials of the first
  EXPECT_EQ(pushes_.discarded[0].use_count(), 1);
  prepare();
  EXPECT_TRUE(listeners_.open);
  EXPECT_EQ(done(), std::vector<std::uint64_t>{2});
  EXPECT_TRUE(shows(R"("generation":2)"));
}

TEST_F(EdgePush, what_was_in_force_is_left_to_the_driver_to_free) {
  core_pushes(push(1, {"partner.example"}));
  prepare();
  core_pushes(push(2, {"partner.example"}));
  prepare();
  ASSERT_EQ(pushes_.discarded.size(), 1u);
  EXPECT_EQ(pushes_.discarded[0].use_count(), 1);
}

TEST_F(EdgePush, is_pushed_and_prepared_again_when_the_link_went_down_meanwhile) {
  core_pushes(push(1, {"partner.example"}));
  link_is_lost();
  prepare();
  EXPECT_FALSE(listeners_.open);
  EXPECT_TRUE(core_.pushes.done.empty());
  EXPECT_TRUE(shows("link.down"));
  EXPECT_EQ(pushes_.discarded.size(), 2u);
  link_comes_up();
  EXPECT_FALSE(listeners_.open);
  prepare();
  EXPECT_TRUE(listeners_.open);
  EXPECT_EQ(done(), std::vector<std::uint64_t>{1});
}

TEST_F(EdgePush, prepared_while_the_link_is_down_it_opens_nothing) {
  core_pushes(push(1, {"partner.example"}));
  link_is_lost();
  link_comes_up();  // it has come twice now, and is prepared twice
  ASSERT_EQ(pushes_.waiting.size(), 2u);
  link_is_lost();
  prepare();
  prepare();
  EXPECT_FALSE(listeners_.open);
  EXPECT_TRUE(shows("link.down"));
}

TEST_F(EdgePush, a_stanza_that_only_the_push_under_way_admits_waits_for_it) {
  core_pushes(push(1, {"old.example"}));
  prepare();
  core_pushes(push(2, {"new.example"}));
  send("new.example");
  send("nobody.example");
  send("old.example");
  EXPECT_TRUE(core_.settled.empty());
  EXPECT_EQ(dialled(), Lines{"old.example"});
  prepare();
  passes(limits::kSettleDelay);
  EXPECT_EQ(dialled(), (Lines{"old.example", "new.example"}));
  ASSERT_EQ(core_.settled.size(), 1u);
  EXPECT_EQ(core_.settled[0].ticket, 2u);
  ASSERT_TRUE(core_.settled[0].outcome);
  EXPECT_EQ(core_.settled[0].outcome->code, Code::kPolicyNotListed);
}

TEST_F(EdgePush, a_stanza_waits_for_it_also_when_the_link_broke_meanwhile) {
  core_pushes(push(1, {"old.example"}));
  prepare();
  core_pushes(push(2, {"new.example"}));
  link_is_lost();
  link_comes_up();
  send("new.example");
  EXPECT_EQ(dialled(), Lines{});
  prepare();  // that of the link before
  prepare();
  passes(limits::kSettleDelay);
  EXPECT_EQ(dialled(), Lines{"new.example"});
  EXPECT_TRUE(core_.settled.empty());
}

TEST_F(EdgePush, nothing_of_it_is_kept_a_minute_after_the_link) {
  core_pushes(push(1, {"partner.example"}));
  prepare();
  core_pushes(push(2, {"partner.example"}));
  link_is_lost();
  passes(limits::kLinkSessionKept);
  EXPECT_EQ(pushes_.credentials, nullptr);
  EXPECT_EQ(pushes_.discarded.size(), 1u);
  prepare();
  EXPECT_TRUE(shows("link.down"));
  EXPECT_EQ(pushes_.discarded.size(), 3u);
}

// --- listeners

TEST_F(EdgePush, listeners_that_could_not_be_opened_are_not_shown_as_open_and_tried_again) {
  listeners_.result = Error{Code::kNetAddressInUse, "listening on 0.0.0.0:5269: Address already in use"};
  core_pushes(push(1, {}));
  prepare();
  EXPECT_TRUE(status_has(R"("listening":false)"));
  EXPECT_TRUE(status_has(R"("listen_error":"net.address-in-use: listening on 0.0.0.0:5269)"));
  // The link is not concerned.
  EXPECT_TRUE(status_has(R"("state":"up")"));
  EXPECT_EQ(listeners_.times, 1);
  ASSERT_TRUE(edge_->poll_timeout());
  EXPECT_LE(*edge_->poll_timeout(), now_.mono + limits::kListenRetryFirst);
  passes(limits::kListenRetryFirst - 1ms);
  EXPECT_EQ(listeners_.times, 1);
  listeners_.result = {};
  passes(1ms);
  EXPECT_EQ(listeners_.times, 2);
  EXPECT_TRUE(status_has(R"("listening":true)"));
  EXPECT_FALSE(status_has("listen_error"));
}

// Its pin stands in no [[core]] row, so the edge does not know which core it is. While no core is linked, it
// is the likely reason.
TEST_F(EdgePush, a_core_whose_key_is_refused_is_the_last_error_while_no_core_is_linked) {
  const dns::SocketAddress peer{*dns::Ip::parse("10.0.0.5"), 40'000};
  const Error refused{Code::kTlsPin, "sha256:abc"};
  edge_->handle_link_refused(peer, refused, now_);
  EXPECT_EQ(edge_->control(R"({"ask":"status"})", now_).find("tls.pin"), std::string::npos);
  link_is_lost();
  edge_->handle_link_refused(peer, refused, now_);
  const std::string shown = edge_->control(R"({"ask":"status"})", now_);
  EXPECT_NE(shown.find("tls.pin: sha256:abc (from 10.0.0.5:40000)"), std::string::npos) << shown;
}

TEST_F(EdgePush, a_drained_edge_says_draining_and_its_link_stays_up) {
  core_pushes(push(1, {}));
  prepare();
  EXPECT_TRUE(status_has(R"("state":"serving")"));
  edge_->drain(now_);
  exchange();
  EXPECT_FALSE(listeners_.open);
  EXPECT_TRUE(status_has(R"("state":"draining","listening":false)"));
  EXPECT_TRUE(status_has(R"("state":"up")"));
}

}  // namespace
}  // namespace sallyport::gate
