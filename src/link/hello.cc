#include "link/hello.h"

#include <variant>

#include "base/limits.h"
#include "link/frame.h"

namespace sallyport::link {

std::optional<Result<std::string>> hello_instance(std::string_view bytes) {
  frame::Reader reader;
  const auto raw = reader.next(bytes, limits::kGreetingBytesMax);
  if (!raw) return std::nullopt;
  if (!*raw) return Result<std::string>(raw->error());
  const auto f = frame::decode(**raw);
  if (!f) return Result<std::string>(f.error());
  const auto* hello = std::get_if<frame::Hello>(&*f);
  if (hello == nullptr) return Result<std::string>(Error{Code::kLinkFrame, "the greeting is not a HELLO"});
  return Result<std::string>(std::string(hello->instance));
}

}  // namespace sallyport::link
