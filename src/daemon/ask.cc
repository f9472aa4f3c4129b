// The commands that send one question to a running node and show its answer.
#include "daemon/ask.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "base/limits.h"
#include "daemon/control_client.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"

namespace sallyport::daemon {

namespace json = boost::json;

Exit put_answer(const Invocation& invocation, const json::object& answer, const Show& show, Good good,
                Exit bad) {
  const bool refused = answer.contains("error") && list_at(answer, "errors").empty();
  if (invocation.has("--json")) {
    print(json::serialize(answer) + "\n");
  } else if (refused) {
    complain(show_error(object_at(answer, "error")));
  } else {
    print(show(answer));
  }
  if (refused) return Exit::kFailed;
  return good != nullptr && !good(answer) ? bad : Exit::kGood;
}

Exit put(const Invocation& invocation, const json::object& question, const Show& show, Good good, Exit bad) {
  Exit exit = Exit::kGood;
  const std::optional<json::object> answer = ask_for(invocation, question, exit);
  return answer ? put_answer(invocation, *answer, show, good, bad) : exit;
}

namespace {

bool is_ok(const json::object& answer) { return field(answer, "result") == "ok"; }

bool is_without_errors(const json::object& answer) { return list_at(answer, "errors").empty(); }

std::string show_reload(const json::object& answer) {
  if (is_without_errors(answer)) {
    std::string out = field(answer, "changed") == "no" ? "Nothing has changed" : "In force";
    if (answer.contains("generation")) {
      out += fmt::format(": generation {}, sha256 {}", field(answer, "generation"), field(answer, "sha256"));
    }
    for (const json::value& note : list_at(answer, "notes")) out += "\n" + std::string(note.as_string());
    for (const json::value& warning : list_at(answer, "warnings"))
      out += "\nwarning: " + std::string(warning.as_string());
    return out + "\n";
  }
  std::string out;
  for (const json::value& error : list_at(answer, "errors")) out += std::string(error.as_string()) + "\n";
  return out + "The change is refused; the earlier policy stays in force.\n";
}

std::string show_apply(const json::object& answer) {
  std::string out;
  for (const json::value& change : list_at(answer, "changes")) out += show_policy_change(change.get_object());
  return out + show_reload(answer);
}

// Adds a file's text to the question and sends it; an invalid file ends with kConfiguration.
Exit put_policy(const Invocation& invocation, json::object question, const Show& show) {
  const std::string& path = invocation.arguments[0];
  const Result<std::string> text = read_file(path, limits::kControlPolicyBytesMax);
  if (!text) {
    report({unreadable_finding(path, text.error())}, {}, false);
    return Exit::kConfiguration;
  }
  question["name"] = path;
  question["text"] = *text;
  // JSON and TOML are UTF-8: checked here, where the file's name is known.
  boost::system::error_code failed;
  (void)json::parse(json::serialize(question["text"]), failed);
  if (failed) {
    report({finding_of(path, {Code::kConfigSyntax, "the file is not UTF-8"})}, {}, false);
    return Exit::kConfiguration;
  }
  return put(invocation, question, show, is_without_errors, Exit::kConfiguration);
}

std::string show_drain(const json::object&) { return "The node is draining.\n"; }

std::string show_log_level(const json::object& answer) {
  return fmt::format("The minimum log level is {}.\n", field(answer, "level"));
}

}  // namespace

Exit run_status(const Invocation& invocation) { return put(invocation, {{"ask", "status"}}, show_status); }

Exit run_connections(const Invocation& invocation) {
  return put(invocation, {{"ask", "connections"}}, show_connections);
}

Exit run_explain(const Invocation& invocation) {
  return put(invocation,
             {{"ask", "explain"}, {"from", invocation.arguments[0]}, {"to", invocation.arguments[1]}},
             show_explain, is_ok);
}

Exit run_policy_show(const Invocation& invocation) {
  return put(invocation, {{"ask", "policy show"}}, show_policy);
}

Exit run_policy_test(const Invocation& invocation) {
  return put(invocation,
             {{"ask", "policy test"}, {"from", invocation.arguments[0]}, {"to", invocation.arguments[1]}},
             show_policy_test, is_ok);
}

Exit run_policy_diff(const Invocation& invocation) {
  return put_policy(invocation, {{"ask", "policy diff"}}, show_policy_diff);
}

Exit run_policy_apply(const Invocation& invocation) {
  json::object question{{"ask", "policy apply"}};
  if (invocation.has("--if-generation")) {
    const std::string number = invocation.value("--if-generation");
    std::uint64_t generation = 0;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), generation);
    if (failed != std::errc{} || end != number.data() + number.size()) {
      complain(fmt::format("--if-generation: `{}` is not a number", number));
      return Exit::kUsage;
    }
    question["generation"] = generation;
  }
  return put_policy(invocation, std::move(question), show_apply);
}

Exit run_reload(const Invocation& invocation) {
  return put(invocation, {{"ask", "reload"}}, show_reload, is_without_errors, Exit::kConfiguration);
}

Exit run_drain(const Invocation& invocation) { return put(invocation, {{"ask", "drain"}}, show_drain); }

Exit run_log_level(const Invocation& invocation) {
  return put(invocation, {{"ask", "log level"}, {"level", invocation.arguments[0]}}, show_log_level);
}

}  // namespace sallyport::daemon
