// Questions of the control socket to a core (docs/control.md).
#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "gate/control.h"
#include "gate/core_impl.h"

namespace sallyport::gate {

namespace json = boost::json;

std::string Core::Impl::status() const {
  json::array rows;
  for (std::size_t i = 0; i < links.state.size(); ++i) {
    const Link& link = links.state[i];
    json::object row{{"name", setup.config.edges[i].name.ascii()},
                     {"state", link.ready && link.draining          ? "draining"
                               : link.ready                         ? "up"
                               : links.ends.at(i).session().is_up() ? "pushing"
                                                                    : "down"},
                     {"address", setup.config.edges[i].address.text()},
                     {"generation", link.pushed_generation}};
    if (links.ends.at(i).conn()) row["since"] = rfc3339(links.ends.at(i).since());
    if (!link.last_error.empty()) row["last_error"] = link.last_error;
    rows.push_back(std::move(row));
  }
  // Those on a link wait for their settlement.
  std::size_t waiting = endpoint.waiting() + outward.unsettled, bytes = endpoint.waiting_bytes();
  for (const auto& [pair, out] : outward.map) waiting += out.box.size(), bytes += out.box.bytes();
  for (std::size_t i = 0; i < links.ends.size(); ++i) bytes += links.ends.at(i).session().unsettled_bytes();
  const auto& update = policy.in_force->update();
  const auto census = endpoint.census();
  return json::serialize(json::object{
      {"role", "core"},
      {"name", setup.config.name.ascii()},
      {"version", setup.version},
      {"instance", setup.instance},
      {"since", rfc3339(report.since)},
      {"state", report.draining ? "draining" : "serving"},
      {"draining", report.draining},
      {"policy", json::object{{"generation", update.generation},
                              {"serves", update.policy.served.size()},
                              {"sha256", to_hex(update.policy_sha256)},
                              {"enabled", update.policy.rules.enabled},
                              {"privacy", policy::privacy_name(update.policy.rules.privacy)}}},
      {"links", std::move(rows)},
      {"streams", json::object{{"in", census.in}, {"out", census.out}, {"negotiating", census.negotiating}}},
      {"stanzas", json::object{{"in", report.in},
                               {"out", report.out},
                               {"refused", report.refused},
                               {"sent_again", report.sent_again + durable.queue.sent_again() +
                                                  endpoint.counters().sent_again},
                               {"uncertain", report.uncertain + endpoint.counters().uncertain},
                               {"fell_back", endpoint.counters().fell_back}}},
      {"queue", queue_object()},
      {"waiting", json::object{{"stanzas", waiting}, {"bytes", bytes}}}});
}

std::string Core::Impl::connections() const {
  json::array rows = connection_rows(endpoint, "inside", true);
  for (const auto& [pair, out] : outward.map) {
    if (!out.was_used()) continue;
    json::object row{{"local", pair.local.ascii()},
                     {"remote", pair.remote.ascii()},
                     {"direction", "out"},
                     {"face", "link"},
                     {"peer", ""},
                     {"phase", ""},
                     {"proved", true},
                     {"tls", ""},
                     {"cipher", ""},
                     {"method", "link"},
                     {"stanzas", out.stanzas},
                     {"bytes", out.bytes_sent},
                     {"last_error", out.last_error}};
    row["phase"] = out.edge && links.state[*out.edge].ready ? "ready" : "waiting";
    if (out.stanzas > 0) row["since"] = rfc3339(out.since);
    if (out.edge) row["peer"] = setup.config.edges[*out.edge].name.ascii();
    rows.push_back(std::move(row));
  }
  return json::serialize(json::object{{"connections", std::move(rows)}});
}

namespace {

// A question names addresses or domains.
Result<xmpp::Domain> domain_of(const std::string& text) {
  auto jid = xmpp::Jid::parse(text);
  if (!jid) return jid.error();
  return jid->domain();
}

struct Ends {
  Pair pair;
  policy::Direction start;
};

Result<Ends> ends_of(const PolicyInForce& in_force, const std::string& from, const std::string& to) {
  auto a = domain_of(from);
  auto b = domain_of(to);
  if (!a) return a.error();
  if (!b) return b.error();
  if (in_force.rules().is_local(*a)) return Ends{{*a, *b}, policy::Direction::kOut};
  if (in_force.rules().is_local(*b)) return Ends{{*b, *a}, policy::Direction::kIn};
  return Error{Code::kPolicyNotLocal, a->ascii() + " and " + b->ascii() + ": neither is served here"};
}

}  // namespace

std::string Core::Impl::policy_test(const std::string& from, const std::string& to, Now now) const {
  auto found = ends_of(*policy.in_force, from, to);
  if (!found) return refusal(found.error());
  const auto verdict = policy.in_force->rules().decide(found->pair, found->start, now.civil);
  json::object object{{"local", found->pair.local.ascii()},
                      {"remote", found->pair.remote.ascii()},
                      {"direction", policy::direction_name(found->start)},
                      {"result", verdict.result ? "ok" : "refused"},
                      {"because", verdict.because}};
  if (!verdict.result) object["code"] = code_row(verdict.result.error().code).name;
  return json::serialize(object);
}

std::string Core::Impl::explain(const std::string& from, const std::string& to, Now now) const {
  json::array steps;
  bool good = true;
  const auto step = [&](std::string_view what, bool ok, std::string detail, std::string_view code = {}) {
    steps.push_back(json::object{{"what", what}, {"ok", ok}, {"detail", std::move(detail)}, {"code", code}});
    good = good && ok;
  };
  auto found = ends_of(*policy.in_force, from, to);
  if (!found) return refusal(found.error());
  const Pair& pair = found->pair;
  const bool out = found->start == policy::Direction::kOut;
  step("names", true,
       fmt::format("local {}, remote {}, {}", pair.local.ascii(), pair.remote.ascii(),
                   out ? "outward" : "inward"));
  const auto verdict = policy.in_force->rules().decide(pair, found->start, now.civil);
  step("policy", verdict.result.has_value(), verdict.because,
       verdict.result ? std::string_view{} : code_row(verdict.result.error().code).name);
  const auto peer = policy.in_force->rules().peer(pair.remote);
  step("proof", true,
       fmt::format("the remote domain is proved by {}",
                   peer.authenticate == policy::Authenticate::kCertificate ? "certificate" : "dialback"));
  if (report.draining) step("core", false, "it is being drained", code_row(Code::kStreamShutdown).name);
  std::string linked;
  std::string drained;
  for (std::size_t i = 0; i < links.state.size(); ++i) {
    if (!links.state[i].ready) continue;
    std::string& names = links.state[i].draining ? drained : linked;
    names += (names.empty() ? "" : ", ") + setup.config.edges[i].name.ascii();
  }
  if (!linked.empty()) {
    step("link", true, "up: " + linked);
  } else if (!drained.empty()) {
    step("link", false, "being drained: " + drained, code_row(Code::kStreamShutdown).name);
  } else {
    step("link", false, "no edge is linked", code_row(Code::kLinkDown).name);
  }
  std::string route = "DNS SRV, asked by the edge";
  for (const auto& row : policy.in_force->update().policy.routes)
    if (policy.in_force->update().policy.static_routes && row.domain == pair.remote)
      route = "static route " + row.address.text();
  step("route", true, route);
  if (const auto* it = outward.map.find(pair); it != nullptr && !it->second.last_error.empty())
    step("last outward error", true, it->second.last_error);
  const config::Served* served = policy.in_force->served_outward(pair.local);
  if (served != nullptr && !out) {
    std::string servers;
    for (const auto& server : served->servers) servers += (servers.empty() ? "" : ", ") + server.text();
    const Pair internal{pair.remote, served->internal_name};
    const auto error = endpoint.last_error(internal);
    // Nothing is dialled for an explanation.
    std::string known =
        endpoint.is_ready(internal) ? "a stream is open" : "not connected now, no failure is known";
    const bool rests = error && !endpoint.may_dial(internal, now);
    if (error)
      known = fmt::format("{} {}{}", code_row(error->code).sentence, shown(error->text),
                          rests ? "" : " (the next stanza dials again)");
    step("internal server", !rests, servers + ": " + known,
         rests ? code_row(error->code).name : std::string_view{});
  }
  return json::serialize(json::object{{"local", pair.local.ascii()},
                                      {"remote", pair.remote.ascii()},
                                      {"result", good ? "ok" : "refused"},
                                      {"steps", std::move(steps)}});
}

std::string Core::Impl::policy_show() const {
  const auto& update = policy.in_force->update();
  auto object = rules_object(update.policy.rules);
  object["delivery"] = policy::delivery_name(update.policy.rules.delivery);
  object["generation"] = update.generation;
  object["sha256"] = to_hex(update.policy_sha256);
  json::array routes;
  for (const auto& row : update.policy.routes)
    routes.push_back(json::object{{"domain", row.domain.ascii()},
                                  {"address", row.address.text()},
                                  {"priority", row.priority},
                                  {"fallback", row.fallback_dns ? "dns" : "none"}});
  object["static_routes"] = std::move(routes);
  json::array served;
  for (const auto& row : update.policy.served) {
    json::array servers;
    for (const auto& server : row.servers) servers.push_back(json::value(server.text()));
    served.push_back(json::object{{"name", row.name.ascii()},
                                  {"inside", row.internal_name.ascii()},
                                  {"servers", std::move(servers)},
                                  {"alias", row.is_alias}});
  }
  object["served"] = std::move(served);
  return json::serialize(object);
}

}  // namespace sallyport::gate
