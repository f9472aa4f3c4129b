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

Core::Impl::Impl(CoreSetup setup_in, Random& random_in, LogSink& log_in, Now now)
    : setup(std::move(setup_in)),
      log(log_in),
      random(random_in),
      in_force(std::make_unique<PolicyInForce>(std::move(setup.policy))),
      view(setup.config),
      endpoint({"inside", view, ids, random_in, log_in, setup.config.limits}),
      ends(setup.config.edges.size(), outputs),
      outboxes({.total = setup.config.limits.waiting_bytes,
                .per_peer = limits::waiting_share(setup.config.limits.waiting_bytes),
                .per_feed = limits::internal_share(setup.config.limits.waiting_bytes)},
               [](const Pair& pair) { return std::string(parent_of_domain(pair.remote.ascii())); }),
      // Keys on the inside face are made from a secret of their own: no internal server can have the core
      // make a key that the world would take.
      inside_secret(to_hex(hmac_sha256(setup.dialback_secret, "inside"))),
      since(now.civil) {
  view.use(in_force.get());
  for (std::size_t i = 0; i < ends.size(); ++i) {
    links.emplace_back(log);
    // The core's name is an inside name, and an edge knows its cores by names of its own.
    ends.make(i, {link::Role::kCore, "core", setup.version, setup.instance});
    links[i].next_dial = now.mono;
    dial(i, now);
  }
}

void Core::apply(std::shared_ptr<const config::PreparedPolicy> policy, Now now) {
  impl_->apply(std::move(policy), now);
  impl_->turn(now);
}

void Core::Impl::apply(std::shared_ptr<const config::PreparedPolicy> policy, Now now) {
  auto old = std::exchange(in_force, std::make_unique<PolicyInForce>(std::move(policy)));
  view.use(in_force.get());
  period = {};
  outputs.push_back(Discard{old->policy()});
  log.log({LogLevel::kInfo,
           "policy.applied",
           {{"generation", std::to_string(in_force->update().generation)},
            {"sha256", to_hex(in_force->update().policy_sha256)}}});
  for (auto& [pair, out] : pairs) judge_again(pair, out, now);
  endpoint.judge_again(now);
  for (std::size_t i = 0; i < ends.size(); ++i)
    if (ends.at(i).session().is_up()) push(i);
}

// What waits was judged by the old policy, and is not judged again when there is credit for it.
void Core::Impl::judge_again(const Pair& pair, PairState& out, Now now) {
  // Where the pair may start all of it may go: one judgement for thousands of stanzas.
  const auto& rules = in_force->rules();
  if (out.box.empty() || rules.judge(pair, policy::Direction::kOut, now.civil).result) return;
  // Where only the remote side might start, all that waits answered it, and its questions are closed.
  const bool answers_only = out.judged.is_known && out.judged.in && !out.judged.out;
  if (answers_only && rules.judge(pair, policy::Direction::kIn, now.civil).result) return;
  for (std::size_t left = out.box.size(); left > 0; --left) {
    Queued first = outboxes.pop(out.box);
    if (const auto may = may_pass(pair, first.stanza, policy::Direction::kOut, now)) {
      outboxes.put_back(pair, out.box, std::move(first));
    } else {
      answer_inside(first.stanza, may.error(), setup.config.name.ascii(), now);
    }
  }
  release(out);
}

// --- inputs

void Core::handle_accepted(ConnId conn, const Accepted& accepted, Now now) {
  if (impl_->draining) {
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
  for (std::size_t i = 0; i < impl_->links.size(); ++i) {
    if (impl_->links[i].dialling != conn) continue;
    impl_->links[i].dialling.reset();
    impl_->not_linked(i, error, now);
    impl_->turn(now);
    return;
  }
  // What the driver's dialler calls refused is, on this face, an internal server that does not answer.
  if (error.code == Code::kDialRefused || error.code == Code::kDialTimeout) error.code = Code::kDialInside;
  impl_->endpoint.handle_dial_failed(conn, error, now);
  impl_->turn(now);
}

void Core::handle_link(ConnId conn, std::size_t peer, const dns::Endpoint& address, Now now) {
  if (peer >= impl_->links.size() || impl_->links[peer].dialling != conn) {
    impl_->outputs.push_back(Disconnect{conn});
    return;
  }
  impl_->links[peer].dialling.reset();
  impl_->links[peer].unwanted = false;
  impl_->ends.at(peer).handle_link(conn, address, now);
  impl_->turn(now);
}

void Core::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  if (const auto edge = impl_->ends.node_of(conn)) {
    impl_->ends.at(*edge).session().handle_bytes(bytes, now.mono);
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
  if (const auto edge = impl_->ends.node_of(conn)) {
    impl_->ends.at(*edge).handle_disconnected(now);
    impl_->link_down(*edge, error, false, now);
  } else {
    impl_->endpoint.handle_disconnected(conn, error, now);
  }
  impl_->turn(now);
}

void Core::handle_timeout(Now now) {
  impl_->handle_timeout(now);
  impl_->turn(now);
}

void Core::Impl::handle_timeout(Now now) {
  endpoint.handle_timeout(now);
  ends.handle_timeout(now);
  for (std::size_t i = 0; i < links.size(); ++i) {
    Link& link = links[i];
    if (!ends.at(i).conn() && !link.dialling && link.next_dial <= now.mono) dial(i, now);
    if (link.give_up && *link.give_up <= now.mono) give_up(i, now);
  }
  outboxes.handle_timeout(now.mono);
  answer_lost(now);
}

std::optional<Time> Core::poll_timeout() const { return impl_->next_timeout(); }

std::optional<Time> Core::Impl::next_timeout() const {
  auto next = endpoint.poll_timeout();
  const auto earlier = [&next](std::optional<Time> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  earlier(ends.poll_timeout());
  for (std::size_t i = 0; i < links.size(); ++i) {
    earlier(links[i].give_up);
    if (!ends.at(i).conn() && !links[i].dialling && !draining) earlier(links[i].next_dial);
  }
  earlier(outboxes.poll_timeout());
  return next;
}

std::optional<Output> Core::poll() {
  if (impl_->outputs.empty()) return std::nullopt;
  auto output = std::move(impl_->outputs.front());
  impl_->outputs.pop_front();
  return output;
}

bool Core::take_output(ConnId conn, std::string& out, Now) {
  if (const auto taken = impl_->ends.take_output(conn, out)) return *taken;
  return impl_->endpoint.take_output(conn, out);
}

void Core::drain(Now now) {
  impl_->draining = true;
  impl_->endpoint.close_all({Code::kStreamShutdown, {}}, now);
  impl_->turn(now);
}

bool Core::is_drained() const {
  return impl_->draining && impl_->endpoint.is_empty() && impl_->unsettled == 0;
}

bool Core::is_proved(ConnId conn) const { return impl_->endpoint.is_proved(conn); }

std::string Core::control(std::string_view text, Now now) {
  auto question = Question::parse(text);
  if (!question) return refusal(question.error());
  const std::string& ask = question->ask;
  if (ask == "status") return impl_->status();
  if (ask == "connections") return impl_->connections();
  if (ask == "explain") return impl_->explain(question->from, question->to, now);
  if (ask == "policy test") return impl_->policy_test(question->from, question->to, now);
  if (ask == "policy show") return impl_->policy_show();
  if (ask == "drain") {
    drain(now);
    return R"({"draining":true})";
  }
  return refusal({Code::kControlRefused, "a core does not answer `" + ask + "`"});
}

// --- one turn: outputs of the face and events of the links are carried to each other until all are silent

void Core::Impl::turn(Now now) {
  for (bool any = true; any;) {
    any = false;
    while (auto output = endpoint.poll()) {
      std::visit([&](auto&& each) { on(std::move(each), now); }, std::move(*output));
      any = true;
    }
    while (auto told = ends.poll()) {
      std::visit([&](auto&& event) { on(told->node, std::move(event), now); }, std::move(told->event));
      any = true;
    }
    if (ends.flush(now)) any = true;
  }
}

// --- what the endpoint tells

void Core::Impl::on(Output&& output, Now) { outputs.push_back(std::move(output)); }

void Core::Impl::on(On<s2s::StanzaRejected>&& rejected, Now now) {
  ++stanzas.refused;
  if (auto reply = answer_bad(rejected.event.stanza, Sender::kInside))
    endpoint.send(rejected.event.proof.pair(), std::move(*reply), 0, now);
}

// The internal server of the pair takes stanzas: the edge may have more of them on their way.
void Core::Impl::on(On<s2s::PairReady>&& ready, Now) {
  const Pair& pair = ready.event.proof.pair();
  const config::Served* served = in_force->served_inside(pair.remote);
  if (served == nullptr) return;
  for (std::size_t i = 0; i < ends.size(); ++i)
    ends.at(i).session().grant({served->name, pair.local}, limits::kChannelWindowMaxBytes);
}

void Core::Impl::on(On<s2s::NeedKey>&& need, Now now) {
  const auto& [pair, stream_id] = need.event;
  endpoint.handle_key(need.conn, pair, stream_id, inside_key(pair, stream_id), now);
}

void Core::Impl::on(On<s2s::CheckKey>&& check, Now now) {
  const auto& [pair, stream_id, key] = check.event;
  const bool valid = equal_constant_time(inside_key(pair, stream_id), key);
  endpoint.handle_key_checked(check.conn, pair, stream_id, valid, now);
}

// A core knows every name: its judge never asks.
void Core::Impl::on(On<s2s::AskAdmission>&&, Now) {}

}  // namespace sallyport::gate
