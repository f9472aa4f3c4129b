// The core: reads its files, makes its shards and serves until it is stopped.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core_files.h"
#include "daemon/directory_watch.h"
#include "daemon/help.h"
#include "daemon/load.h"
#include "daemon/node_process.h"
#include "daemon/publish.h"
#include "daemon/queue_show.h"
#include "daemon/run.h"
#include "daemon/state.h"
#include "gate/contents_of_shard.h"
#include "gate/control.h"
#include "gate/core.h"
#include "net/dial.h"
#include "net/dns_server.h"
#include "net/driver.h"
#include "net/internal_ca.h"
#include "net/mint.h"
#include "net/resolver.h"
#include "net/spool.h"
#include "net/tls.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

net::DriverConfig driver_config(const config::CoreConfig& config) {
  net::DriverConfig out;
  out.limits = config.limits;
  out.s2s = endpoints_of(config.s2s);
  out.listen_from_start = true;
  for (const config::EdgeRow& edge : config.edges) out.edges.push_back({edge.address, edge.pins});
  return out;
}

// A core dials internal servers, which its administrator names: any address may be private.
net::DialSetup internal_dialling() {
  net::DialSetup setup;
  setup.step_name = "internal server";
  for (const char* all : {"0.0.0.0/0", "::/0"}) {
    if (const auto network = config::Network::parse(all)) setup.allow_networks.push_back(*network);
  }
  return setup;
}

// The persistent data of a core that is not in its files: read from `state`, or made there.
struct Persistent {
  std::string dialback_secret;
  std::uint64_t generation = 0;
  std::vector<std::unique_ptr<net::Minter>> minters;  // one for each shard
};

Result<Persistent> open_state(const StateDirectory& state, const CoreFiles& files, Random& random) {
  const config::CoreConfig& config = files.config;
  const std::vector<policy::DomainPattern>& internal_names = files.policy.update.policy.rules.internal_names;
  net::CaPem ca{files.ca_certificate, files.ca_key};
  if (ca.certificates.empty()) {
    if (Result<void> may = may_make_internal_ca(state.path()); !may) return std::move(may).error();
    Result<net::CaPem> kept =
        net::open_internal_ca(state.path(), config.name.ascii(), internal_names, NodeProcess::now().civil);
    if (!kept) return std::move(kept).error();
    ca = std::move(*kept);
  }
  std::vector<std::unique_ptr<net::Minter>> minters;
  for (std::size_t shard = 0; shard < config.shards; ++shard) {
    auto minter = net::Minter::make(ca, internal_names, config.limits.mints_per_second);
    if (!minter) return std::move(minter).error();
    minters.push_back(std::move(*minter));
  }
  wipe(ca.key);
  Result<std::string> secret = state.dialback_secret(config.dialback_secret, random);
  if (!secret) return std::move(secret).error();
  const Result<std::uint64_t> generation = state.generation(files.policy.fingerprint);
  if (!generation) return generation.error();
  return Persistent{std::move(*secret), *generation, std::move(minters)};
}

using Resolvers = std::vector<std::shared_ptr<net::Resolver>>;

// The system's resolver, one for each shard, used in that shard's loop.
Result<Resolvers> make_resolvers(NodeProcess& node) {
  Resolvers resolvers;
  for (std::size_t shard = 0; shard < node.shards().count(); ++shard) {
    auto resolver = net::Resolver::make(node.loop_of(shard).get_executor(), {});
    if (!resolver) return std::move(resolver).error();
    resolvers.push_back(std::move(*resolver));
  }
  return resolvers;
}

// The parts that the shards of a core share.
struct CoreParts {
  const CoreFiles& files;
  std::shared_ptr<const config::PreparedPolicy> policy;
  const std::string& dialback_secret;
  net::Spool& spool;
};

// One shard of a core. It shares only the immutable policy with the others.
struct CoreShard {
  CoreShard(NodeProcess& node, std::size_t shard, const CoreParts& parts,
            std::shared_ptr<net::Resolver> resolver, std::unique_ptr<net::Minter> mint,
            std::unique_ptr<net::LinkTls> link)
      : dialer(std::move(resolver), internal_dialling(), node.random()),
        minter(std::move(mint)),
        link_tls(std::move(link)),
        core({.config = parts.files.config,
              .policy = parts.policy,
              .dialback_secret = parts.dialback_secret,
              .version = program_version(),
              .instance = node.random().hex(8),
              .spool = gate::contents_of_shard(parts.spool.contents(), shard, node.shards().count()),
              .shard = shard},
             node.random(), node.log_of(shard), NodeProcess::now()),
        driver({node.loop_of(shard), core, dialer, s2s_tls, *link_tls, nullptr, node.worker(),
                node.log_of(shard), &node.shards(), shard, &parts.spool},
               driver_config(parts.files.config)) {
    s2s_tls.trust_nothing();
  }

  void use(const std::shared_ptr<const config::PreparedPolicy>& policy) {
    minter->set_internal_names(policy->update().policy.rules.internal_names);
    core.apply(policy, NodeProcess::now());
    driver.wake();
  }

  net::DnsDialer dialer;
  std::unique_ptr<net::Minter> minter;
  net::S2sTls s2s_tls{*minter};
  std::unique_ptr<net::LinkTls> link_tls;
  gate::Core core;
  net::Driver driver;
};
using CoreShards = std::vector<std::unique_ptr<CoreShard>>;

Result<CoreShards> make_shards(NodeProcess& node, const CoreParts& parts,
                               std::vector<std::unique_ptr<net::Minter>> minters) {
  Result<Resolvers> resolvers = make_resolvers(node);
  if (!resolvers) return std::move(resolvers).error();
  CoreShards shards;
  for (std::size_t shard = 0; shard < minters.size(); ++shard) {
    const Identity& identity = parts.files.identity;
    auto link = net::LinkTls::make(identity.certificate, identity.key, {shard, minters.size()});
    if (!link) return std::move(link).error();
    shards.push_back(std::make_unique<CoreShard>(node, shard, parts, std::move((*resolvers)[shard]),
                                                 std::move(minters[shard]), std::move(*link)));
    if (parts.files.server_ca.empty()) continue;
    if (Result<void> trusted = shards.back()->s2s_tls.trust(parts.files.server_ca); !trusted)
      return std::move(trusted).error();
  }
  return shards;
}

// Puts a policy in force: in the first shard now, in the others on their loops.
void use_policy(NodeProcess& node, CoreShards& shards,
                const std::shared_ptr<const config::PreparedPolicy>& policy) {
  shards.front()->use(policy);
  for (std::size_t shard = 1; shard < shards.size(); ++shard) {
    node.shards().post(shard,
                       [&use_in = *shards[shard], policy](net::Driver&) mutable { use_in.use(policy); });
  }
}

// The answering resolver for internal servers; null without [dns].
Result<std::unique_ptr<net::DnsServer>> open_dns(NodeProcess& node, const config::CoreConfig& config,
                                                 const CoreFilesInUse& in_use) {
  if (!config.dns) return std::unique_ptr<net::DnsServer>();
  dns::Answering answering{config.name, config.s2s.front().port, {}, {}};
  for (const dns::SocketAddress& own : endpoints_of(config.s2s)) {
    // A listener on every address does not tell which one internal servers use; the upstream resolver knows.
    if (dns::classify(own.ip, false) != dns::AddressKind::kUnspecified) answering.addresses.push_back(own.ip);
  }
  answering.kind = [&in_use](const xmpp::Domain& name) { return in_use.kind_of(name); };
  return net::DnsServer::start(node.io(),
                               {endpoints_of(config.dns->listen), endpoints_of(config.dns->upstream),
                                config.dns->clients, config.limits.resolver_questions},
                               std::move(answering), node.random());
}

// Reads the files again, and the system's resolver configuration (resolv.conf(5), hosts(5)).
void reload(NodeProcess& node, CoreFilesInUse& in_use, CoreShards& shards, const Reply& reply) {
  Result<Resolvers> resolvers = make_resolvers(node);
  if (!resolvers) {
    reply(json::serialize(refused_reload({finding_of("/etc/resolv.conf", resolvers.error())}, node.log())));
    return;
  }
  in_use.reload(
      [&node, &shards, resolvers = std::move(*resolvers), reply](const CoreFilesInUse::Answer& answer) {
        for (std::size_t shard = 0; shard < shards.size() && !answer.refused; ++shard) {
          node.shards().post(shard, [&dialer = shards[shard]->dialer, resolver = resolvers[shard]](
                                        net::Driver&) mutable { dialer.use(std::move(resolver)); });
        }
        reply(answer.json);
      });
}

ControlHandlers handlers_of(NodeProcess& node, const CoreFiles& files, CoreFilesInUse& in_use,
                            CoreShards& shards) {
  const auto forward = [](const Reply& reply) {
    return [reply](const CoreFilesInUse::Answer& answer) { reply(answer.json); };
  };
  ControlHandlers handlers;
  handlers.reload = [&](const Reply& reply) { reload(node, in_use, shards, reply); };
  handlers.policy_diff = [&in_use, forward](json::object question, const Reply& reply) {
    in_use.diff(std::move(question), forward(reply));
  };
  handlers.policy_apply = [&in_use, forward](json::object question, const Reply& reply) {
    in_use.apply(std::move(question), forward(reply));
  };
  handlers.dns_records = [&](std::uint16_t port) {
    return records_answer(srv_records(files.config.edges, in_use.served(), port));
  };
  handlers.check = [&](const json::object&, const Reply& reply) {
    std::string edges;
    for (const config::EdgeRow& edge : files.config.edges) {
      edges += (edges.empty() ? "" : " or ") + fmt::format("{} ({})", edge.name.ascii(), edge.address.host);
    }
    reply(error_answer(
        {Code::kControlRefused,
         fmt::format("This is a core, which does not dial remote servers; run the check where the "
                     "edge {} runs.",
                     edges)}));
  };
  handlers.ports = [&] { return ports_answer(core_ports(files.config, in_use.policy())); };
  handlers.queue_show = [&](const json::object& question, const Reply& reply) {
    const UnixTime now = NodeProcess::now().civil;
    Result<net::SpoolFilter> filter = queue_filter(question, now);
    if (!filter) return reply(gate::refusal(filter.error()));
    node.worker().run(
        node.io().get_executor(),
        [delivery = files.config.delivery, filter = *std::move(filter), now] {
          return answer_queue_show(delivery.spool, filter, delivery.lifetime, now);
        },
        reply);
  };
  return handlers;
}

}  // namespace

Exit run_core(const Invocation& invocation) {
  NodeProcess node(invocation);
  config::Loaded<CoreFiles> loaded = load_core(invocation.value("--config"), NodeProcess::now().civil);
  if (!node.report_findings(loaded.errors, loaded.warnings)) return Exit::kConfiguration;
  CoreFiles& files = *loaded.value;
  const config::CoreConfig& config = files.config;
  if (config.admin)
    node.log().log({LogLevel::kWarning,
                    "door.no-console",
                    {{"what", "The console of [admin] is not implemented; nothing listens for it."}}});

  const Result<StateDirectory> state = StateDirectory::open(config.state);
  if (!state) return node.fail(state.error());
  Result<Persistent> persistent = open_state(*state, files, node.random());
  if (!persistent) return node.fail(persistent.error());
  files.policy.update.generation = persistent->generation;

  const auto spool = net::Spool::open(config.delivery.spool);
  if (!spool) return node.fail(spool.error());
  node.make_shards(config.shards);
  auto policy = config::PreparedPolicy::make(config, std::move(files.policy.update));
  Result<CoreShards> shards = make_shards(node, {files, policy, persistent->dialback_secret, **spool},
                                          std::move(persistent->minters));
  wipe(persistent->dialback_secret);
  if (!shards) return node.fail(shards.error());
  const auto use = [&](const std::shared_ptr<const config::PreparedPolicy>& fresh) {
    use_policy(node, *shards, fresh);
  };
  CoreFilesInUse in_use({files, *state, node.log(), node.worker(), node.io().get_executor(), use},
                        std::move(policy), files.policy.fingerprint);
  auto watch = DirectoryWatch::open(node.io().get_executor(), config.certificates,
                                    [&] { in_use.reload_certificates(); });
  if (!watch) return node.fail(watch.error());
  const auto dns = open_dns(node, config, in_use);
  if (!dns) return node.fail(dns.error());
  if (*dns) {
    std::string where;
    for (const dns::SocketAddress& endpoint : (*dns)->endpoints())
      where += (where.empty() ? "" : " ") + endpoint.text();
    node.log().log({LogLevel::kInfo, "net.listen", {{"dns", where}}});
  }
  return node.serve({config.control, config.control_group, config.metrics},
                    handlers_of(node, files, in_use, *shards));
}

}  // namespace sallyport::daemon
