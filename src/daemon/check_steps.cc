#include "daemon/check_steps.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/codes.h"
#include "daemon/table.h"

namespace sallyport::daemon {

namespace json = boost::json;

namespace {

std::string detail_of(const Error& error) {
  const CodeRow& row = code_row(error.code);
  return error.text.empty() ? std::string(row.sentence) : fmt::format("{} {}", row.sentence, error.text);
}

}  // namespace

void CheckSteps::pass(std::string_view what, std::string detail) {
  add(what, "pass", std::move(detail), nullptr, {});
}

void CheckSteps::warn(std::string_view what, const Error& error, std::string_view remedy) {
  add(what, "warn", detail_of(error), &error, remedy);
}

void CheckSteps::fail(std::string_view what, const Error& error, std::string_view remedy) {
  failed_ = true;
  add(what, "fail", detail_of(error), &error, remedy);
}

void CheckSteps::warn(std::string_view what, std::string detail, std::string_view remedy) {
  add(what, "warn", std::move(detail), nullptr, remedy);
}

void CheckSteps::add(std::string_view what, std::string_view verdict, std::string detail, const Error* error,
                     std::string_view remedy) {
  json::object row{
      {"what", what}, {"verdict", verdict}, {"ok", verdict != "fail"}, {"detail", std::move(detail)}};
  if (error != nullptr) {
    row["code"] = code_row(error->code).name;
    if (remedy.empty()) remedy = code_row(error->code).remedy;
  }
  if (!remedy.empty()) row["remedy"] = remedy;
  list_.push_back(std::move(row));
}

std::string show_check(const json::object& answer) {
  std::string out;
  std::size_t warnings = 0;
  for (const json::value& one : list_at(answer, "steps")) {
    if (!one.is_object()) continue;
    const json::object& row = one.get_object();
    const std::string verdict = field(row, "verdict");
    if (verdict == "warn") ++warnings;
    const std::string code = field(row, "code");
    out += fmt::format("{:<6}{:<20}{}{}\n",
                       verdict == "fail"   ? "FAIL"
                       : verdict == "warn" ? "WARN"
                                           : "pass",
                       in_line(field(row, "what")), in_line(field(row, "detail")),
                       code == "-" ? "" : fmt::format(" [{}]", in_line(code)));
    if (const std::string remedy = field(row, "remedy"); remedy != "-")
      out += fmt::format("{:<26}{}\n", "", in_line(remedy));
  }
  out += fmt::format("\n{}", in_line(field(answer, "result")));
  if (warnings > 0) out += fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s");
  return out + "\n";
}

}  // namespace sallyport::daemon
