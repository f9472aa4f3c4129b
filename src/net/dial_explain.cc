#include "net/dial_explain.h"

#include <algorithm>
#include <chrono>

#include <boost/json/array.hpp>

#include "base/limits.h"

namespace sallyport::net {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

json::object error_json(const Error& error) {
  return {{"code", code_row(error.code).name}, {"text", error.text}};
}

json::object answer_json(std::string_view service, const dns::SrvAnswer& answer, bool direct_tls,
                         const std::vector<dns::Skipped>& skipped) {
  json::array records;
  for (const auto& record : answer.records) {
    json::object row{{"priority", record.priority},
                     {"weight", record.weight},
                     {"port", record.port},
                     {"target", record.target}};
    const auto why = std::ranges::find_if(
        skipped, [&](const dns::Skipped& s) { return s.direct_tls == direct_tls && s.record == record; });
    if (why != skipped.end()) row["skipped"] = error_json(why->why);
    records.push_back(std::move(row));
  }
  json::object out{{"service", service},
                   {"answer", dns::outcome_name(answer.outcome)},
                   {"secure", answer.secure},
                   {"records", std::move(records)}};
  if (!answer.text.empty()) out["note"] = answer.text;
  return out;
}

json::object target_json(const TargetExplained& explained) {
  json::array addresses;
  for (const auto& address : explained.addresses) {
    json::object row{{"address", address.endpoint.text()}};
    if (address.refused) row["refused"] = error_json(*address.refused);
    addresses.push_back(std::move(row));
  }
  return {{"target", explained.target.text()},
          {"direct_tls", explained.target.direct_tls},
          {"secure", explained.target.secure && explained.v4.secure && explained.v6.secure},
          {"aaaa", dns::outcome_name(explained.v6.outcome)},
          {"a", dns::outcome_name(explained.v4.outcome)},
          {"addresses", std::move(addresses)}};
}

}  // namespace

asio::awaitable<DnsExplained> explain_dns(DnsDialer& dialer, xmpp::Domain domain) {
  DnsExplained out{domain, {}, {}, {}, {}, {}};
  const auto deadline = Clock::now() + limits::kDialTimeout;
  Resolver::Questions services(dialer.resolver());
  const auto direct =
      services.ask(std::string(dns::kDirectTlsService) + domain.ascii(), dns::RecordType::kSrv, deadline);
  const auto starttls =
      services.ask(std::string(dns::kStartTlsService) + domain.ascii(), dns::RecordType::kSrv, deadline);
  co_await services.wait_all();
  out.direct = services.srv(direct);
  out.starttls = services.srv(starttls);

  auto targets = dns::order_targets(domain, out.direct, out.starttls, dialer.setup().ports, dialer.random());
  out.skipped = std::move(targets.skipped);
  out.error = std::move(targets.refusal);
  Resolver::Questions hosts(dialer.resolver());
  for (const auto& target : targets.list) {
    hosts.ask(target.host, dns::RecordType::kAaaa, deadline);
    hosts.ask(target.host, dns::RecordType::kA, deadline);
  }
  co_await hosts.wait_all();

  bool any = false;
  MostTelling met;
  for (std::size_t i = 0; i < targets.list.size(); ++i) {
    TargetExplained row{targets.list[i], hosts.addresses(2 * i), hosts.addresses(2 * i + 1), {}};
    for (const auto& [ip, written_as_v6] : dns::take_turns(row.v6.ips, row.v4.ips)) {
      AddressExplained address{{ip, row.target.port}, written_as_v6, {}};
      if (auto ok = dialer.check(address.endpoint, written_as_v6); !ok) {
        met.add(ok.error());
        address.refused = std::move(ok).error();
      } else {
        any = true;
      }
      row.addresses.push_back(std::move(address));
    }
    if (row.addresses.empty()) met.add(lookup_error(row.v6, row.v4, row.target.host));
    out.plan.push_back(std::move(row));
  }
  if (!out.error && !any) out.error = targets.srv_failure ? targets.srv_failure : met.error();
  co_return out;
}

json::object to_json(const DnsExplained& explained) {
  json::array plan;
  for (const auto& row : explained.plan) plan.push_back(target_json(row));
  json::object out{
      {"domain", explained.domain.unicode()},
      {"srv", json::array{answer_json("_xmpps-server", explained.direct, true, explained.skipped),
                          answer_json("_xmpp-server", explained.starttls, false, explained.skipped)}},
      {"plan", std::move(plan)}};
  if (explained.error) {
    auto error = error_json(*explained.error);
    error["sentence"] = code_row(explained.error->code).sentence;
    error["remedy"] = code_row(explained.error->code).remedy;
    out["error"] = std::move(error);
  }
  return out;
}

}  // namespace sallyport::net
