// The check that a running edge carries out for its control socket, with the policy and the certificates in
// force, which never leave its process.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <string>

#include "base/log.h"
#include "daemon/check.h"
#include "daemon/check_threads.h"
#include "gate/edge.h"
#include "net/driver.h"

namespace sallyport::daemon {

// How this edge resolves names and dials.
struct OutwardSetup {
  net::ResolverSetup resolving{};
  net::DialSetup dialling{};
};

// The means with which the edge would open a stream now. To be called in the loop of `edge` and `driver`.
// Errors: kControlRefused where no core has pushed a policy.
Result<CheckMeans> means_of(const gate::Edge& edge, const net::Driver& driver, const OutwardSetup& setup);

// Asks the edge the question `admission` (docs/control.md) about a pair, and returns its answer.
using AdmissionQuestion = std::function<std::string(const xmpp::Pair&)>;

// Carries out a `check domain` or `check tls` in a thread of its own and replies with its answer, or with an
// error. Before that the core is asked whether the name is an internal one, which must not be dialled (DESIGN
// invariant 5): for at most limits::kCheckAdmissionWait, on `loop`, where this is called and replies are
// made.
void answer_check(const boost::json::object& question, Result<CheckMeans> means, AdmissionQuestion ask,
                  boost::asio::any_io_executor loop, CheckThreads& threads, LogSink& log, const Reply& reply);

}  // namespace sallyport::daemon
