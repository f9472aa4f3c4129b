// The question `queue show` (docs/control.md), which the process answers from the spool.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"
#include "net/spool.h"

namespace sallyport::daemon {

// The messages that the question names: one by its `number`, or the first `count` of a remote `domain`; with
// `older_than` those that have waited so many seconds. Errors: kControlRefused.
Result<net::SpoolFilter> queue_filter(const boost::json::object& question, UnixTime now);

// Reads the messages from the spool and answers with their addresses, sizes and times, never with their
// content. Blocks; may be called from any thread.
std::string answer_queue_show(const std::string& spool, const net::SpoolFilter& filter,
                              std::chrono::seconds lifetime, UnixTime now);

}  // namespace sallyport::daemon
