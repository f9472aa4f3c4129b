// Sessions of stream management that go on after their stream broke (XEP-0198 5).
#include "s2s/stream_management_fixture.h"

namespace sallyport::s2s::dialogue {
namespace {

// --- the entity that sends

TEST_F(AckRequestsTest, a_session_can_be_resumed_where_the_peer_says_so) {
  struct Case {
    Attributes attributes;
    bool can;
  };
  for (const auto& [attributes, can] :
       {Case{{{"id", "x"}, {"resume", "true"}}, true}, Case{{{"id", "x"}, {"resume", "1"}}, true},
        Case{{{"id", "x"}, {"resume", "false"}}, false}, Case{{{"id", "x"}}, false},
        Case{{{"resume", "true"}}, false},
        Case{{{"id", std::string(257, 'x')}, {"resume", "true"}}, false}}) {
    AckRequests one(lone.stream, lane);
    one.handle_features(features(true));
    one.start();
    EXPECT_FALSE(one.resume_point()) << "not yet";
    one.handle_element(element_with("enabled", attributes));
    EXPECT_EQ(one.resume_point().has_value(), can);
    one.close();
    EXPECT_FALSE(one.resume_point());
  }
}

struct AckResume : AckRequestsTest {
  AckResume() {
    again.handle_features(features(true));
    again.start();
  }
  std::string hears(const xmpp::Element& element) {
    const auto outcome = again.handle_element(element);
    if (!outcome.resume) return {};
    return (outcome.resume->resumed ? "resumed " : "failed ") +
           (outcome.resume->handled ? std::to_string(*outcome.resume->handled) : "?");
  }
  AckRequests again{lone.stream, lane, true, limits::kAckTimeout, ResumePoint{"a'b", 3, 6}};
};

TEST_F(AckResume, asks_before_anything_is_sent) {
  EXPECT_EQ(writes(), "<resume xmlns='urn:xmpp:sm:3' h='0' previd='a&apos;b'/>");
  EXPECT_TRUE(again.is_resuming());
  EXPECT_TRUE(again.deadline());
  ASSERT_TRUE(again.resume_point()) << "the stream may break again";
  EXPECT_EQ(again.resume_point()->handled, 3u);
}

TEST_F(AckResume, goes_on_counting_from_what_the_peer_has) {
  writes();
  EXPECT_EQ(hears(element_with("resumed", {{"previd", "a'b"}, {"h", "5"}})), "resumed 5");
  EXPECT_FALSE(again.is_resuming());
  lone.stream.write("s");
  lane.add(lone.stream.output().end(), 1);
  again.handle_sent();
  EXPECT_EQ(again.handle_element(element("a", "6")).delivered->count, 1u);
  EXPECT_EQ(again.resume_point()->handled, 6u);
}

TEST_F(AckResume, begins_anew_where_the_peer_does_not_know_the_session) {
  writes();
  EXPECT_EQ(hears(element("failed")), "failed ?");
  EXPECT_EQ(writes(), kEnable);
  EXPECT_FALSE(again.resume_point());
  EXPECT_EQ(hears(element("failed")), "") << "the peer has no stream management at all";
}

TEST_F(AckResume, learns_what_the_peer_has_even_where_the_session_is_over) {
  EXPECT_EQ(hears(element("failed", "4")), "failed 4");
}

TEST_F(AckResume, believes_no_count_of_what_was_never_sent) {
  EXPECT_EQ(hears(element("failed", "7")), "failed ?");
}

TEST_F(AckResume, ends_the_stream_of_a_peer_that_resumes_something_else) {
  for (const auto& wrong :
       {element_with("resumed", {{"previd", "other"}, {"h", "5"}}),
        element_with("resumed", {{"previd", "a'b"}}),
        element_with("resumed", {{"previd", "a'b"}, {"h", "7"}}),
        element_with("resumed", {{"previd", "a'b"}, {"h", "2"}}), element("a", "5"), element("enabled")}) {
    LoneStream stream;
    AckRequests one(stream.stream, lane, true, limits::kAckTimeout, ResumePoint{"a'b", 3, 6});
    one.handle_features(features(true));
    one.start();
    EXPECT_FALSE(one.handle_element(wrong).resume);
    EXPECT_TRUE(stream.end) << wrong.xml();
  }
}

// --- the entity that receives

struct AckSession : AckAnswersTest {
  static std::string failed(const std::string& condition, const std::string& h = {}) {
    return "<failed xmlns='urn:xmpp:sm:3'" + h + "><" + condition +
           " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
  }
  std::optional<std::string> asks(const Attributes& attributes, bool authenticated = true) {
    return answers.handle_element(element_with("resume", attributes), authenticated);
  }
};

TEST_F(AckSession, has_an_id_where_the_peer_wants_to_resume_it) {
  answers.handle_element(element_with("enable", {{"resume", "true"}}), true);
  ASSERT_EQ(answers.id().size(), 2 * limits::kResumeIdBytes);
  EXPECT_EQ(writes(), "<enabled xmlns='urn:xmpp:sm:3' id='" + answers.id() + "' resume='true' max='60'/>");
}

TEST_F(AckSession, has_none_otherwise) {
  answers.handle_element(element_with("enable", {{"resume", "false"}}), true);
  EXPECT_EQ(answers.id(), "");
  EXPECT_EQ(writes(), kEnabled);
}

TEST_F(AckSession, has_none_after_the_closing_handshake) {
  answers.handle_element(element_with("enable", {{"resume", "1"}}), true);
  answers.close();
  EXPECT_EQ(answers.id(), "");
}

TEST_F(AckSession, is_asked_for_by_its_id_and_goes_on_counting) {
  EXPECT_EQ(asks({{"h", "0"}, {"previd", "x"}}), "x");
  HandledCount count;
  for (std::uint32_t i = 0; i < 5; ++i) count.handle(count.receive());
  answers.resume("x", std::move(count));
  EXPECT_EQ(writes(), "<resumed xmlns='urn:xmpp:sm:3' previd='x' h='5'/>");
  EXPECT_EQ(answers.id(), "x") << "and may be resumed once more";
  EXPECT_EQ(answers.handle_received(), 6u);
  answers.handle(6);
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), answer(6));
}

TEST_F(AckSession, that_is_refused_gives_way_to_a_new_one) {
  EXPECT_EQ(asks({{"h", "0"}, {"previd", "x"}}), "x");
  answers.refuse_resume(7);
  EXPECT_EQ(writes(), failed("item-not-found", " h='7'"));
  answers.handle_element(element("enable"), true);
  EXPECT_EQ(writes(), kEnabled);
  EXPECT_EQ(answers.handle_received(), 1u);
}

TEST_F(AckSession, is_refused_at_once_where_the_request_is_wrong) {
  EXPECT_FALSE(asks({{"h", "0"}, {"previd", "x"}}, false));
  EXPECT_EQ(writes(), failed("unexpected-request")) << "before authentication";
  EXPECT_FALSE(asks({{"h", "0"}}));
  EXPECT_EQ(writes(), failed("bad-request")) << "without previd";
  EXPECT_FALSE(asks({{"previd", "x"}}));
  EXPECT_EQ(writes(), failed("bad-request")) << "without h";
  EXPECT_FALSE(asks({{"previd", "x"}, {"h", "-1"}}));
  EXPECT_EQ(writes(), failed("bad-request"));
  EXPECT_TRUE(asks({{"h", "0"}, {"previd", "x"}}));
  EXPECT_FALSE(asks({{"h", "0"}, {"previd", "x"}}));
  EXPECT_EQ(writes(), failed("unexpected-request")) << "twice";
  answers.handle_element(element("enable"), true);
  EXPECT_EQ(writes(), failed("unexpected-request")) << "before it is answered";
  EXPECT_FALSE(lone.end);
}

TEST_F(AckSession, is_not_asked_for_on_a_stream_that_has_one) {
  is_on();
  EXPECT_FALSE(asks({{"h", "0"}, {"previd", "x"}}));
  EXPECT_EQ(writes(), failed("unexpected-request"));
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
