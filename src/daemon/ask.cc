// The commands that put one question to a running door and show its answer.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "daemon/control_client.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// Asks, prints, and says how it went: 1 when the door refused, or when `good` says no of its answer.
Exit put(const Invocation& invocation, const json::object& question, std::string (*show)(const json::object&),
         bool (*good)(const json::object&) = nullptr) {
  Exit exit = Exit::kGood;
  const std::optional<json::object> answer = ask_for(invocation, question, exit);
  if (!answer) return exit;
  const bool refused = answer->contains("error");
  if (invocation.has("--json")) {
    print(json::serialize(*answer) + "\n");
  } else if (refused) {
    complain(show_error(object_at(*answer, "error")));
  } else {
    print(show(*answer));
  }
  return refused || (good != nullptr && !good(*answer)) ? Exit::kFailed : Exit::kGood;
}

bool is_ok(const json::object& answer) { return field(answer, "result") == "ok"; }

bool is_without_errors(const json::object& answer) { return list_at(answer, "errors").empty(); }

std::string show_reload(const json::object& answer) {
  if (is_without_errors(answer)) {
    std::string out = field(answer, "changed") == "no" ? "nothing has changed" : "in force";
    if (answer.contains("generation")) {
      out += fmt::format(": generation {}, sha256 {}", field(answer, "generation"), field(answer, "sha256"));
    }
    for (const json::value& note : list_at(answer, "notes")) out += "\n" + std::string(note.as_string());
    return out + "\n";
  }
  std::string out;
  for (const json::value& error : list_at(answer, "errors")) out += std::string(error.as_string()) + "\n";
  return out + "refused; what was in force stays in force\n";
}

std::string show_drain(const json::object&) { return "draining\n"; }

std::string show_log_level(const json::object& answer) {
  return fmt::format("log level {}\n", field(answer, "level"));
}

}  // namespace

Exit run_status(const Invocation& invocation) { return put(invocation, {{"ask", "status"}}, show_status); }

Exit run_connections(const Invocation& invocation) {
  return put(invocation, {{"ask", "connections"}}, show_connections);
}

Exit run_explain(const Invocation& invocation) {
  return put(invocation,
             {{"ask", "explain"}, {"from", invocation.arguments[0]}, {"to", invocation.arguments[1]}},
             show_explain);
}

Exit run_policy_show(const Invocation& invocation) {
  return put(invocation, {{"ask", "policy show"}}, show_policy);
}

Exit run_policy_test(const Invocation& invocation) {
  return put(invocation,
             {{"ask", "policy test"}, {"from", invocation.arguments[0]}, {"to", invocation.arguments[1]}},
             show_policy_test, is_ok);
}

Exit run_reload(const Invocation& invocation) {
  return put(invocation, {{"ask", "reload"}}, show_reload, is_without_errors);
}

Exit run_drain(const Invocation& invocation) { return put(invocation, {{"ask", "drain"}}, show_drain); }

Exit run_log_level(const Invocation& invocation) {
  return put(invocation, {{"ask", "log level"}, {"level", invocation.arguments[0]}}, show_log_level);
}

}  // namespace sallyport::daemon
