#include "daemon/report.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/codes.h"

namespace sallyport::daemon {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void complain(const std::string& text) { std::fputs(fmt::format("sallyport: {}\n", text).c_str(), stderr); }

Exit failed(const Error& error) {
  const CodeRow& row = code_row(error.code);
  complain(fmt::format("{} {} [{}]\n  {}", row.sentence, error.text, row.name, row.remedy));
  return Exit::kFailed;
}

bool report(const std::vector<gate::Finding>& errors, const std::vector<gate::Finding>& warnings, bool good) {
  for (const gate::Finding& finding : errors)
    std::fputs(fmt::format("error: {}\n", finding.shown()).c_str(), stderr);
  for (const gate::Finding& finding : warnings) {
    std::fputs(fmt::format("warning: {}\n", finding.shown()).c_str(), stderr);
  }
  return good;
}

}  // namespace sallyport::daemon
