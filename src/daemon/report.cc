#include "daemon/report.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdio>
#include <optional>

#include "base/codes.h"
#include "gate/control.h"

namespace sallyport::daemon {
namespace {

// A command runs once in a process, in one thread.
struct Said {
  bool printed = false;
  std::optional<Code> code;
  std::string complaint;

  void note(std::optional<Code> of, const std::string& text) {
    if (!complaint.empty()) return;
    code = of;
    complaint = text;
  }
};
Said& said() {
  static Said one;
  return one;
}

void write_complaint(const std::string& text) {
  std::fputs(fmt::format("sallyport: {}\n", text).c_str(), stderr);
}

}  // namespace

void print(const std::string& text) {
  said().printed = true;
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(const std::string& text) {
  said().note(std::nullopt, text);
  write_complaint(text);
}

Exit failed(const Error& error) {
  const CodeRow& row = code_row(error.code);
  said().note(error.code, error.text);
  write_complaint(fmt::format("{} {} [{}]\n  {}", row.sentence, error.text, row.name, row.remedy));
  return Exit::kFailed;
}

bool report(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings,
            bool good) {
  for (const config::Finding& finding : errors) {
    said().note(finding.code, finding.shown());
    std::fputs(fmt::format("error: {}\n", finding.shown()).c_str(), stderr);
  }
  for (const config::Finding& finding : warnings) {
    std::fputs(fmt::format("warning: {}\n", finding.shown()).c_str(), stderr);
  }
  return good;
}

std::string unanswered_json(Exit exit) {
  const Said& it = said();
  if (it.printed || exit == Exit::kGood) return {};
  boost::json::object error{{"code", ""}, {"sentence", ""}, {"text", it.complaint}, {"remedy", ""}};
  if (it.code) {
    error = gate::error_object({*it.code, it.complaint});
  } else if (exit == Exit::kNoDaemon) {
    error = gate::error_object({Code::kControlAbsent, it.complaint});
  } else if (exit != Exit::kUsage) {
    error = gate::error_object({Code::kControlRefused, it.complaint});
  }
  return boost::json::serialize(boost::json::object{{"error", std::move(error)}}) + "\n";
}

}  // namespace sallyport::daemon
