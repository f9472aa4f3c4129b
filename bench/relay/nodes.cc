#include "nodes.h"

#include <cstdio>
#include <cstdlib>

#include "base/limits.h"

namespace bench {

using namespace sallyport;
using gate::ConnId;

namespace {

constexpr const char* kLocal = "l0.inside.example";
constexpr const char* kRemote = "r0.outside.example";

xmpp::Domain name(const std::string& text) { return *xmpp::Domain::parse(text); }
route::HostPort host(const std::string& text) { return *route::HostPort::parse(text); }
dns::SocketAddress at(const std::string& ip) { return {*dns::Ip::parse(ip), 5269}; }

gate::CoreSetup core_setup() {
  config::CoreConfig config{.name = name("core.bench.example")};
  config.edges.push_back({.name = name("edge.bench.example"), .address = host("127.0.0.1:7400"), .pins = {}});
  config.internal_names = {*policy::DomainPattern::parse("corp.example")};
  config.server_ca = "ca.crt";
  config::PolicyUpdate update;
  update.policy.rules.local = {{name(kLocal)}};
  update.policy.rules.lists = {{.domain = *policy::DomainPattern::parse("*.outside.example"), .allow = true}};
  update.policy.served = {{.name = name(kLocal),
                           .internal_name = name(kLocal),
                           .servers = {host("127.0.0.20:5269")},
                           .trust = {}}};
  update.generation = 1;
  config::CertificatePem pem;
  pem.names = {kLocal};
  pem.chain = "chain";
  pem.key = "key";
  update.certificates.push_back(std::move(pem));
  auto policy = config::PreparedPolicy::make(config, std::move(update));
  return {std::move(config), std::move(policy), "secret", "0", "core"};
}

gate::EdgeSetup edge_setup() {
  config::EdgeConfig config{.name = name("edge.bench.example")};
  config.cores.push_back({.name = "core", .pins = {}, .domains = {}});
  return {std::move(config), "0", "edge"};
}

}  // namespace

Nodes::Nodes() {
  now_.civil = UnixTime(std::chrono::seconds(1'700'000'000));
  Random& random = *this;
  LogSink& sink = *this;
  edge_ = std::make_unique<gate::Edge>(edge_setup(), random, sink, now_);
  core_ = std::make_unique<gate::Core>(core_setup(), random, sink, now_);
  run();
}

void Nodes::fill(std::uint8_t* out, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
    out[i] = static_cast<std::uint8_t>(seed_ >> 56);
  }
}

void Nodes::log(LogEvent event) {
  if (event.level == LogLevel::kInfo || event.level == LogLevel::kDebug) return;
  std::fprintf(stderr, "%s\n", format_text(event, "").c_str());
}

gate::Role& Nodes::role(int node) {
  if (node == kEdge) return *edge_;
  return *core_;
}

Nodes::Line Nodes::open(bool inward) {
  int node = inward ? kEdge : kCore;
  Line line{node, last_accepted_ += 2};
  wires_[line].far =
      inward ? std::make_unique<FarEnd>(kRemote, kLocal) : std::make_unique<FarEnd>(kLocal, kRemote);
  role(node).handle_accepted(line.second, {at("127.0.0.30"), at("127.0.0.1"), false}, now_);
  reply(node, line.second);
  run();
  if (!wires_[line].far->is_ready()) {
    std::fprintf(stderr, "the stream is not proved\n");
    std::exit(1);
  }
  return line;
}

void Nodes::feed(const Line& line, std::string_view bytes) {
  role(line.first).handle_bytes(line.second, bytes, now_);
  run();
}

std::uint64_t Nodes::delivered() const {
  std::uint64_t count = 0;
  for (const auto& [line, wire] : wires_)
    if (wire.far) count += wire.far->stanzas();
  return count;
}

void Nodes::advance(Duration by) {
  now_.mono += by;
  for (int node : {kEdge, kCore}) {
    auto due = role(node).poll_timeout();
    if (due && *due <= now_.mono) role(node).handle_timeout(now_);
  }
  run();
}

void Nodes::run() {
  while (drain(kEdge) | drain(kCore)) {
  }
}

bool Nodes::drain(int node) {
  bool any = false;
  while (auto output = role(node).poll()) {
    obey(node, std::move(*output));
    any = true;
  }
  return any;
}

void Nodes::obey(int node, gate::Output output) {
  if (auto* flush = std::get_if<gate::Flush>(&output)) {
    write(node, flush->conn);
  } else if (auto* link = std::get_if<gate::DialLink>(&output)) {
    link_[kCore] = link->conn;
    wires_[{kCore, link_[kCore]}];
    wires_[{kEdge, link_[kEdge]}];
    edge_->handle_link(link_[kEdge], 0, at("127.0.0.2"), now_);
    core_->handle_link(link_[kCore], link->edge, at("127.0.0.1"), now_);
  } else if (auto* dial = std::get_if<gate::Dial>(&output)) {
    wires_[{node, dial->conn}].far = std::make_unique<FarEnd>();
    role(node).handle_connected(dial->conn, {at("127.0.0.30"), false, "bench"}, now_);
  } else if (auto* order = std::get_if<gate::BeginTls>(&output)) {
    secure(node, *order);
  } else if (auto* push = std::get_if<gate::Prepare>(&output)) {
    auto decoded = config::decode_push(std::move(push->work));
    if (!decoded) std::exit(1);
    edge_->handle_prepared(push->id, config::PreparedPush{std::move(decoded->policy), nullptr}, now_);
  } else if (auto* over = std::get_if<gate::Disconnect>(&output)) {
    write(node, over->conn);
    wires_.erase({node, over->conn});
  }
}

void Nodes::write(int node, ConnId conn) {
  auto found = wires_.find({node, conn});
  if (found == wires_.end()) return;
  Wire& wire = found->second;
  bytes_.clear();
  while (role(node).take_output(conn, bytes_, now_)) {
    wire.written += bytes_.size();
    if (wire.far) {
      wire.far->hear(bytes_);
    } else {
      // In pieces as a socket is read.
      for (std::size_t at_byte = 0; at_byte < bytes_.size(); at_byte += limits::kReadBytes)
        role(1 - node).handle_bytes(link_[1 - node],
                                    std::string_view(bytes_).substr(at_byte, limits::kReadBytes), now_);
    }
    bytes_.clear();
  }
  role(node).handle_written(conn, wire.written, now_);
  if (wire.far) reply(node, conn);
}

void Nodes::reply(int node, ConnId conn) {
  std::string said = wires_[{node, conn}].far->take();
  if (!said.empty()) role(node).handle_bytes(conn, said, now_);
}

void Nodes::secure(int node, const gate::BeginTls& order) {
  write(node, order.conn);
  auto found = wires_.find({node, order.conn});
  if (found == wires_.end()) return;
  s2s::TlsFacts facts;
  facts.version = "TLSv1.3";
  facts.cipher = "TLS_AES_256_GCM_SHA384";
  facts.own_certificate = order.own.ascii();
  facts.server_name = order.server_name;
  facts.peer_certificate = true;
  facts.chain = {};
  facts.names.dns = {order.accepting ? found->second.far->own() : order.server_name};
  found->second.far->secured();
  role(node).handle_tls(order.conn, std::move(facts), now_);
  reply(node, order.conn);
}

}  // namespace bench
