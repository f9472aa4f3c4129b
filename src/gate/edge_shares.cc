// Fair shares of an edge's budgets: questions to the core, and the memory for stanzas that wait for credit
// inward.
#include "gate/edge_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

// Every question is asked, whatever policy says of the pair (XEP-0220 2.1.1 step 3: an authoritative server
// answers for its domains), and anybody may ask: therefore each address has a share only.
void Edge::Impl::on(On<s2s::CheckKey>&& check, Now now) {
  auto& [pair, stream_id, key] = check.event;
  const auto refuse = [&](Code code) {
    endpoint.handle_key_checked(check.conn, pair, stream_id, Error{code, {}}, now);
  };
  if (!served.link || !served.link->session().is_up()) return refuse(Code::kLinkDown);
  const Shares<std::uint64_t>::Keys asker{endpoint.peer_source(check.conn)};
  auto place = questions.verdicts.place(asker);
  for (; place.loser != nullptr; place = questions.verdicts.place(asker)) {
    // The core's answer to it is dropped.
    auto node = questions.asked.extract(*place.loser);
    Asked& lost = node.mapped();
    lost.part.reset();
    endpoint.handle_key_checked(lost.conn, lost.pair, lost.stream_id, Error{Code::kDialbackTooMany, {}}, now);
  }
  if (place.room != Shares<std::uint64_t>::Room::kFree) return refuse(Code::kDialbackTooMany);
  const auto id = served.link->session().ask(link::VerdictAsk{pair, stream_id, std::move(key)});
  Asked question{check.conn, std::move(pair), std::move(stream_id), true};
  question.part = questions.verdicts.hold(asker, id);
  questions.asked.emplace(id, std::move(question));
}

// Their streams stay held: others of the pair wait behind them.
void Edge::Impl::answer_lost(Now now) {
  while (auto lost = inward.outboxes.poll())
    refuse_inward(*lost->pair, lost->queued, Code::kDeliveryQueueFull, now);
}

// The core has not heard of the stanza, so that the edge answers it.
void Edge::Impl::refuse_inward(const Pair& pair, const Queued& queued, Code code, Now now) {
  if (is_with_its_server(queued.ticket)) return;
  const xmpp::Stanza& stanza = queued.stanza;
  ++report.refused;
  const auto& row = code_row(code);
  log.log({LogLevel::kInfo,
           stanza.is_error() ? "answer.lost" : "stanza.refused",
           {{"local", pair.local.ascii()},
            {"remote", pair.remote.ascii()},
            {"direction", "in"},
            {"id", std::string(stanza.id())},
            {"code", std::string(row.name)}}});
  const auto condition = stanza_condition(code, SenderSide::kPublic);
  endpoint.answer(pair, xmpp::bounce(stanza, condition, row.sentence), inward.receipts.take(queued.ticket),
                  now);
}

}  // namespace sallyport::gate
