// Messages that the spool keeps, where policy says `delivery = "durable"`: the durable queue decides when
// each is sent, and this part sends it as a stanza that is not kept is sent.
#include "gate/core_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

bool Core::Impl::is_durable(PairEntry& entry, const xmpp::Stanza& stanza, Now now) {
  if (!durable.has_spool || stanza.kind() != xmpp::StanzaKind::kMessage) return false;
  auto& [pair, out] = entry;
  Decided& decided = up_to_date(out.decided, now);
  if (!decided.durable)
    decided.durable = policy.in_force->rules().peer(pair.remote).delivery == policy::Delivery::kDurable;
  if (!*decided.durable) return false;
  // A room outside takes messages of those who are in it only: after it was lost, our users are not.
  if (stanza.type() == "groupchat" && stanza.to_domain() == pair.remote.ascii() &&
      !presence.shown.is_shown(pair, policy::Direction::kOut, stanza.from().text(), stanza.to().text()))
    return false;
  return may_be_stored(stanza);
}

void Core::Impl::keep_outward(PairEntry& entry, xmpp::Stanza stanza, const Source& from, Now now) {
  const Ticket receipt =
      from.number ? outward.tickets.put({&entry, StreamReceipt{from.conn, *from.number}}) : 0;
  const auto kept = durable.queue.accept({policy::Direction::kOut, entry.first}, stanza, receipt, now);
  if (!kept) {
    return answer_internal(stanza, kept.error(), setup.config.name.ascii(), now, take_receipt(receipt));
  }
  // Before the presence or request behind it, which does not wait for a disk.
  drain_durable(now);
  if (durable.queue.presses() && durable.held.insert(from.conn).second) endpoint.hold(from.conn, true);
}

void Core::Impl::keep_inward(const Pair& pair, xmpp::Stanza stanza, const Arriving& arriving, Now now) {
  const Ticket receipt = inward.arriving.put(arriving);
  const auto kept = durable.queue.accept({policy::Direction::kIn, pair}, stanza, receipt, now);
  if (kept) return void(drain_durable(now));
  inward.arriving.take(receipt);
  refuse_inward(pair, stanza, kept.error(), setup.config.name.ascii(), now,
                Owed{arriving, kept.error().code});
}

void Core::Impl::release_spool() {
  if (durable.queue.presses()) return;
  for (const ConnId conn : durable.held) endpoint.hold(conn, false);
  durable.held.clear();
}

// --- events of the queue

bool Core::Impl::drain_durable(Now now) {
  bool any = false;
  while (auto event = durable.queue.poll()) {
    std::visit([&](auto&& each) { on(std::move(each), now); }, std::move(*event));
    any = true;
  }
  return any;
}

void Core::Impl::on(DurableQueue::Send&& send, Now now) {
  send.flow.direction == policy::Direction::kOut ? send_outward(std::move(send), now)
                                                 : send_inward(std::move(send), now);
}

// Policy may have changed while the message waited.
void Core::Impl::send_outward(DurableQueue::Send&& send, Now now) {
  PairEntry& entry = state_of(send.flow.pair);
  Queued queued{.stanza = std::move(send.stanza),
                .ticket = outward.tickets.put({.pair = &entry, .message = send.message}),
                .deadline = now.mono + limits::kDeliveryTimeout,
                .attempt = send.attempt};
  std::optional<Error> refused;
  if (report.draining) refused = {Code::kStreamShutdown, {}};
  if (!refused && !any_ready()) refused = {Code::kLinkDown, {}};
  if (!refused && !send.is_new) {
    if (auto may = may_pass(entry, queued.stanza, policy::Direction::kOut, now); !may) refused = may.error();
  }
  if (refused) return answer_queued(queued, *refused, setup.config.name.ascii(), now);
  place(entry, std::move(queued), std::nullopt, now);
}

void Core::Impl::send_inward(DurableQueue::Send&& send, Now now) {
  const Pair& pair = send.flow.pair;
  std::optional<Error> refused;
  if (report.draining) refused = {Code::kStreamShutdown, {}};
  if (!refused && !send.is_new) {
    auto may = may_pass(state_of(pair), send.stanza, policy::Direction::kIn, now);
    if (!may) refused = may.error();
  }
  if (refused) {
    if (durable.queue.handle_settled(send.message, refused, now))
      refuse_inward(pair, send.stanza, DurableQueue::answer_to(*refused), setup.config.name.ascii(), now,
                    Owed{{.message = send.message}, refused->code});
    return;
  }
  const Ticket ticket = inward.arriving.put({.message = send.message});
  deliver_internally(pair, std::move(send.stanza), ticket, now, send.attempt);
}

void Core::Impl::on(DurableQueue::Accepted&& accepted, Now now) {
  if (accepted.direction == policy::Direction::kOut) return acknowledge(accepted.receipt, now);
  if (const auto arriving = inward.arriving.take(accepted.receipt)) settle(*arriving, std::nullopt, now);
}

void Core::Impl::on(DurableQueue::Bounced&& bounced, Now now) {
  const auto& [flow, message, stanza, error] = bounced;
  const std::string& leg = setup.config.name.ascii();
  if (flow.direction == policy::Direction::kOut) {
    answer_internal(stanza, error, leg, now,
                    message == 0 ? std::nullopt : std::optional(StreamReceipt{0, 0, message}));
  } else {
    refuse_inward(flow.pair, stanza, error, leg, now,
                  message == 0 ? std::nullopt : std::optional(Owed{{.message = message}, error.code}));
  }
}

Core::Impl::Kept Core::Impl::settle_durable(Ticket ticket, const std::optional<Error>& refused, Now now) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  if (found == nullptr || found->message == 0) return {};
  const std::uint64_t message = outward.tickets.take(ticket)->message;
  return {message, !durable.queue.handle_settled(message, refused, now)};
}

const Error* Core::Impl::refused_with(Ticket ticket) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  return found == nullptr ? nullptr : durable.queue.refused_with(found->message);
}

}  // namespace sallyport::gate
