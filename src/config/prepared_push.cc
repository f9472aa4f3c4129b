#include "config/prepared_push.h"

#include <algorithm>
#include <utility>

namespace sallyport::config {
namespace {

Push with_own_name(Push push, const xmpp::Domain& own) {
  push.rules.internal_names.push_back(policy::DomainPattern::parse(own.ascii()).value());
  return push;
}

Result<void> check_names(const Push& push, const std::vector<policy::DomainPattern>& may_bring) {
  if (may_bring.empty()) return {};
  for (const auto& local : push.rules.local) {
    const auto covers = [&](const policy::DomainPattern& pattern) { return pattern.matches(local.name); };
    if (std::ranges::none_of(may_bring, covers)) return {Code::kLinkDomain, local.name.ascii()};
  }
  return {};
}

}  // namespace

std::shared_ptr<const PushedPolicy> PushedPolicy::make(Push push, const xmpp::Domain& own) {
  return std::shared_ptr<const PushedPolicy>(new PushedPolicy(std::move(push), own));
}

PushedPolicy::PushedPolicy(Push push, const xmpp::Domain& own)
    : push_(with_own_name(std::move(push), own)),
      rules_(std::shared_ptr<const policy::RuleSet>(std::shared_ptr<const void>(), &push_.rules)),
      routes_(push_.routes) {}

Result<DecodedPush> decode_push(PushWork work) {
  auto push = Push::decode(work.bytes.view());
  if (!push) return std::move(push).error();
  if (auto may = check_names(*push, work.may_bring); !may) return std::move(may).error();
  DecodedPush decoded;
  decoded.certificates = std::exchange(push->certificates, {});
  decoded.trusted_ca = std::exchange(push->trusted_ca, {});
  decoded.policy = PushedPolicy::make(*std::move(push), work.own);
  return decoded;
}

}  // namespace sallyport::config
