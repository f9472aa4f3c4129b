#include "daemon/report.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdio>
#include <optional>

#include "base/codes.h"
#include "gate/control.h"

namespace sallyport::daemon {
namespace {

// The first error of this process. A command runs once in a process, in one thread.
struct FirstError {
  bool printed = false;  // there was an answer
  std::optional<Code> code;
  std::string text;
  std::string remedy;  // instead of the code's

  void note(std::optional<Code> of, const std::string& what, std::string_view instead = {}) {
    if (!text.empty()) return;
    code = of;
    text = what;
    remedy = instead;
  }
};
FirstError& first_error() {
  static FirstError one;
  return one;
}

void write_error(const std::string& text) {
  std::fputs(fmt::format("sallyport: {}\n", text).c_str(), stderr);
}

std::string error_line(boost::json::object error) {
  return boost::json::serialize(boost::json::object{{"error", std::move(error)}}) + "\n";
}

}  // namespace

void print(const std::string& text) {
  first_error().printed = true;
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(const std::string& text, std::optional<Code> code, std::string_view remedy) {
  first_error().note(code, text, remedy);
  write_error(text);
}

Exit failed(const Error& error, std::string_view remedy) {
  const CodeRow& row = code_row(error.code);
  first_error().note(error.code, error.text, remedy);
  write_error(fmt::format("{} {} [{}]\n  {}", row.sentence, error.text, row.name,
                          remedy.empty() ? row.remedy : remedy));
  return Exit::kFailed;
}

bool report(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings,
            bool good) {
  for (const config::Finding& finding : errors) {
    first_error().note(finding.code, finding.shown());
    std::fputs(fmt::format("error: {}\n", finding.shown()).c_str(), stderr);
  }
  for (const config::Finding& finding : warnings) {
    std::fputs(fmt::format("warning: {}\n", finding.shown()).c_str(), stderr);
  }
  return good;
}

void add_error_of(const std::vector<config::Finding>& errors, boost::json::object& answer) {
  if (!errors.empty()) answer["error"] = gate::error_object({errors.front().code, errors.front().shown()});
}

std::string error_json(Exit exit) {
  const FirstError& first = first_error();
  if (first.printed || exit == Exit::kGood) return {};
  if (exit == Exit::kUsage && !first.code) return usage_json(first.text);
  boost::json::object error = gate::error_object({first.code.value_or(Code::kInternal), first.text});
  if (!first.remedy.empty()) error["remedy"] = first.remedy;
  return error_line(std::move(error));
}

std::string usage_json(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return error_line({{"code", ""},
                     {"sentence", "The command line is not valid."},
                     {"text", text},
                     {"remedy", "Run `sallyport COMMAND --help`."}});
}

}  // namespace sallyport::daemon
