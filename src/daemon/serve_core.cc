// The inner door, from its files to its end.
#include <fmt/format.h>

#include <boost/json.hpp>

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

net::DriverConfig driver_config(const gate::CoreConfig& config) {
  net::DriverConfig out;
  out.s2s = endpoints_of(config.s2s);
  out.listen_from_start = true;
  for (const gate::EdgeRow& edge : config.edges) out.edges.push_back({edge.address, edge.pins});
  return out;
}

// A core dials what its administrator wrote, and that is inside: any address may be private.
net::DialSetup inside_dialling() {
  net::DialSetup setup;
  setup.step_name = "inside server";
  for (const char* all : {"0.0.0.0/0", "::/0"}) {
    if (const auto network = gate::Network::parse(all)) setup.allow_networks.push_back(*network);
  }
  return setup;
}

// What a core starts with that is not in its files: kept in `state`, or made there.
struct Kept {
  std::string dialback_secret;
  std::uint64_t generation = 0;
  std::unique_ptr<net::Minter> minter;
};

Result<Kept> open_state(const StateDirectory& state, const CoreFiles& files, Random& random) {
  const gate::CoreConfig& config = files.config;
  const std::vector<policy::DomainPattern>& inside = files.policy.update.policy.rules.inside;
  net::CaPem ca{files.ca_certificate, files.ca_key};
  if (ca.certificates.empty()) {
    if (Result<void> may = state.check_internal_ca(); !may) return std::move(may).error();
    Result<net::CaPem> kept =
        net::open_internal_ca(state.path(), config.name.ascii(), inside, Door::now().civil);
    if (!kept) return std::move(kept).error();
    ca = std::move(*kept);
  }
  auto minter = net::Minter::make(ca, inside);
  wipe(ca.key);
  if (!minter) return std::move(minter).error();
  Result<std::string> secret = state.dialback_secret(config.dialback_secret, random);
  if (!secret) return std::move(secret).error();
  const Result<std::uint64_t> generation = state.generation(files.policy.fingerprint);
  if (!generation) return generation.error();
  return Kept{std::move(*secret), *generation, std::move(*minter)};
}

// The answering resolver for the servers inside; nothing without [dns].
Result<std::unique_ptr<net::DnsServer>> open_dns(Door& door, const gate::CoreConfig& config,
                                                 const CoreFilesInUse& in_use) {
  if (!config.dns) return std::unique_ptr<net::DnsServer>();
  dns::Answering answering{config.name, config.s2s.front().port, {}, {}};
  for (const dns::Endpoint& own : endpoints_of(config.s2s)) {
    // A listener on every address does not say at which one the servers inside reach us: upstream knows.
    if (dns::classify(own.ip, false) != dns::AddressKind::kUnspecified) answering.addresses.push_back(own.ip);
  }
  answering.kind = [&in_use](const xmpp::Domain& name) { return in_use.kind_of(name); };
  return net::DnsServer::start(
      door.io(), {endpoints_of(config.dns->listen), endpoints_of(config.dns->upstream), config.dns->clients},
      std::move(answering), door.random());
}

// What the system's resolver is, is read again too (resolv.conf(5), hosts(5)).
void reload(Door& door, CoreFilesInUse& in_use, net::DnsDialer& dialer, const Reply& reply) {
  auto resolver = net::Resolver::make(door.io().get_executor(), {});
  if (!resolver) {
    reply(json::serialize(refused_reload({finding_of("/etc/resolv.conf", resolver.error())}, door.log())));
    return;
  }
  in_use.reload([&dialer, resolver = std::move(*resolver), reply](const CoreFilesInUse::Answer& answer) {
    if (!answer.refused) dialer.use(resolver);
    reply(answer.json);
  });
}

Answers answers_of(Door& door, const CoreFiles& files, CoreFilesInUse& in_use, net::DnsDialer& dialer) {
  const auto told = [](const Reply& reply) {
    return [reply](const CoreFilesInUse::Answer& answer) { reply(answer.json); };
  };
  Answers answers;
  answers.reload = [&](const Reply& reply) { reload(door, in_use, dialer, reply); };
  answers.policy_diff = [&in_use, told](json::object question, const Reply& reply) {
    in_use.diff(std::move(question), told(reply));
  };
  answers.policy_apply = [&in_use, told](json::object question, const Reply& reply) {
    in_use.apply(std::move(question), told(reply));
  };
  answers.dns_records = [&](std::uint16_t port) {
    return records_answer(srv_records(files.config.edges, in_use.served(), port));
  };
  answers.ports = [&] { return ports_answer(core_ports(files.config, in_use.served())); };
  return answers;
}

}  // namespace

Exit run_core(const Invocation& invocation) {
  Door door(invocation);
  gate::Loaded<CoreFiles> loaded = load_core(invocation.value("--config"), Door::now().civil);
  if (!door.judge(loaded.errors, loaded.warnings)) return Exit::kConfiguration;
  CoreFiles& files = *loaded.value;
  const gate::CoreConfig& config = files.config;
  if (config.admin)
    door.log().log({LogLevel::kWarning, "door.no-console", {{"what", "nothing listens for [admin] yet"}}});

  const Result<StateDirectory> state = StateDirectory::open(config.state);
  if (!state) return door.fail(state.error());
  Result<Kept> kept = open_state(*state, files, door.random());
  if (!kept) return door.fail(kept.error());
  files.policy.update.generation = kept->generation;

  auto resolver = net::Resolver::make(door.io().get_executor(), {});
  if (!resolver) return door.fail(resolver.error());
  net::DnsDialer dialer(std::move(*resolver), inside_dialling(), door.random());
  net::S2sTls s2s_tls(*kept->minter);
  s2s_tls.trust_nothing();
  if (!files.server_ca.empty()) {
    if (Result<void> trusted = s2s_tls.trust(files.server_ca); !trusted) return door.fail(trusted.error());
  }
  auto link_tls = net::LinkTls::make(files.identity.certificate, files.identity.key);
  if (!link_tls) return door.fail(link_tls.error());

  auto policy = gate::PreparedPolicy::make(config, std::move(files.policy.update));
  gate::Core core({config, policy, kept->dialback_secret, program_version(), door.random().hex(8)},
                  door.random(), door.log(), Door::now());
  wipe(kept->dialback_secret);
  net::Driver driver({door.io(), core, dialer, s2s_tls, **link_tls, nullptr, door.aside(), door.log()},
                     driver_config(config));
  const auto use = [&](const std::shared_ptr<const gate::PreparedPolicy>& fresh) {
    kept->minter->set_inside(fresh->update().policy.rules.inside);
    core.apply(fresh, Door::now());
    driver.wake();
  };
  CoreFilesInUse in_use({files, *state, door.log(), door.aside(), door.io().get_executor(), use},
                        std::move(policy), files.policy.fingerprint);
  auto watch = DirectoryWatch::open(door.io().get_executor(), config.certificates,
                                    [&] { in_use.reload_certificates(); });
  if (!watch) return door.fail(watch.error());
  const auto dns = open_dns(door, config, in_use);
  if (!dns) return door.fail(dns.error());
  return door.serve(driver, {config.control, config.control_group, config.metrics},
                    answers_of(door, files, in_use, dialer));
}

}  // namespace sallyport::daemon
