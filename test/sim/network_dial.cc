// How connections of the simulation are made, and how they become secure.
#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "network.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

// --- dialling

void Network::dial(std::size_t number, ConnId conn, Dialling dialling) {
  const auto add = [&](const SocketAddress& endpoint, std::string how) {
    if (std::ranges::find(dialling.plan.avoid, endpoint) == dialling.plan.avoid.end())
      dialling.candidates.emplace_back(endpoint, std::move(how));
  };
  if (dialling.edge) {
    add(nodes_[edges_[*dialling.edge]].addresses.at(1), "link");
  }
  for (const auto& step : dialling.plan.steps) {
    if (step.address.is_ip) {
      add({*dns::Ip::parse(step.address.host), step.address.port}, "static route");
    } else if (const auto it = names_.find(step.address.host); it != names_.end()) {
      for (const auto& endpoint : it->second) add(endpoint, "static route");
    }
  }
  if (dialling.plan.dns) {
    const auto it = names_.find(dialling.plan.dns->ascii());
    if (it == names_.end()) {
      dialling.error = {Code::kDnsNoName, dialling.plan.dns->ascii()};
    } else {
      for (const auto& endpoint : it->second) add(endpoint, "SRV " + endpoint.text());
    }
  }
  dials_[{number, conn}] = std::move(dialling);
  schedule_.in(chance_.between(100us, 20'000us), [this, number, conn] { attempt(number, conn); });
}

void Network::attempt(std::size_t number, ConnId conn) {
  const auto it = dials_.find({number, conn});
  if (it == dials_.end()) return;
  Dialling& d = it->second;
  if (d.next >= d.candidates.size()) {
    const Error error = d.error;
    dials_.erase(it);
    nodes_[number].role->handle_dial_failed(conn, error, now_of(number));
    drain(number);
    return;
  }
  const auto [endpoint, how] = d.candidates[d.next++];
  std::optional<std::size_t> target;
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (std::ranges::find(nodes_[i].addresses, endpoint) != nodes_[i].addresses.end()) target = i;
  if (target && parted(number, *target))
    return next_attempt(number, conn, {Code::kDialTimeout, endpoint.text()}, limits::kConnectTimeout);
  const bool link = d.edge.has_value();
  const bool open = target && nodes_[*target].role != nullptr && (link || nodes_[*target].listening);
  if (!open || chance_.one_in(faults_.refuse_dial_one_in))
    return next_attempt(number, conn, {Code::kDialRefused, endpoint.text()}, latency_ * 2);
  dials_.erase(it);
  connect(number, conn, *target, endpoint, link, how);
}

void Network::next_attempt(std::size_t number, ConnId conn, Error error, Duration delay) {
  dials_[{number, conn}].error = std::move(error);
  schedule_.in(delay, [this, number, conn] { attempt(number, conn); });
}

void Network::connect(std::size_t number, ConnId conn, std::size_t target, const SocketAddress& endpoint,
                      bool link, const std::string& how) {
  const WireId id = ++last_wire_;
  auto made = std::make_unique<Wire>();
  Wire& w = *made;
  wires_[id] = std::move(made);
  w.link = link;
  w.latency = chance_.between(latency_ / 2, latency_ * 2);
  w.capacity = std::max<std::size_t>(512, chance_.up_to(pipe_bytes_));
  w.ends[0] = {.node = number, .conn = conn, .known = true};
  w.ends[1] = {.node = target};
  for (auto& end : w.ends) end.flow = ++last_flow_;
  conns_[{number, conn}] = {id, 0};
  const SocketAddress own = endpoint;
  if (link) {
    // Mutual TLS is the driver's: both ends have it before either role hears of the link.
    w.secure = true;
    w.ends[1].conn = nodes_[target].last_accepted += 2;
    w.ends[1].known = true;
    conns_[{target, w.ends[1].conn}] = {id, 1};
    const std::size_t edge = static_cast<std::size_t>(std::ranges::find(edges_, target) - edges_.begin());
    nodes_[target].role->handle_link(w.ends[1].conn, 0, nodes_[number].addresses.at(0), now_of(target));
    drain(target);
    if (Wire* again = wire(id); again == nullptr || !again->ends[0].known) return;
    nodes_[number].role->handle_link(conn, edge, endpoint, now_of(number));
    drain(number);
    return;
  }
  const bool direct = !nodes_[target].is_core && chance_.one_in(faults_.direct_tls_one_in);
  schedule_.in(w.latency, [this, id, own] { accept(id, own); });
  w.ends[1].last_at = schedule_.now() + w.latency;
  nodes_[number].role->handle_connected(conn, {endpoint, direct, how}, now_of(number));
  drain(number);
}

void Network::accept(WireId id, const SocketAddress& own) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  End& end = w->ends[1];
  Node& n = nodes_[end.node];
  end.conn = n.last_accepted += 2;
  if (n.role == nullptr || w->cut) {
    cut(id);
    end_known(id, 0, {Code::kStreamLost, "connection reset"});
    return;
  }
  end.known = true;
  conns_[{end.node, end.conn}] = {id, 1};
  const auto& initiator = w->ends[0].tls;
  const bool direct = initiator && initiator->direct;
  const SocketAddress peer = nodes_[w->ends[0].node].addresses.at(0);
  const std::string sni = direct ? initiator->server_name : std::string();
  const auto number = end.node;
  const ConnId conn = end.conn;
  n.role->handle_accepted(conn, {peer, own, direct}, now_of(number));
  drain(number);
  if (!direct || !conns_.contains({number, conn})) return arrive(id, 1);
  // The driver begins that handshake by itself, with the certificate of the name that is asked for.
  const auto name = xmpp::Domain::parse(sni);
  if (!name) return fail_tls(id, 1);
  begin_tls(id, 1, {conn, true, *name, sni, true});
}

// --- TLS, as facts

void Network::begin_tls(WireId id, int side, gate::BeginTls tls) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  End& end = w->ends[side];
  // Write what is left in plain text first.
  if (end.known) {
    std::string plain;
    if (nodes_[end.node].role->take_output(end.conn, plain, now_of(end.node))) end.pending += plain;
  }
  end.tls = std::move(tls);
  pump_soon(id, side, 0us);
  if (!end.arrived.empty()) schedule_.in(0us, [this, id, side] { read_some(id, side); });
}

void Network::shake_if_due(WireId id) {
  Wire* w = wire(id);
  if (w == nullptr || w->secure || w->shaking || w->cut) return;
  for (const auto& end : w->ends)
    if (!end.tls || !end.pending.empty() || end.in_bytes != 0 || !end.known) return;
  w->shaking = true;
  schedule_.in(w->latency * 2, [this, id] { shake(id); });
}

std::optional<Certificate> Network::shown(const End& end) {
  const Node& n = nodes_[end.node];
  const std::string& domain = end.tls->own.ascii();
  if (!n.is_edge) return n.certificate ? n.certificate(domain) : std::nullopt;
  for (const auto& pem : n.pushed)
    if (std::ranges::find(pem.names, domain) != pem.names.end()) return Certificate{pem.names, "public"};
  return std::nullopt;
}

s2s::TlsFacts Network::facts(const End& viewer, const End& peer, const gate::BeginTls& initiator) {
  s2s::TlsFacts facts;
  facts.version = "TLSv1.3";
  facts.cipher = "TLS_AES_128_GCM_SHA256";
  if (initiator.direct) facts.alpn = "xmpp-server";
  if (shown(viewer)) facts.own_certificate = viewer.tls->own.ascii();
  facts.server_name = initiator.server_name;
  if (const auto theirs = shown(peer)) {
    facts.peer_certificate = true;
    facts.names.dns = theirs->names;
    facts.chain = nodes_[viewer.node].trusts.contains(theirs->issuer)
                      ? Result<void>()
                      : Result<void>(Error{Code::kTlsUntrusted, theirs->issuer});
  }
  return facts;
}

void Network::shake(WireId id) {
  Wire* w = wire(id);
  if (w == nullptr || w->cut || !w->ends[0].known || !w->ends[1].known) return;
  if (parted(w->ends[0].node, w->ends[1].node)) {
    schedule_.at(healed(w->ends[0].node, w->ends[1].node), [this, id] { shake(id); });
    return;
  }
  if (!shown(w->ends[1]) || chance_.one_in(faults_.fail_tls_one_in)) {
    fail_tls(id, static_cast<int>(chance_.up_to(1)));
    return;
  }
  w->secure = true;
  const gate::BeginTls initiator = *w->ends[0].tls;
  for (int side = 0; side < 2; ++side) {
    w = wire(id);
    if (w == nullptr || !w->ends[side].known) continue;
    const auto found = facts(w->ends[side], w->ends[1 - side], initiator);
    const auto number = w->ends[side].node;
    nodes_[number].role->handle_tls(w->ends[side].conn, found, now_of(number));
    drain(number);
  }
}

// One side sees an alert, the other a handshake or a connection that ended.
void Network::fail_tls(WireId id, int side) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  End& end = w->ends[side];
  if (!end.arrived.empty()) {
    watch_.lost(w->ends[1 - side].flow, {}, end.arrived);
    end.in_bytes -= end.arrived.size();
    end.arrived.clear();
  }
  const auto number = end.node;
  const ConnId conn = end.conn;
  if (end.known && chance_.one_in(2)) {
    nodes_[number].role->handle_tls(conn, Error{Code::kTlsHandshake, "alert"}, now_of(number));
    drain(number);
  }
  cut(id);
}

}  // namespace sallyport::sim
