// The check that a running edge carries out for its control socket, with the policy and the certificates in
// force, which never leave its process.
#pragma once

#include "base/log.h"
#include "daemon/check.h"
#include "daemon/check_threads.h"
#include "gate/edge.h"
#include "net/driver.h"

namespace sallyport::daemon {

// How this edge resolves names and dials.
struct EdgeSetup {
  net::ResolverSetup resolving{};
  net::DialSetup dialling{};
};

// The means with which the edge would open a stream now. To be called in the loop of `edge` and `driver`.
// Errors: kControlRefused where no core has pushed a policy.
Result<CheckMeans> means_of(const gate::Edge& edge, const net::Driver& driver, const EdgeSetup& setup);

// Carries out a `check domain` or `check tls` in a thread of its own and replies with its answer, or with an
// error.
void answer_check(const boost::json::object& question, Result<CheckMeans> means, CheckThreads& threads,
                  LogSink& log, const Reply& reply);

}  // namespace sallyport::daemon
