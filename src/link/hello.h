// Reads the HELLO at the beginning of a connection without a session: a connection that may have to be
// rejected must not affect the current session.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::link {

// Returns the instance in the HELLO at the front of `bytes`; nothing while it is incomplete. `bytes` is all
// input of the connection. Errors: kLinkFrame unless it begins with a HELLO of at most
// limits::kGreetingBytesMax.
std::optional<Result<std::string>> hello_instance(std::string_view bytes);

}  // namespace sallyport::link
