// The edge asks its core about pairs that no rule of the pushed policy names: the core knows the internal
// names, and an edge is not told them (DESIGN invariants 2 and 5). An answer only refuses or admits the pair:
// the core checks each of its stanzas again.
#include "gate/edge_impl.h"

namespace sallyport::gate {

void Edge::Impl::on(On<s2s::AskAdmission>&& asked_for, Now now) {
  const ConnId conn = asked_for.conn;
  const auto& [pair, proved] = asked_for.event;
  // Another stream's question may have been answered since this one was put.
  if (const std::optional<Error>* known = policy.view.admission(pair)) {
    if (!proved) {
      endpoint.handle_admission(conn, pair, *known ? Result<void>(**known) : Result<void>(), now);
    } else if (*known) {
      endpoint.check_again(now);
    }
    return;
  }
  if (proved) {
    questions.admissions.ask_again(pair);
  } else if (!served.link || !served.link->session().is_up()) {
    endpoint.handle_admission(conn, pair, Error{Code::kLinkDown, {}}, now);
    return;
  } else if (const auto peer = endpoint.peer(conn); !peer) {
    return;  // the stream has ended since: nobody waits for the answer
  } else if (const auto dropped = questions.admissions.ask(pair, conn, admission_source(peer->ip))) {
    endpoint.handle_admission(dropped->conn, dropped->pair, Error{Code::kLinkBusy, {}}, now);
  }
  send_admissions(now);
}

void Edge::Impl::send_admissions(Now now) {
  if (!served.link || !served.link->session().is_up()) return;
  while (const auto pair = questions.admissions.next())
    questions.admissions.sent(*pair, served.link->session().ask(link::AdmitAsk{*pair}), now.mono);
}

bool Edge::Impl::handle_admission(const link::Answered& answered, Now now) {
  const auto done = questions.admissions.answered(answered.id);
  if (!done) return false;
  finish_admission(*done, answered.answer, now);
  // Where the link is full of other questions, another one would be refused at once.
  if (answered.answer || answered.answer.error().code != Code::kLinkBusy) send_admissions(now);
  return true;
}

void Edge::Impl::finish_admission(const AdmissionQueue::Done& done, const link::Answer& answer, Now now) {
  std::optional<Error> refusal;
  // The core's code counts; the pair is known here.
  if (!answer) refusal = Error{answer.error().code, done.pair.remote.ascii()};
  const bool is_known = !refusal || !s2s::is_temporary(refusal->code);
  if (is_known) policy.view.note_admission(done.pair, done.source, refusal);
  if (!is_known && done.proved) questions.admissions.ask_again(done.pair);
  for (const ConnId conn : done.streams)
    endpoint.handle_admission(conn, done.pair, refusal ? Result<void>(*refusal) : Result<void>(), now);
  // A pair that is proved ends as at any change of policy.
  if (is_known && refusal && done.proved) endpoint.check_again(now);
}

std::string Edge::Impl::admission(const ControlQuestion& question, Now now) {
  const auto local = xmpp::Domain::parse(question.from);
  const auto remote = xmpp::Domain::parse(question.to);
  if (!local || !remote) return refusal(local ? remote.error() : local.error());
  const Pair pair{*local, *remote};
  if (policy.view.must_ask(pair)) {
    if (!served.link || !served.link->session().is_up()) return refusal({Code::kLinkDown, {}});
    questions.admissions.ask_again(pair);
    send_admissions(now);
    turn(now);
    return R"({"known":false})";
  }
  const std::optional<Error>* known = policy.view.admission(pair);
  return known != nullptr && *known ? refusal(**known) : std::string(R"({"known":true})");
}

// A core that owes an answer for so long is asked again; the streams that waited for it are answered now.
void Edge::Impl::expire_admissions(Now now) {
  while (const auto done = questions.admissions.expired(now.mono))
    finish_admission(*done, Error{Code::kLinkDown, {}}, now);
  send_admissions(now);
}

}  // namespace sallyport::gate
