// What one source may have of what all share in an edge: questions to the core, and the memory for stanzas
// that wait for credit inward.
#include "gate/edge_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

// Every question is asked, whatever policy says of the pair (XEP-0220 2.1.1 step 3: an authoritative server
// answers for its domains), and anybody may ask: therefore each address has a share only.
void Edge::Impl::ask_verdict(AskCheck check, Now now) {
  const auto refuse = [&](Code code) {
    side.handle_key_checked(check.conn, check.pair, check.stream_id, Error{code, {}}, now);
  };
  if (!link || !link->session().is_up()) return refuse(Code::kLinkDown);
  const Shares<std::uint64_t>::Keys asker{side.peer_source(check.conn)};
  auto place = verdicts.place(asker);
  for (; place.loser != nullptr; place = verdicts.place(asker)) {
    // The core's answer to it finds nobody who waits.
    auto node = asked.extract(*place.loser);
    Asked& lost = node.mapped();
    lost.part.reset();
    side.handle_key_checked(lost.conn, lost.pair, lost.stream_id, Error{Code::kDialbackTooMany, {}}, now);
  }
  if (place.room != Shares<std::uint64_t>::Room::kFree) return refuse(Code::kDialbackTooMany);
  const auto id = link->session().ask(link::VerdictAsk{check.pair, check.stream_id, std::move(check.key)});
  Asked question{check.conn, std::move(check.pair), std::move(check.stream_id), true};
  question.part = verdicts.hold(asker, id);
  asked.emplace(id, std::move(question));
}

bool Edge::Impl::may_wait(const Pair& pair, Inward& in, std::size_t size, Now now) {
  if (!in.waiting)
    in.waiting = inward_waiting.hold({std::string(parent_of_domain(pair.remote.ascii()))}, &pair, 0);
  for (;;) {
    const auto place = inward_waiting.place(in.waiting, size + limits::kStanzaOverheadBytes);
    if (place.room == Shares<const Pair*>::Room::kFree) return true;
    if (place.loser == nullptr) return false;
    // Of the peer that holds most the pair that has waited longest. Its streams stay held: what is left
    // waits.
    auto* loser = inward_pairs.find(**place.loser);
    refuse_inward(loser->first, pop_front(loser->second), now);
  }
}

void Edge::Impl::push_back(Inward& in, xmpp::Stanza stanza) {
  inward_waiting.add(in.waiting, stanza.xml().size() + limits::kStanzaOverheadBytes);
  in.queue.push_back(std::move(stanza));
}

xmpp::Stanza Edge::Impl::pop_front(Inward& in) {
  xmpp::Stanza first = in.queue.pop_front();
  inward_waiting.remove(in.waiting, first.xml().size() + limits::kStanzaOverheadBytes);
  return first;
}

// The core has not heard of the stanza, so that the edge answers it.
void Edge::Impl::refuse_inward(const Pair& pair, const xmpp::Stanza& stanza, Now now) {
  ++refused;
  const auto& row = code_row(Code::kDeliveryQueueFull);
  log.log({LogLevel::kInfo,
           stanza.is_error() ? "answer.lost" : "stanza.refused",
           {{"local", pair.local.ascii()},
            {"remote", pair.remote.ascii()},
            {"direction", "in"},
            {"id", std::string(stanza.id())},
            {"code", std::string(row.name)}}});
  const auto condition = stanza_condition(Code::kDeliveryQueueFull, Sender::kWorld);
  if (auto answer = xmpp::bounce(stanza, condition, row.sentence))
    side.send(pair, std::move(*answer), 0, now);
}

}  // namespace sallyport::gate
