#include "s2s/session.h"

#include <gtest/gtest.h>

#include <string>

#include "s2s/stream_fixture.h"

namespace sallyport::s2s::dialogue {
namespace {

const Pair kOnly = pair("local.example", "remote.example");
const xmpp::Stanza kCame = stanza("u@remote.example", "v@local.example");
const xmpp::Stanza kGoes = stanza("v@local.example", "u@remote.example");

TEST(Session, a_stanza_that_comes_on_a_stream_we_initiated_is_out_of_order) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kInitiating);
  EXPECT_EQ(session.proof_of(kCame), nullptr);
  EXPECT_EQ(text(session.reject(kCame).error()), "stream.order");
}

TEST(Session, a_stanza_that_comes_on_a_stream_we_accepted_needs_a_proof) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kReceiving);
  EXPECT_EQ(text(session.reject(kCame).error()), "stream.not-authorized");
  session.receiving().add(proof(kOnly));
  EXPECT_NE(session.proof_of(kCame), nullptr);
}

TEST(Session, a_proof_to_receive_is_no_proof_to_send) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kReceiving);
  session.receiving().add(proof(kOnly));
  EXPECT_FALSE(session.send(proof(kOnly), kGoes, Time(1h)));
  EXPECT_TRUE(lone.stream.output().empty());
}

TEST(Session, a_stanza_is_written_as_it_stands_and_is_in_flight) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kInitiating);
  session.sending().add(proof(kOnly));
  ASSERT_TRUE(session.send(proof(kOnly), kGoes, Time(2h)));
  std::string written;
  lone.stream.output().take(written);
  EXPECT_EQ(written, kGoes.xml());
  EXPECT_EQ(lone.stream.last_moved(), Time(2h));
  EXPECT_EQ(session.sending().in_flight(), 1u);
}

TEST(Session, nothing_is_sent_once_the_stream_is_closing) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kInitiating);
  session.sending().add(proof(kOnly));
  lone.stream.write_header();
  lone.stream.begin_close(std::nullopt);
  EXPECT_FALSE(session.send(proof(kOnly), kGoes, Time(1h)));
}

TEST(Session, stanzas_that_nobody_took_are_reported_unsent_and_not_written) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kInitiating);
  EXPECT_FALSE(session.end_sending(std::nullopt)) << "none is in flight";
  session.sending().add(proof(kOnly));
  session.send(proof(kOnly), kGoes, Time(1h));
  std::string written;
  lone.stream.output().take(written);
  session.send(proof(kOnly), kGoes, Time(1h));
  const auto ended = session.end_sending(std::nullopt);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->unsent, 1u);
  EXPECT_TRUE(lone.stream.output().empty());
  EXPECT_EQ(session.sending().in_flight(), 0u);
}

TEST(Session, a_connection_that_breaks_makes_uncertain_what_was_delivered_just_before) {
  LoneStream lone;
  Session session(lone.stream, Session::Entity::kInitiating);
  session.sending().add(proof(kOnly));
  session.send(proof(kOnly), kGoes, Time(1h));
  std::string written;
  lone.stream.output().take(written);
  const std::uint64_t end = lone.stream.output().end();
  session.sending().handle_written(end, end);
  ASSERT_TRUE(session.sending().confirm(end));
  lone.stream.output().set_broken();
  const auto ended = session.end_sending(std::nullopt);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->uncertain, 1u);
  EXPECT_FALSE(session.end_sending(std::nullopt)) << "told once";
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
