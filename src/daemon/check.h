// One check of a remote domain, from DNS to the session (docs/control.md "Checks"). An edge runs it with the
// policy and the certificates in force; the command runs it in its own process where no edge can be asked.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/prepared_push.h"
#include "dns/address.h"
#include "net/certificate_source.h"
#include "net/dial.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "route/static_route.h"
#include "xmpp/jid.h"

namespace sallyport::daemon {

struct CheckOrder {
  xmpp::Domain name;
  // `check tls`: this server. Absent: the one that a static route or DNS leads to.
  std::optional<route::HostPort> host{};
  bool direct = false;                // Direct TLS, with `host` only
  std::optional<xmpp::Domain> own{};  // --as; absent: the first local domain that has a certificate
  std::string authorities{};          // PEM, instead of the trust store of CheckMeans
};
// Converts the order to a question of the control protocol, and back. Errors: kControlRefused.
boost::json::object question_of(const CheckOrder& order);
Result<CheckOrder> order_of(const boost::json::object& question);

// The means of a check. Everything in it is immutable or a copy: the check runs in a thread of its own.
struct CheckMeans {
  net::ResolverSetup resolving{};
  net::DialSetup dialling{};
  std::vector<dns::SocketAddress> own_listeners{};
  // Null: no edge was asked, for the reason `why_alone`, and no certificate is offered.
  std::shared_ptr<const config::PushedPolicy> policy{};
  std::shared_ptr<const net::CertificateSet> certificates{};
  std::shared_ptr<const net::TrustStore> trust{};  // null: the system's
  // The core says that the name is an internal one, or could not be asked: it is not dialled.
  std::optional<Error> core_refuses{};
  Error why_alone{Code::kControlAbsent, {}};
};

// Blocks for at most limits::kCheckTimeout and three times limits::kStopTimeout, less when `stop` is
// requested. Errors: kPolicyNotLocal for `own`, those of Resolver::make and TrustStore::parse, kInternal.
Result<boost::json::object> run_check(const CheckOrder& order, const CheckMeans& means, std::stop_token stop);

}  // namespace sallyport::daemon
