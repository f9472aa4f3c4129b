// [identity]: the files of a node's link identity.
#pragma once

#include <string>

namespace sallyport::config {

struct IdentityFiles {
  std::string certificate{};
  std::string key{};
};

}  // namespace sallyport::config
