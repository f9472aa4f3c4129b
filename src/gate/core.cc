#include "gate/core.h"

#include "gate/control.h"
#include "gate/core_impl.h"
#include "gate/reply.h"

#include <boost/json.hpp>

namespace sallyport::gate {

Core::Core(CoreSetup setup, Random& random, LogSink& log, Now now)
    : impl_(std::make_unique<Impl>(std::move(setup), random, log, now)) {
  impl_->turn(now);
}
Core::~Core() = default;

Core::Impl::Impl(CoreSetup setup_in, Random& random, LogSink& log_in, Now now)
    : setup(std::move(setup_in)),
      log(log_in),
      // No internal server can have the core make a key that a remote server would accept.
      policy{std::make_unique<PolicyInForce>(std::move(setup.policy)), CorePolicyView(setup.config),
             to_hex(hmac_sha256(setup.dialback_secret, "inside"))},
      endpoint({"inside", policy.view, ids, random, log_in, setup.config.limits}),
      links{LinkSet(setup.config.edges.size(), outputs), random},
      outward{Outboxes({.total = setup.config.limits.waiting_bytes,
                        .per_peer = limits::waiting_share(setup.config.limits.waiting_bytes),
                        .per_feed = limits::internal_share(setup.config.limits.waiting_bytes)},
                       remote_peer)},
      durable{DurableQueue({.bytes_max = setup.config.delivery.spool_bytes,
                            .lifetime = setup.config.delivery.lifetime,
                            .answer_patience = setup.config.delivery.lifetime_memory,
                            .random = random,
                            .log = log_in,
                            .shard = setup.shard}),
              setup.spool.has_value()},
      report{.since = now.civil} {
  policy.view.use(policy.in_force.get());
  if (setup.spool) durable.queue.restore(*std::exchange(setup.spool, std::nullopt), now);
  for (std::size_t i = 0; i < links.ends.size(); ++i) {
    links.state.emplace_back(log);
    // The core's name is an internal name, and an edge knows its cores by names of its own.
    links.ends.make(i, {.role = link::NodeRole::kCore,
                        .name = "core",
                        .version = setup.version,
                        .instance = setup.instance,
                        .may_repeat = [this](const Pair& pair, const xmpp::Stanza& stanza, Ticket ticket) {
                          const auto* found = outward.map.find(pair);
                          const bool has_others = found != nullptr && !found->second.handed_back.empty();
                          return !has_others && refused_with(ticket) == nullptr && may_repeat(pair, stanza);
                        }});
    links.state[i].next_dial = now.mono;
    dial(i, now);
  }
}

void Core::apply(std::shared_ptr<const config::PreparedPolicy> policy, Now now) {
  impl_->apply(std::move(policy), now);
  impl_->turn(now);
}

void Core::Impl::apply(std::shared_ptr<const config::PreparedPolicy> next, Now now) {
  auto old = std::exchange(policy.in_force, std::make_unique<PolicyInForce>(std::move(next)));
  policy.view.use(policy.in_force.get());
  policy.period = {};
  outputs.push_back(Discard{old->policy()});
  log.log({LogLevel::kInfo,
           "policy.applied",
           {{"generation", std::to_string(policy.in_force->update().generation)},
            {"sha256", to_hex(policy.in_force->update().policy_sha256)}}});
  for (auto& [pair, out] : outward.map) check_again(pair, out, now);
  endpoint.check_again(now);
  for (const Pair& pair : presence.shown.pairs(policy::Direction::kIn))
    if (!policy.in_force->rules().may_answer(pair, now.civil)) lose_remote(pair, now);
  for (std::size_t i = 0; i < links.ends.size(); ++i)
    if (links.ends.at(i).session().is_up()) push(i);
}

// Stanzas that wait were checked against the old policy, and are not checked again when there is credit.
void Core::Impl::check_again(const Pair& pair, PairState& out, Now now) {
  // Where the pair may start all of it may go: one decision for thousands of stanzas.
  const auto& rules = policy.in_force->rules();
  if (out.box.empty() || rules.decide(pair, policy::Direction::kOut, now.civil).result) return;
  // Where only the remote side might start, all that waits answered it, and its questions are closed.
  const bool answers_only = out.decided.is_known && out.decided.in && !out.decided.out;
  if (answers_only && rules.decide(pair, policy::Direction::kIn, now.civil).result) return;
  for (std::size_t left = out.box.size(); left > 0; --left) {
    Queued first = outward.outboxes.pop(out.box);
    if (const auto may = may_pass(state_of(pair), first.stanza, policy::Direction::kOut, now)) {
      outward.outboxes.put_back(pair, out.box, std::move(first));
    } else {
      answer_queued(first, may.error(), setup.config.name.ascii(), now);
    }
  }
  release(out);
}

// --- inputs

void Core::handle_accepted(ConnId conn, const Accepted& accepted, Now now) {
  if (impl_->report.draining) {
    impl_->outputs.push_back(Disconnect{conn});
    return;
  }
  impl_->endpoint.handle_accepted(conn, accepted, now);
  impl_->turn(now);
}

void Core::handle_connected(ConnId conn, const Connected& connected, Now now) {
  impl_->endpoint.handle_connected(conn, connected, now);
  impl_->turn(now);
}

void Core::handle_dial_failed(ConnId conn, Error error, Now now) {
  for (std::size_t i = 0; i < impl_->links.state.size(); ++i) {
    if (impl_->links.state[i].dialling != conn) continue;
    impl_->links.state[i].dialling.reset();
    impl_->not_linked(i, error, now);
    impl_->turn(now);
    return;
  }
  // A dial that is refused here is an internal server that does not answer.
  if (error.code == Code::kDialRefused || error.code == Code::kDialTimeout) error.code = Code::kDialInside;
  impl_->endpoint.handle_dial_failed(conn, error, now);
  impl_->turn(now);
}

void Core::handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) {
  if (peer >= impl_->links.state.size() || impl_->links.state[peer].dialling != conn) {
    impl_->outputs.push_back(Disconnect{conn});
    return;
  }
  impl_->links.state[peer].dialling.reset();
  impl_->links.state[peer].unwanted = false;
  impl_->links.ends.at(peer).handle_link(conn, address, now);
  impl_->turn(now);
}

void Core::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  if (const auto edge = impl_->links.ends.node_of(conn)) {
    impl_->links.ends.at(*edge).session().handle_bytes(bytes, now.mono);
  } else {
    impl_->endpoint.handle_bytes(conn, bytes, now);
  }
  impl_->turn(now);
}

void Core::handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) {
  impl_->endpoint.handle_tls(conn, facts, now);
  impl_->turn(now);
}

void Core::handle_written(ConnId conn, std::uint64_t bytes_total, Now now) {
  impl_->endpoint.handle_written(conn, bytes_total, now);
  impl_->turn(now);
}

void Core::handle_disconnected(ConnId conn, Error error, Now now) {
  if (const auto edge = impl_->links.ends.node_of(conn)) {
    impl_->links.ends.at(*edge).handle_disconnected(now);
    impl_->link_down(*edge, error, false, now);
  } else {
    impl_->endpoint.handle_disconnected(conn, error, now);
  }
  impl_->turn(now);
}

void Core::handle_spooled(store::SpoolAnswer answer, Now now) {
  impl_->durable.queue.handle_answer(std::move(answer), now);
  impl_->turn(now);
}

void Core::handle_timeout(Now now) {
  impl_->handle_timeout(now);
  impl_->turn(now);
}

void Core::Impl::handle_timeout(Now now) {
  endpoint.handle_timeout(now);
  links.ends.handle_timeout(now);
  for (std::size_t i = 0; i < links.state.size(); ++i) {
    Link& link = links.state[i];
    if (!links.ends.at(i).conn() && !link.dialling && link.next_dial <= now.mono) dial(i, now);
    if (link.give_up && *link.give_up <= now.mono) give_up(i, now);
  }
  outward.outboxes.handle_timeout(now.mono);
  answer_lost(now);
  durable.queue.handle_timeout(now);
  look_for_silence(now);
}

std::optional<Time> Core::poll_timeout() const { return impl_->next_timeout(); }

std::optional<Time> Core::Impl::next_timeout() const {
  auto next = endpoint.poll_timeout();
  const auto earlier = [&next](std::optional<Time> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  earlier(links.ends.poll_timeout());
  for (std::size_t i = 0; i < links.state.size(); ++i) {
    earlier(links.state[i].give_up);
    if (!links.ends.at(i).conn() && !links.state[i].dialling && !report.draining)
      earlier(links.state[i].next_dial);
  }
  earlier(outward.outboxes.poll_timeout());
  earlier(durable.queue.poll_timeout());
  earlier(presence.next_look);
  if (report.draining) earlier(report.looks_at);
  return next;
}

std::optional<Output> Core::poll() {
  if (impl_->outputs.empty()) return std::nullopt;
  auto output = std::move(impl_->outputs.front());
  impl_->outputs.pop_front();
  return output;
}

bool Core::take_output(ConnId conn, std::string& out, Now) {
  if (const auto taken = impl_->links.ends.take_output(conn, out)) return *taken;
  return impl_->endpoint.take_output(conn, out);
}

bool Core::is_proved(ConnId conn) const { return impl_->endpoint.is_proved(conn); }

std::string Core::control(std::string_view text, Now now) {
  auto question = ControlQuestion::parse(text);
  if (!question) return refusal(question.error());
  const std::string& ask = question->ask;
  if (ask == "status") return impl_->status();
  if (ask == "connections") return impl_->connections();
  if (ask == "explain") return impl_->explain(question->from, question->to, now);
  if (ask == "policy test") return impl_->policy_test(question->from, question->to, now);
  if (ask == "policy show") return impl_->policy_show();
  if (ask == "queue list") return impl_->queue_list(*question, now);
  if (ask == "queue retry" || ask == "queue purge") {
    std::string answer = impl_->queue_order(*question, now);
    impl_->turn(now);
    return answer;
  }
  if (ask == "drain") {
    drain(now);
    return R"({"draining":true})";
  }
  return refusal({Code::kControlRefused, "a core does not answer `" + ask + "`"});
}

// --- one turn: outputs of the endpoint and events of the links are carried to each other until there are
// none

void Core::Impl::turn(Now now) {
  for (bool any = true; any;) {
    any = false;
    while (auto output = endpoint.poll()) {
      std::visit([&](auto&& each) { on(std::move(each), now); }, std::move(*output));
      any = true;
    }
    while (auto told = links.ends.poll()) {
      std::visit([&](auto&& event) { on(told->node, std::move(event), now); }, std::move(told->event));
      any = true;
    }
    if (drain_durable(now)) any = true;
    if (links.ends.flush(now)) any = true;
    if (report.draining && answer_stranded(now)) any = true;
  }
  if (!durable.held.empty()) release_spool();
  if (auto batch = durable.queue.poll_batch(now)) outputs.push_back(SpoolWork{std::move(batch)});
}

// --- outputs of the endpoint

void Core::Impl::on(Output&& output, Now) { outputs.push_back(std::move(output)); }

void Core::Impl::on(On<s2s::StanzaRejected>&& rejected, Now now) {
  ++report.refused;
  if (auto reply = answer_bad(rejected.event.stanza, SenderSide::kInternal))
    endpoint.send(rejected.event.proof.pair(), std::move(*reply), 0, now);
}

// The internal server of the pair takes stanzas: the edge may have more of them on their way.
void Core::Impl::on(On<s2s::PairReady>&& ready, Now now) {
  const Pair& pair = ready.event.proof.pair();
  const config::Served* served = policy.in_force->served_by_internal_name(pair.remote);
  if (served == nullptr) return;
  for (std::size_t i = 0; i < links.ends.size(); ++i)
    links.ends.at(i).session().grant({served->name, pair.local}, limits::kChannelWindowMaxBytes);
  durable.queue.wake_local(policy::Direction::kIn, served->name, now);
}

void Core::Impl::on(On<s2s::NeedKey>&& need, Now now) {
  const auto& [pair, stream_id] = need.event;
  endpoint.handle_key(need.conn, pair, stream_id, internal_key(pair, stream_id), now);
}

void Core::Impl::on(On<s2s::CheckKey>&& check, Now now) {
  const auto& [pair, stream_id, key] = check.event;
  const bool valid = equal_constant_time(internal_key(pair, stream_id), key);
  endpoint.handle_key_checked(check.conn, pair, stream_id, valid, now);
}

// A core knows every name: its policy never asks.
void Core::Impl::on(On<s2s::AskAdmission>&&, Now) {}

}  // namespace sallyport::gate
