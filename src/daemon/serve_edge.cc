// The outer door, from its files to its end.
#include <fmt/format.h>

#include <boost/json.hpp>

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

net::DriverConfig driver_config(const gate::EdgeConfig& config) {
  net::DriverConfig out;
  out.s2s = endpoints_of(config.s2s);
  out.traversal = endpoints_of(config.traversal);
  for (const gate::CoreRow& core : config.cores) out.core_pins.push_back(core.pins);
  return out;
}

net::ResolverSetup resolving(const gate::EdgeConfig& config) {
  return {config.resolver_servers, config.trust_anchor, config.resolver_insecure};
}

// [resolver], or the system's resolv.conf where there is none, is taken anew; of the rest of edge.toml
// nothing changes while the edge runs, and it says whether the file still is what it was.
json::object reload(Door& door, const std::string& file, const std::string& fingerprint,
                    net::DnsDialer& dialer) {
  const gate::Loaded<EdgeFiles> files = load_edge(file, Door::now().civil);
  if (!files.value) return refused_reload(files.errors, door.log());
  auto resolver = net::Resolver::make(door.io().get_executor(), resolving(files.value->config));
  if (!resolver) return refused_reload({finding_of(file, resolver.error())}, door.log());
  dialer.use(std::move(*resolver));
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
  gate::Loaded<EdgeFiles> files = load_edge(file, Door::now().civil);
  if (!door.judge(files.errors, files.warnings)) return Exit::kConfiguration;
  const gate::EdgeConfig& config = files.value->config;
  if (!lock_memory())
    door.log().log({LogLevel::kInfo, "door.memory-unlocked", {{"remedy", "LimitMEMLOCK=infinity"}}});

  auto resolver = net::Resolver::make(door.io().get_executor(), resolving(config));
  if (!resolver) return door.fail(resolver.error());
  net::DnsDialer dialer(std::move(*resolver), dial_setup(config), door.random());
  net::PushedCertificates pushed;
  net::S2sTls s2s_tls(pushed);
  s2s_tls.trust_system();
  auto link_tls = net::LinkTls::make(files.value->identity.certificate, files.value->identity.key);
  if (!link_tls) return door.fail(link_tls.error());

  gate::Edge edge({config, program_version(), door.random().hex(8)}, door.random(), door.log(), Door::now());
  net::Driver driver({door.io(), edge, dialer, s2s_tls, **link_tls, &pushed, door.aside(), door.log()},
                     driver_config(config));
  Answers answers;
  answers.reload = [&](const Reply& reply) {
    reply(json::serialize(reload(door, file, files.value->fingerprint, dialer)));
  };
  answers.ports = [&] { return ports_answer(edge_ports(config)); };
  return door.serve(driver, {config.control, config.control_group, config.metrics}, std::move(answers));
}

}  // namespace sallyport::daemon
