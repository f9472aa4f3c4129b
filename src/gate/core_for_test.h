// The configuration of a core, for the tests that run one.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "config/core_config.h"

namespace sallyport::gate {

// core.toml with one edge. `more` stands at its end, in [internal].
inline config::CoreConfig core_for_test(std::string_view more = {}) {
  constexpr std::string_view kText = R"([core]
name = "core.corp.example"
s2s = ["10.0.0.5:5269"]
control = "core.sock"
state = "state"
policy = "policy.toml"
[identity]
certificate = "core.crt"
key = "core.key"
[[edge]]
name = "vcse.example.com"
address = "192.0.2.10:7400"
pins = ["sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
[certificates]
directory = "certs"
[internal]
names = ["corp.example", "*.corp.example"]
)";
  auto config = config::parse_core_config(std::string(kText) + std::string(more), "core.toml");
  EXPECT_TRUE(config.value) << (config.errors.empty() ? "" : config.errors.front().shown());
  return *std::move(config.value);
}

}  // namespace sallyport::gate
