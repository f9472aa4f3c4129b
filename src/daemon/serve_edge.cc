// The edge: reads its files, makes its shards and serves until it is stopped.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <vector>

#include "daemon/check_edge.h"
#include "daemon/file.h"
#include "daemon/help.h"
#include "daemon/load.h"
#include "daemon/node_process.h"
#include "daemon/publish.h"
#include "daemon/run.h"
#include "gate/edge.h"
#include "net/dial.h"
#include "net/driver.h"
#include "net/resolver.h"
#include "net/tls.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

net::DriverConfig driver_config(const config::EdgeConfig& config) {
  net::DriverConfig out;
  out.limits = config.limits;
  out.s2s = endpoints_of(config.s2s);
  out.traversal = endpoints_of(config.traversal);
  for (const config::CoreRow& core : config.cores) out.core_pins.push_back(core.pins);
  return out;
}

using Resolvers = std::vector<std::shared_ptr<net::Resolver>>;

// One resolver for each shard, used in that shard's loop.
Result<Resolvers> make_resolvers(NodeProcess& node, const config::EdgeConfig& config) {
  Resolvers resolvers;
  for (std::size_t shard = 0; shard < node.shards().count(); ++shard) {
    auto resolver = net::Resolver::make(node.loop_of(shard).get_executor(), resolver_setup(config));
    if (!resolver) return std::move(resolver).error();
    resolvers.push_back(std::move(*resolver));
  }
  return resolvers;
}

// One shard of an edge. It shares nothing with the others.
struct EdgeShard {
  EdgeShard(NodeProcess& node, std::size_t shard, const config::EdgeConfig& config,
            std::shared_ptr<net::Resolver> resolver, std::unique_ptr<net::LinkTls> link)
      : dialer(std::move(resolver), dial_setup(config), node.random()),
        link_tls(std::move(link)),
        edge({config, program_version(), node.random().hex(8)}, node.random(), node.log_of(shard),
             NodeProcess::now()),
        driver({node.loop_of(shard), edge, dialer, s2s_tls, *link_tls, &pushed, node.worker(),
                node.log_of(shard), &node.shards(), shard},
               driver_config(config)) {
    s2s_tls.trust_system();
  }

  net::DnsDialer dialer;
  net::PushedCertificates pushed;
  net::S2sTls s2s_tls{pushed};
  std::unique_ptr<net::LinkTls> link_tls;
  gate::Edge edge;
  net::Driver driver;
};
using EdgeShards = std::vector<std::unique_ptr<EdgeShard>>;

Result<EdgeShards> make_shards(NodeProcess& node, const EdgeFiles& files) {
  node.make_shards(files.config.shards);
  Result<Resolvers> resolvers = make_resolvers(node, files.config);
  if (!resolvers) return std::move(resolvers).error();
  EdgeShards shards;
  for (std::size_t shard = 0; shard < resolvers->size(); ++shard) {
    auto link =
        net::LinkTls::make(files.identity.certificate, files.identity.key, {shard, resolvers->size()});
    if (!link) return std::move(link).error();
    shards.push_back(std::make_unique<EdgeShard>(node, shard, files.config, std::move((*resolvers)[shard]),
                                                 std::move(*link)));
  }
  return shards;
}

// Takes [resolver], or the system's resolv.conf, into use again. The rest of edge.toml does not change while
// the edge runs; the answer notes whether the file has changed.
json::object reload(NodeProcess& node, const std::string& file, const std::string& fingerprint,
                    EdgeShards& shards, OutwardSetup& setup) {
  const config::Loaded<EdgeFiles> files = load_edge(file, NodeProcess::now().civil);
  if (!files.value) return refused_reload(files.errors, node.log());
  Result<Resolvers> resolvers = make_resolvers(node, files.value->config);
  if (!resolvers) return refused_reload({finding_of(file, resolvers.error())}, node.log());
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    node.shards().post(shard, [&dialer = shards[shard]->dialer, resolver = std::move((*resolvers)[shard])](
                                  net::Driver&) mutable { dialer.use(std::move(resolver)); });
  }
  setup.resolving = resolver_setup(files.value->config);
  const bool changed = files.value->fingerprint != fingerprint;
  json::array notes;
  if (changed) {
    notes.emplace_back(
        fmt::format("{} has changed; [resolver] is in use, restart the edge to use the rest", file));
  }
  node.log().log({changed ? LogLevel::kWarning : LogLevel::kInfo,
                  changed ? "reload.restart-needed" : "reload.unchanged",
                  {{"file", file}}});
  return {{"changed", false}, {"notes", notes}};
}

}  // namespace

Exit run_edge(const Invocation& invocation) {
  NodeProcess node(invocation);
  const std::string file = invocation.value("--config");
  config::Loaded<EdgeFiles> files = load_edge(file, NodeProcess::now().civil);
  if (!node.report_findings(files.errors, files.warnings)) return Exit::kConfiguration;
  const config::EdgeConfig& config = files.value->config;
  if (!lock_memory())
    node.log().log({LogLevel::kInfo, "door.memory-unlocked", {{"remedy", "LimitMEMLOCK=infinity"}}});

  Result<EdgeShards> shards = make_shards(node, *files.value);
  if (!shards) return node.fail(shards.error());
  OutwardSetup setup{resolver_setup(config), dial_setup(config)};
  CheckThreads checks(node.io().get_executor());
  ControlHandlers handlers;
  handlers.reload = [&](const Reply& reply) {
    reply(json::serialize(reload(node, file, files.value->fingerprint, *shards, setup)));
  };
  handlers.ports = [&] { return ports_answer(edge_ports(config)); };
  // Questions are answered on the first shard's loop.
  handlers.check = [&](const json::object& question, const Reply& reply) {
    EdgeShard& first = *shards->front();
    const auto ask = [&first](const xmpp::Pair& pair) {
      return first.driver.control(json::serialize(
          json::object{{"ask", "admission"}, {"from", pair.local.ascii()}, {"to", pair.remote.ascii()}}));
    };
    answer_check(question, means_of(first.edge, first.driver, setup), ask, node.io().get_executor(), checks,
                 node.log(), reply);
  };
  return node.serve({config.control, config.control_group, config.metrics}, std::move(handlers));
}

}  // namespace sallyport::daemon
