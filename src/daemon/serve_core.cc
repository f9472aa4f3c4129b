// The inner door, from its files to its end.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core_files.h"
#include "daemon/directory_watch.h"
#include "daemon/door.h"
#include "daemon/help.h"
#include "daemon/load.h"
#include "daemon/publish.h"
#include "daemon/run.h"
#include "daemon/state.h"
#include "gate/core.h"
#include "net/dial.h"
#include "net/dns_server.h"
#include "net/driver.h"
#include "net/internal_ca.h"
#include "net/mint.h"
#include "net/resolver.h"
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

// A core dials what its administrator wrote, and that is inside: any address may be private.
net::DialSetup inside_dialling() {
  net::DialSetup setup;
  setup.step_name = "inside server";
  for (const char* all : {"0.0.0.0/0", "::/0"}) {
    if (const auto network = config::Network::parse(all)) setup.allow_networks.push_back(*network);
  }
  return setup;
}

// What a core starts with that is not in its files: kept in `state`, or made there.
struct Kept {
  std::string dialback_secret;
  std::uint64_t generation = 0;
  std::vector<std::unique_ptr<net::Minter>> minters;  // one for each shard
};

Result<Kept> open_state(const StateDirectory& state, const CoreFiles& files, Random& random) {
  const config::CoreConfig& config = files.config;
  const std::vector<policy::DomainPattern>& inside = files.policy.update.policy.rules.inside;
  net::CaPem ca{files.ca_certificate, files.ca_key};
  if (ca.certificates.empty()) {
    if (Result<void> may = state.check_internal_ca(); !may) return std::move(may).error();
    Result<net::CaPem> kept =
        net::open_internal_ca(state.path(), config.name.ascii(), inside, Door::now().civil);
    if (!kept) return std::move(kept).error();
    ca = std::move(*kept);
  }
  std::vector<std::unique_ptr<net::Minter>> minters;
  for (std::size_t shard = 0; shard < config.shards; ++shard) {
    auto minter = net::Minter::make(ca, inside, config.limits.mints_per_second);
    if (!minter) return std::move(minter).error();
    minters.push_back(std::move(*minter));
  }
  wipe(ca.key);
  Result<std::string> secret = state.dialback_secret(config.dialback_secret, random);
  if (!secret) return std::move(secret).error();
  const Result<std::uint64_t> generation = state.generation(files.policy.fingerprint);
  if (!generation) return generation.error();
  return Kept{std::move(*secret), *generation, std::move(minters)};
}

using Resolvers = std::vector<std::shared_ptr<net::Resolver>>;

// The system's, one for each shard, in whose loop it is asked.
Result<Resolvers> make_resolvers(Door& door) {
  Resolvers resolvers;
  for (std::size_t shard = 0; shard < door.shards().count(); ++shard) {
    auto resolver = net::Resolver::make(door.loop_of(shard).get_executor(), {});
    if (!resolver) return std::move(resolver).error();
    resolvers.push_back(std::move(*resolver));
  }
  return resolvers;
}

// What the shards of a core have in common.
struct CoreParts {
  const CoreFiles& files;
  std::shared_ptr<const config::PreparedPolicy> policy;
  const std::string& dialback_secret;
};

// One shard of a core: nothing in it is another's but the policy, which nobody changes.
struct CoreShard {
  CoreShard(Door& door, std::size_t shard, const CoreParts& parts, std::shared_ptr<net::Resolver> resolver,
            std::unique_ptr<net::Minter> mint, std::unique_ptr<net::LinkTls> link)
      : dialer(std::move(resolver), inside_dialling(), door.random()),
        minter(std::move(mint)),
        link_tls(std::move(link)),
        core({parts.files.config, parts.policy, parts.dialback_secret, program_version(),
              door.random().hex(8)},
             door.random(), door.log_of(shard), Door::now()),
        driver({door.loop_of(shard), core, dialer, s2s_tls, *link_tls, nullptr, door.aside(),
                door.log_of(shard), &door.shards(), shard},
               driver_config(parts.files.config)) {
    s2s_tls.trust_nothing();
  }

  void use(const std::shared_ptr<const config::PreparedPolicy>& policy) {
    minter->set_inside(policy->update().policy.rules.inside);
    core.apply(policy, Door::now());
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

Result<CoreShards> make_shards(Door& door, const CoreParts& parts,
                               std::vector<std::unique_ptr<net::Minter>> minters) {
  Result<Resolvers> resolvers = make_resolvers(door);
  if (!resolvers) return std::move(resolvers).error();
  CoreShards shards;
  for (std::size_t shard = 0; shard < minters.size(); ++shard) {
    const Identity& identity = parts.files.identity;
    auto link = net::LinkTls::make(identity.certificate, identity.key, {shard, minters.size()});
    if (!link) return std::move(link).error();
    shards.push_back(std::make_unique<CoreShard>(door, shard, parts, std::move((*resolvers)[shard]),
                                                 std::move(minters[shard]), std::move(*link)));
    if (parts.files.server_ca.empty()) continue;
    if (Result<void> trusted = shards.back()->s2s_tls.trust(parts.files.server_ca); !trusted)
      return std::move(trusted).error();
  }
  return shards;
}

// In the first shard now, in the others when their loops come to it.
void use_policy(Door& door, CoreShards& shards, const std::shared_ptr<const config::PreparedPolicy>& policy) {
  shards.front()->use(policy);
  for (std::size_t shard = 1; shard < shards.size(); ++shard) {
    door.shards().post(shard,
                       [&use_in = *shards[shard], policy](net::Driver&) mutable { use_in.use(policy); });
  }
}

// The answering resolver for the servers inside; nothing without [dns].
Result<std::unique_ptr<net::DnsServer>> open_dns(Door& door, const config::CoreConfig& config,
                                                 const CoreFilesInUse& in_use) {
  if (!config.dns) return std::unique_ptr<net::DnsServer>();
  dns::Answering answering{config.name, config.s2s.front().port, {}, {}};
  for (const dns::Endpoint& own : endpoints_of(config.s2s)) {
    // A listener on every address does not say at which one the servers inside reach us: upstream knows.
    if (dns::classify(own.ip, false) != dns::AddressKind::kUnspecified) answering.addresses.push_back(own.ip);
  }
  answering.kind = [&in_use](const xmpp::Domain& name) { return in_use.kind_of(name); };
  return net::DnsServer::start(door.io(),
                               {endpoints_of(config.dns->listen), endpoints_of(config.dns->upstream),
                                config.dns->clients, config.limits.resolver_questions},
                               std::move(answering), door.random());
}

// What the system's resolver is, is read again too (resolv.conf(5), hosts(5)).
void reload(Door& door, CoreFilesInUse& in_use, CoreShards& shards, const Reply& reply) {
  Result<Resolvers> resolvers = make_resolvers(door);
  if (!resolvers) {
    reply(json::serialize(refused_reload({finding_of("/etc/resolv.conf", resolvers.error())}, door.log())));
    return;
  }
  in_use.reload(
      [&door, &shards, resolvers = std::move(*resolvers), reply](const CoreFilesInUse::Answer& answer) {
        for (std::size_t shard = 0; shard < shards.size() && !answer.refused; ++shard) {
          door.shards().post(shard, [&dialer = shards[shard]->dialer, resolver = resolvers[shard]](
                                        net::Driver&) mutable { dialer.use(std::move(resolver)); });
        }
        reply(answer.json);
      });
}

Answers answers_of(Door& door, const CoreFiles& files, CoreFilesInUse& in_use, CoreShards& shards) {
  const auto told = [](const Reply& reply) {
    return [reply](const CoreFilesInUse::Answer& answer) { reply(answer.json); };
  };
  Answers answers;
  answers.reload = [&](const Reply& reply) { reload(door, in_use, shards, reply); };
  answers.policy_diff = [&in_use, told](json::object question, const Reply& reply) {
    in_use.diff(std::move(question), told(reply));
  };
  answers.policy_apply = [&in_use, told](json::object question, const Reply& reply) {
    in_use.apply(std::move(question), told(reply));
  };
  answers.dns_records = [&](std::uint16_t port) {
    return records_answer(srv_records(files.config.edges, in_use.served(), port));
  };
  answers.check = [&](const json::object&, const Reply& reply) {
    std::string edges;
    for (const config::EdgeRow& edge : files.config.edges) {
      edges += (edges.empty() ? "" : " or ") + fmt::format("{} ({})", edge.name.ascii(), edge.address.host);
    }
    reply(
        error_answer({Code::kControlRefused,
                      fmt::format("This is a core, which does not dial the internet; run the check where the "
                                  "edge {} runs.",
                                  edges)}));
  };
  answers.ports = [&] { return ports_answer(core_ports(files.config, in_use.served())); };
  return answers;
}

}  // namespace

Exit run_core(const Invocation& invocation) {
  Door door(invocation);
  config::Loaded<CoreFiles> loaded = load_core(invocation.value("--config"), Door::now().civil);
  if (!door.judge(loaded.errors, loaded.warnings)) return Exit::kConfiguration;
  CoreFiles& files = *loaded.value;
  const config::CoreConfig& config = files.config;
  if (config.admin)
    door.log().log({LogLevel::kWarning, "door.no-console", {{"what", "nothing listens for [admin] yet"}}});

  const Result<StateDirectory> state = StateDirectory::open(config.state);
  if (!state) return door.fail(state.error());
  Result<Kept> kept = open_state(*state, files, door.random());
  if (!kept) return door.fail(kept.error());
  files.policy.update.generation = kept->generation;

  door.make_shards(config.shards);
  auto policy = config::PreparedPolicy::make(config, std::move(files.policy.update));
  Result<CoreShards> shards =
      make_shards(door, {files, policy, kept->dialback_secret}, std::move(kept->minters));
  wipe(kept->dialback_secret);
  if (!shards) return door.fail(shards.error());
  const auto use = [&](const std::shared_ptr<const config::PreparedPolicy>& fresh) {
    use_policy(door, *shards, fresh);
  };
  CoreFilesInUse in_use({files, *state, door.log(), door.aside(), door.io().get_executor(), use},
                        std::move(policy), files.policy.fingerprint);
  auto watch = DirectoryWatch::open(door.io().get_executor(), config.certificates,
                                    [&] { in_use.reload_certificates(); });
  if (!watch) return door.fail(watch.error());
  const auto dns = open_dns(door, config, in_use);
  if (!dns) return door.fail(dns.error());
  if (*dns) {
    std::string where;
    for (const dns::Endpoint& endpoint : (*dns)->endpoints())
      where += (where.empty() ? "" : " ") + endpoint.text();
    door.log().log({LogLevel::kInfo, "net.listen", {{"dns", where}}});
  }
  return door.serve({config.control, config.control_group, config.metrics},
                    answers_of(door, files, in_use, *shards));
}

}  // namespace sallyport::daemon
