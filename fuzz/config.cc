// Configuration files: every text is either a configuration or has errors, each with a place in that text;
// and no policy makes an internal name remote.
#include <algorithm>
#include <string>

#include "config/edge_config.h"
#include "config/policy_config.h"
#include "config/push.h"
#include "property.h"

using namespace sallyport;

namespace {

template <typename T>
void findings(const config::Loaded<T>& loaded, std::string_view text) {
  fuzz::require(loaded.value.has_value() == loaded.errors.empty(), "a value, or why not");
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  for (const auto* all : {&loaded.errors, &loaded.warnings}) {
    for (const auto& finding : *all) {
      fuzz::require(finding.line >= 1 && finding.column >= 1, "every finding has a place");
      // The library counts more kinds of vertical white space than we do, but never more lines than bytes.
      fuzz::require(finding.line <= lines + text.size(), "the place is in the text");
      fuzz::require(finding.file == "f.toml" && !finding.text.empty(), "every finding says where and what");
    }
  }
}

config::CoreConfig core() {
  config::CoreConfig config{.name = *xmpp::Domain::parse("core.corp.example")};
  config.internal_names = {*policy::DomainPattern::parse("corp.example"),
                           *policy::DomainPattern::parse("*.corp.example")};
  return config;
}

void policy_file(std::string_view text) {
  const auto loaded =
      config::parse_policy(text, "f.toml", core(), UnixTime(std::chrono::seconds(1'800'000'000)));
  findings(loaded, text);
  if (!loaded.value) return;
  const auto& config = *loaded.value;

  config::Push push;
  push.rules = config.rules;
  push.routes = config.routes;
  const auto bytes = push.encode();
  const auto again = config::Push::decode(bytes);
  fuzz::require(again.has_value() && again->encode() == bytes, "a policy crosses the link unchanged");

  const policy::Rules rules(config.rules);
  const auto inside = *xmpp::Domain::parse("im.corp.example");
  for (const auto& local : config.rules.local) {
    for (const auto start : {policy::Direction::kIn, policy::Direction::kOut}) {
      fuzz::require(!rules.decide({local.name, inside}, start, UnixTime()).result,
                    "an internal name is not remote");
      fuzz::require(!rules.decide({local.name, local.name}, start, UnixTime()).result,
                    "a local name is not remote");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::text_of(data, size);
  findings(config::parse_edge_config(text, "f.toml"), text);
  findings(config::parse_core_config(text, "f.toml"), text);
  policy_file(text);
  return 0;
}
