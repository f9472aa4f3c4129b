// [identity]: who a node is on the link.
#pragma once

#include <string>

namespace sallyport::config {

struct IdentityFiles {
  std::string certificate{};
  std::string key{};
};

}  // namespace sallyport::config
