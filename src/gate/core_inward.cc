// From an edge to internal servers. The core does not trust the edge: it parses the stanza again and checks
// the pair again (DESIGN invariants 3 and 5).
#include <fmt/format.h>

#include "gate/core_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

Result<void> Core::Impl::check_inward(link::Received& received, Now now) {
  if (report.draining) return Error{Code::kStreamShutdown, {}};
  const Pair& pair = received.pair();
  if (!received.validated) {
    auto stanza = inward.reader.read(received.stanza.xml());
    if (!stanza) return stanza.error();
    if (stanza->from_domain() != pair.remote.ascii())
      return Error{Code::kStanzaFromInvalid, std::string(stanza->from_text())};
    if (stanza->to_domain() != pair.local.ascii())
      return Error{Code::kStanzaToInvalid, std::string(stanza->to_text())};
    received.stanza = *std::move(stanza);
  }
  if (policy.in_force->aliases().is_mapped_node(pair.local))
    return Error{Code::kPolicyNodeName, pair.local.ascii()};
  return may_pass(state_of(pair), received.stanza, policy::Direction::kIn, now);
}

void Core::Impl::on(std::size_t edge, link::Received&& received, Now now) {
  ++report.in;
  const Pair& pair = received.pair();
  if (links.ends.size() > 1 && answers_other_edge(edge, pair, received.stanza, now)) {
    if (received.is_first_of_channel()) open_window(edge, pair, now);
    return settle({edge, received.receipt}, std::nullopt, now);
  }
  if (auto decision = check_inward(received, now); !decision) {
    const Error error = std::move(decision).error();
    const Arriving arriving{edge, received.receipt};
    // The addresses that the edge gave suffice to answer a proved pair, not to deliver.
    if (!received.stanza.is_between(pair.remote, pair.local)) return settle(arriving, error.code, now);
    return refuse_inward(pair, received.stanza, error, setup.config.name.ascii(), now,
                         Owed{arriving, error.code});
  }
  policy.in_force->aliases().used(pair.local, pair.remote);
  if (received.is_first_of_channel()) open_window(edge, pair, now);
  durable.queue.wake(policy::Direction::kOut, pair.remote, now);
  heard_remote(pair, now);
  if (takes_answer(received.stanza)) return settle({edge, received.receipt}, std::nullopt, now);
  note_presence(pair, policy::Direction::kIn, received.stanza, now);
  if (is_durable(state_of(pair), received.stanza, now))
    return keep_inward(pair, std::move(received.stanza), {edge, received.receipt}, now);
  deliver_internally(pair, std::move(received.stanza), inward.arriving.put({edge, received.receipt}), now);
}

// A remote server may open its stream to one edge while the pair's stanzas leave by another, which is then
// told of answers to its pings, and that the server is there. An edge knows its own pings. No rule about who
// may start is asked: the ping was no stanza of a user. Only what the edge says beside the stanza is used.
bool Core::Impl::answers_other_edge(std::size_t edge, const Pair& pair, const xmpp::Stanza& stanza, Now now) {
  const auto ping = answered_ping(stanza);
  if (!ping || presence.asked.contains(*ping)) return false;
  if (stanza.from_text() != pair.remote.ascii() || stanza.to_text() != pair.local.ascii()) return false;
  for (std::size_t other = 0; other < links.ends.size(); ++other)
    if (other != edge) tell(other, pair, *ping, now);
  return true;
}

// Only the edge that carries the pair's stanzas is told, which dials the server.
void Core::Impl::on(std::size_t edge, link::Opened&& opened, Now now) {
  durable.queue.wake(policy::Direction::kOut, opened.pair.remote, now);
  if (links.ends.size() == 1) return;
  const auto* found = outward.map.find(opened.pair);
  if (found == nullptr || !found->second.edge || *found->second.edge == edge) return;
  tell(*found->second.edge, opened.pair, 0, now);
}

void Core::Impl::tell(std::size_t edge, const Pair& pair, std::uint64_t ping, Now now) {
  if (!policy.in_force->rules().may_answer(pair, now.civil)) return;
  // What is lost is made up for by the next ping, or the next stream.
  if (links.ends.at(edge).has_room()) links.ends.at(edge).session().heard(pair, ping);
}

// A new edge process, or a channel that was closed as idle, finds a stream of the internal server that is
// ready.
void Core::Impl::open_window(std::size_t edge, const Pair& pair, Now now) {
  std::optional<Pair> made;
  if (!endpoint.is_ready(internal_pair(pair, made, now))) return;
  links.ends.at(edge).session().grant(pair, limits::kChannelWindowMaxBytes);
}

// The error goes back on the pair's own way out, to a proved and allowed pair only.
void Core::Impl::refuse_inward(const Pair& pair, const xmpp::Stanza& stanza, const Error& error,
                               const std::string& leg, Now now, const std::optional<Owed>& owed) {
  ++report.refused;
  const auto& row = code_row(error.code);
  log.log({LogLevel::kInfo,
           stanza.is_error() ? "answer.lost" : "stanza.refused",
           {{"local", pair.local.ascii()},
            {"remote", pair.remote.ascii()},
            {"direction", "in"},
            {"id", std::string(stanza.id())},
            {"code", std::string(row.name)},
            {"leg", leg},
            {"text", error.text}}});
  // The sender may not be known, whatever the edge asserts.
  const bool is_known = error.code != Code::kStanzaFromInvalid && error.code != Code::kStanzaFromMalformed;
  std::optional<xmpp::Stanza> answer;
  // A remote sender learns what happened, not where: no internal address, no node name.
  if (is_known && policy.in_force->rules().may_answer(pair, now.civil))
    answer = xmpp::bounce(stanza, stanza_condition(error.code, SenderSide::kPublic),
                          fmt::format("{}: {}", pair.local.unicode(), row.sentence));
  // An edge that drains waits for its settlements, and the answer may have to wait for the next one.
  const bool waits =
      answer && owed && (owed->arriving.message != 0 || !links.state[owed->arriving.edge].draining);
  if (waits) return enqueue_answer(state_of(pair), *std::move(answer), *owed, now);
  if (answer) enqueue(state_of(pair), *std::move(answer), std::nullopt, now);
  if (owed) settle(owed->arriving, owed->code, now);
}

void Core::Impl::settle(const Arriving& stanza, std::optional<Code> refused, Now now) {
  if (stanza.message != 0) return durable.queue.handle_answered(stanza.message, std::nullopt, now);
  const link::Outcome outcome = refused ? link::Outcome(Error{*refused, {}}) : std::nullopt;
  links.ends.at(stanza.edge).session().settle(stanza.receipt, outcome, now.mono);
}

void Core::Impl::on(StanzaDelivered&& delivered, Now now) {
  const auto entry = inward.arriving.take(delivered.ticket);
  if (!entry || settle_question(delivered.ticket, false, now)) return;
  if (entry->message == 0) return settle(*entry, std::nullopt, now);
  durable.queue.handle_settled(entry->message, std::nullopt, now);
}

void Core::Impl::on(StanzaReturned&& returned, Now now) {
  auto entry = inward.arriving.take(returned.ticket);
  if (!entry || settle_question(returned.ticket, true, now)) return;
  if (!is_permanent(returned.error.code)) {
    const config::Served* served = policy.in_force->served_by_internal_name(returned.stanza.to().domain());
    if (served != nullptr) missed_internal(served->name, now);
  }
  const bool is_kept = entry->message != 0;
  if (is_kept && !durable.queue.handle_settled(entry->message, returned.error, now)) return;
  const xmpp::Domain remote = returned.stanza.from().domain();
  const Owed owed{*entry, returned.error.code};
  if (policy.in_force->outward(returned.stanza, remote)) {
    const Pair pair{returned.stanza.to().domain(), returned.stanza.from().domain()};
    const Error error = is_kept ? DurableQueue::answer_to(returned.error) : returned.error;
    refuse_inward(pair, returned.stanza, error, setup.config.name.ascii(), now, owed);
  } else {
    settle(owed.arriving, owed.code, now);
  }
}

}  // namespace sallyport::gate
