// The outer door, from its files to its end.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <vector>

#include "daemon/check_edge.h"
#include "daemon/door.h"
#include "daemon/file.h"
#include "daemon/help.h"
#include "daemon/load.h"
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

net::ResolverSetup resolving(const config::EdgeConfig& config) {
  return {config.resolver_servers, config.trust_anchor, config.resolver_insecure};
}

using Resolvers = std::vector<std::shared_ptr<net::Resolver>>;

// One for each shard, in whose loop it is asked.
Result<Resolvers> make_resolvers(Door& door, const config::EdgeConfig& config) {
  Resolvers resolvers;
  for (std::size_t shard = 0; shard < door.shards().count(); ++shard) {
    auto resolver = net::Resolver::make(door.loop_of(shard).get_executor(), resolving(config));
    if (!resolver) return std::move(resolver).error();
    resolvers.push_back(std::move(*resolver));
  }
  return resolvers;
}

// One shard of an edge: nothing in it is another's.
struct EdgeShard {
  EdgeShard(Door& door, std::size_t shard, const config::EdgeConfig& config,
            std::shared_ptr<net::Resolver> resolver, std::unique_ptr<net::LinkTls> link)
      : dialer(std::move(resolver), dial_setup(config), door.random()),
        link_tls(std::move(link)),
        edge({config, program_version(), door.random().hex(8)}, door.random(), door.log_of(shard),
             Door::now()),
        driver({door.loop_of(shard), edge, dialer, s2s_tls, *link_tls, &pushed, door.aside(),
                door.log_of(shard), &door.shards(), shard},
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

Result<EdgeShards> make_shards(Door& door, const EdgeFiles& files) {
  door.make_shards(files.config.shards);
  Result<Resolvers> resolvers = make_resolvers(door, files.config);
  if (!resolvers) return std::move(resolvers).error();
  EdgeShards shards;
  for (std::size_t shard = 0; shard < resolvers->size(); ++shard) {
    auto link =
        net::LinkTls::make(files.identity.certificate, files.identity.key, {shard, resolvers->size()});
    if (!link) return std::move(link).error();
    shards.push_back(std::make_unique<EdgeShard>(door, shard, files.config, std::move((*resolvers)[shard]),
                                                 std::move(*link)));
  }
  return shards;
}

// [resolver], or the system's resolv.conf where there is none, is taken anew; of the rest of edge.toml
// nothing changes while the edge runs, and it says whether the file still is what it was.
json::object reload(Door& door, const std::string& file, const std::string& fingerprint, EdgeShards& shards,
                    EdgeWays& ways) {
  const config::Loaded<EdgeFiles> files = load_edge(file, Door::now().civil);
  if (!files.value) return refused_reload(files.errors, door.log());
  Result<Resolvers> resolvers = make_resolvers(door, files.value->config);
  if (!resolvers) return refused_reload({finding_of(file, resolvers.error())}, door.log());
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    door.shards().post(shard, [&dialer = shards[shard]->dialer, resolver = std::move((*resolvers)[shard])](
                                  net::Driver&) mutable { dialer.use(std::move(resolver)); });
  }
  ways.resolving = resolving(files.value->config);
  const bool changed = files.value->fingerprint != fingerprint;
  json::array notes;
  if (changed) {
    notes.emplace_back(
        fmt::format("{} has changed; [resolver] is in use, restart the edge to use the rest", file));
  }
  door.log().log({changed ? LogLevel::kWarning : LogLevel::kInfo,
                  changed ? "reload.restart-needed" : "reload.unchanged",
                  {{"file", file}}});
  return {{"changed", false}, {"notes", notes}};
}

}  // namespace

Exit run_edge(const Invocation& invocation) {
  Door door(invocation);
  const std::string file = invocation.value("--config");
  config::Loaded<EdgeFiles> files = load_edge(file, Door::now().civil);
  if (!door.judge(files.errors, files.warnings)) return Exit::kConfiguration;
  const config::EdgeConfig& config = files.value->config;
  if (!lock_memory())
    door.log().log({LogLevel::kInfo, "door.memory-unlocked", {{"remedy", "LimitMEMLOCK=infinity"}}});

  Result<EdgeShards> shards = make_shards(door, *files.value);
  if (!shards) return door.fail(shards.error());
  EdgeWays ways{resolving(config), dial_setup(config)};
  CheckThreads checks(door.io().get_executor());
  Answers answers;
  answers.reload = [&](const Reply& reply) {
    reply(json::serialize(reload(door, file, files.value->fingerprint, *shards, ways)));
  };
  answers.ports = [&] { return ports_answer(edge_ports(config)); };
  // The first shard's loop is the door's own, where questions are answered.
  answers.check = [&](const json::object& question, const Reply& reply) {
    const EdgeShard& first = *shards->front();
    answer_check(question, means_of(first.edge, first.driver, ways), checks, door.log(), reply);
  };
  return door.serve({config.control, config.control_group, config.metrics}, std::move(answers));
}

}  // namespace sallyport::daemon
