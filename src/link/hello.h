// Whose HELLO a connection begins with, read without a session: a connection that may have to be refused must
// not touch the session that lives.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::link {

// The instance in the HELLO at the front of `bytes`; nothing while it is not whole. `bytes` is all that the
// connection brought. Errors: kLinkFrame where it does not begin with a HELLO of at most
// limits::kGreetingBytesMax.
std::optional<Result<std::string>> hello_instance(std::string_view bytes);

}  // namespace sallyport::link
