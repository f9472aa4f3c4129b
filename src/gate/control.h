// The control vocabulary (docs/control.md): what the roles' answers have in common.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/result.h"
#include "base/time.h"
#include "gate/endpoint.h"
#include "policy/rules.h"

namespace sallyport::gate {

// A question as read: its `ask` and its other fields. Errors: kControlRefused.
struct ControlQuestion {
  std::string ask;
  std::string from;
  std::string to;
  std::string domain;
  std::uint32_t older_than = 0;  // seconds
  static Result<ControlQuestion> parse(std::string_view json);
};

// {"error":{…}} as text.
std::string refusal(const Error& error);
// The refusal of an edge that is asked what only a core knows.
boost::json::object core_only_object(std::string_view ask);
boost::json::object error_object(const Error& error);
// The rows of `connections`. A core turns its pairs round (`turn_pairs`), so that they are shown as policy
// sees them, local first.
boost::json::array connection_rows(const Endpoint& endpoint, std::string_view face, bool turn_pairs);
// Policy without keys, for `policy show`.
boost::json::object rules_object(const policy::RuleSet& rules);

}  // namespace sallyport::gate
