// How commands show the answer of a running node.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>

#include "daemon/command.h"

namespace sallyport::daemon {

using Show = std::function<std::string(const boost::json::object&)>;
using Good = bool (*)(const boost::json::object&);

// Prints the answer and returns the exit code: 1 when the node refused, `bad` when `good` is false for the
// answer. An answer with `errors` is shown by `show`, which lists them, also when it has an `error`.
Exit put_answer(const Invocation& invocation, const boost::json::object& answer, const Show& show,
                Good good = nullptr, Exit bad = Exit::kFailed);
// Asks the node first.
Exit put(const Invocation& invocation, const boost::json::object& question, const Show& show,
         Good good = nullptr, Exit bad = Exit::kFailed);

}  // namespace sallyport::daemon
