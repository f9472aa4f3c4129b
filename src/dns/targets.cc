#include "dns/targets.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::dns {
namespace {

// RFC 6120 3.2.2: the port of the domain itself.
constexpr std::uint16_t kDefaultPort = 5269;

struct Candidate {
  SrvRecord record;
  bool direct_tls;
  bool secure;
};

std::vector<Candidate> mix(const SrvAnswer& direct, const SrvAnswer& starttls) {
  std::vector<Candidate> all;
  for (const auto* answer : {&direct, &starttls}) {
    if (answer->outcome != LookupOutcome::kFound) continue;
    for (const auto& record : answer->records) all.push_back({record, answer == &direct, answer->secure});
  }
  return all;
}

// RFC 2782 "Weight", for candidates of one priority: weight 0 first, then repeatedly a random number from 0
// to the sum of the remaining weights, inclusive, selects the next. Moves them to the end of `out`.
void draw(std::vector<Candidate> left, std::vector<Candidate>& out, Random& random) {
  std::stable_partition(left.begin(), left.end(), [](const Candidate& c) { return c.record.weight == 0; });
  while (!left.empty()) {
    std::uint64_t sum = 0;
    for (const auto& candidate : left) sum += candidate.record.weight;
    const std::uint64_t mark = random.below(sum + 1);
    std::uint64_t running = 0;
    const auto chosen = std::ranges::find_if(left, [&](const Candidate& candidate) {
      running += candidate.record.weight;
      return running >= mark;
    });
    out.push_back(std::move(*chosen));
    left.erase(chosen);
  }
}

std::vector<Candidate> order(std::vector<Candidate> all, Random& random) {
  std::ranges::stable_sort(all, {}, [](const Candidate& c) { return c.record.priority; });
  std::vector<Candidate> out;
  for (auto begin = all.begin(); begin != all.end();) {
    const auto end = std::find_if(
        begin, all.end(), [&](const Candidate& c) { return c.record.priority != begin->record.priority; });
    draw({begin, end}, out, random);
    begin = end;
  }
  return out;
}

std::optional<Error> why_not(const Candidate& candidate, std::span<const std::uint16_t> ports,
                             const std::vector<Target>& chosen) {
  const auto& record = candidate.record;
  if (record.target == ".") return Error{Code::kDnsDecline, "the target is \".\""};
  if (record.port == 0 || std::ranges::find(ports, record.port) == ports.end()) {
    return Error{Code::kDialPort, fmt::format("{}:{}", record.target, record.port)};
  }
  if (chosen.size() >= limits::kTargetsMax) {
    return Error{Code::kDnsTooMany, fmt::format("only {} targets are tried", limits::kTargetsMax)};
  }
  return std::nullopt;
}

std::optional<Error> bogus(const SrvAnswer& direct, const SrvAnswer& starttls) {
  for (const auto* answer : {&direct, &starttls}) {
    if (answer->outcome == LookupOutcome::kBogus) return Error{Code::kDnsBogus, answer->text};
  }
  return std::nullopt;
}

std::optional<Error> failure(const SrvAnswer& direct, const SrvAnswer& starttls) {
  for (const auto* answer : {&starttls, &direct}) {
    if (answer->outcome == LookupOutcome::kFailure) return Error{Code::kDnsFailure, answer->text};
  }
  return std::nullopt;
}

// The most useful error first: a failure may pass, the reader may allow a port, but a decline is final.
Error refusal(const std::vector<Skipped>& skipped, const SrvAnswer& direct, const SrvAnswer& starttls) {
  if (auto error = failure(direct, starttls)) return *std::move(error);
  const auto port = std::ranges::find(skipped, Code::kDialPort, [](const Skipped& s) { return s.why.code; });
  return port != skipped.end() ? port->why : skipped.front().why;
}

Targets fall_back(const xmpp::Domain& domain, const SrvAnswer& direct, const SrvAnswer& starttls) {
  Targets out;
  out.list.push_back({domain.ascii(), kDefaultPort, false, false, direct.secure && starttls.secure});
  out.srv_failure = failure(direct, starttls);
  return out;
}

}  // namespace

std::string Target::text() const {
  return fmt::format("{} {}:{}", from_srv ? (direct_tls ? "SRV (Direct TLS)" : "SRV") : "address of", host,
                     port);
}

Targets order_targets(const xmpp::Domain& domain, const SrvAnswer& direct, const SrvAnswer& starttls,
                      std::span<const std::uint16_t> ports, Random& random) {
  if (auto error = bogus(direct, starttls)) {
    Targets out;
    out.refusal = std::move(error);
    return out;
  }
  auto candidates = mix(direct, starttls);
  if (candidates.empty()) return fall_back(domain, direct, starttls);

  Targets out;
  for (auto& candidate : order(std::move(candidates), random)) {
    Target target{candidate.record.target, candidate.record.port, candidate.direct_tls, true,
                  candidate.secure};
    if (std::ranges::find(out.list, target) != out.list.end()) continue;
    if (auto why = why_not(candidate, ports, out.list)) {
      out.skipped.push_back({std::move(candidate.record), candidate.direct_tls, *std::move(why)});
    } else {
      out.list.push_back(std::move(target));
    }
  }
  if (out.list.empty()) out.refusal = refusal(out.skipped, direct, starttls);
  return out;
}

std::vector<std::pair<Ip, bool>> take_turns(std::span<const Ip> v6, std::span<const Ip> v4) {
  std::vector<std::pair<Ip, bool>> out;
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) out.emplace_back(v6[i], true);
    if (i < v4.size()) out.emplace_back(v4[i], false);
  }
  return out;
}

}  // namespace sallyport::dns
