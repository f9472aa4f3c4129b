#include "daemon/queue_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <ctime>
#include <map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "daemon/table.h"

namespace sallyport::daemon {

namespace json = boost::json;

namespace {

std::uint64_t number_of(const json::value& value) {
  boost::system::error_code failed;
  const auto number = value.to_number<std::uint64_t>(failed);
  return failed ? 0 : number;
}

std::uint64_t number_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr ? number_of(*value) : 0;
}

std::string counted(std::uint64_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

// Of the form that base/time.h's `rfc3339` writes.
std::optional<UnixTime> time_at(const json::object& object, std::string_view name) {
  std::tm parts{};
  const std::string text = field(object, name);
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return UnixTime(std::chrono::seconds(::timegm(&parts)));
}

std::string since(const json::object& row, std::string_view name, UnixTime now) {
  const auto time = time_at(row, name);
  return time ? age_text(now - *time) : "-";
}

std::string until(const json::object& row, std::string_view name, UnixTime now) {
  const auto time = time_at(row, name);
  if (!time) return "-";
  return *time <= now ? "now" : "in " + age_text(*time - now);
}

// The code in front, because a long text is cut.
std::string last_error_of(const json::object& flow) {
  if (!flow.contains("last_error")) return "-";
  return fmt::format("{}: {}", field(flow, "code"), shown(field(flow, "last_error")));
}

// The objects of a list, those with most messages first.
std::vector<const json::object*> by_messages(const json::array& list) {
  std::vector<const json::object*> sorted;
  for (const json::value& one : list) {
    if (one.is_object()) sorted.push_back(&one.get_object());
  }
  std::ranges::stable_sort(sorted, [](const json::object* a, const json::object* b) {
    const std::uint64_t left = number_at(*a, "messages");
    const std::uint64_t right = number_at(*b, "messages");
    return left != right ? left > right : field(*a, "remote") < field(*b, "remote");
  });
  return sorted;
}

std::string failing_lines(const json::object& queue, std::string_view indent) {
  const json::object& failing = object_at(queue, "failing");
  if (failing.empty()) return {};
  return fmt::format("{0}The spool fails: {1} {2} [{3}]\n{0}  {4}\n", indent,
                     legible(field(failing, "sentence")), shown(field(failing, "text")),
                     shown(field(failing, "code")), legible(field(failing, "remedy")));
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // From here on it would be shown as 1024.
  for (; value >= 1023.5; ++unit) value /= 1024;
  return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                      : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string age_text(std::chrono::seconds age) {
  const auto seconds = std::max(age, std::chrono::seconds{}).count();
  if (seconds < 60) return fmt::format("{}s", seconds);
  const auto minutes = seconds / 60;
  if (minutes < 60) return fmt::format("{}m", minutes);
  if (minutes < 24 * 60) return fmt::format("{}h {}m", minutes / 60, minutes % 60);
  return fmt::format("{}d {}h", minutes / (24 * 60), minutes / 60 % 24);
}

std::string show_queue(const json::object& queue, std::string_view indent) {
  return fmt::format("{}, {}\n{}", counted(number_at(queue, "messages"), "message"),
                     bytes_text(number_at(queue, "bytes")), failing_lines(queue, indent));
}

std::string show_queue_list(const json::object& answer, const std::string& domain, UnixTime now,
                            const std::string& older_than) {
  const json::object& queue = object_at(answer, "queue");
  std::vector<std::vector<std::string>> rows;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  for (const json::object* flow : by_messages(list_at(answer, "flows"))) {
    const std::uint64_t size = number_at(*flow, "bytes");
    messages += number_at(*flow, "messages");
    bytes += size;
    rows.push_back({field(*flow, "direction"), field(*flow, "local"), field(*flow, "remote"),
                    field(*flow, "messages"), bytes_text(size), since(*flow, "oldest", now),
                    field(*flow, "on_way"), until(*flow, "next_attempt", now), last_error_of(*flow)});
  }
  std::string out = failing_lines(queue, "");
  if (number_at(queue, "messages") == 0 && rows.empty()) return out + "The queue is empty.\n";
  if (rows.empty()) {
    return out + fmt::format("No message waits{}{}.\n", domain.empty() ? "" : " for " + shown(domain),
                             older_than.empty() ? "" : " that is older than " + older_than);
  }
  out += aligned(
      {"DIR", "LOCAL", "REMOTE", "MESSAGES", "SIZE", "OLDEST", "ON THE WAY", "NEXT ATTEMPT", "LAST ERROR"},
      rows);
  return out + fmt::format("Total: {}, {}\n", counted(messages, "message"), bytes_text(bytes));
}

// --- shape

namespace {

struct Shape {
  std::uint64_t messages = 0;
  std::vector<std::uint64_t> ages;

  void add(const json::object& flow) {
    messages += number_at(flow, "messages");
    const json::array& counts = list_at(flow, "ages");
    if (ages.size() < counts.size()) ages.resize(counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) ages[i] += number_of(counts[i]);
  }
  json::object object() const {
    return {{"messages", messages}, {"ages", json::array(ages.begin(), ages.end())}};
  }
};

std::vector<std::string> shape_cells(const std::string& name, const json::object& shape) {
  std::vector<std::string> cells{name, field(shape, "messages")};
  for (const json::value& age : list_at(shape, "ages")) cells.push_back(std::to_string(number_of(age)));
  return cells;
}

// Every column ends where its heading ends.
std::string right_aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      out += fmt::format("{}{:>{}}", i == 0 ? "" : " ", row[i], widths[i]);
    out += "\n";
  }
  return out;
}

}  // namespace

json::object queue_shape(const json::object& answer, std::string_view direction, std::string_view remote) {
  Shape total;
  total.ages.resize(list_at(answer, "age_minutes").size() + 1);
  std::map<std::string, Shape> remotes;
  for (const json::value& one : list_at(answer, "flows")) {
    if (!one.is_object()) continue;
    const json::object& flow = one.get_object();
    if (!direction.empty() && field(flow, "direction") != direction) continue;
    if (!remote.empty() && field(flow, "remote") != remote) continue;
    total.add(flow);
    remotes[field(flow, "remote")].add(flow);
  }
  json::array rows;
  for (const auto& [name, shape] : remotes) {
    json::object row = shape.object();
    row["remote"] = name;
    rows.push_back(std::move(row));
  }
  json::array sorted;
  for (const json::object* row : by_messages(rows)) sorted.push_back(*row);
  return {{"age_minutes", list_at(answer, "age_minutes")},
          {"total", total.object()},
          {"domains", std::move(sorted)}};
}

std::string show_queue_shape(const json::object& shape) {
  std::vector<std::string> heading{"", "T"};
  std::string last;
  for (const json::value& minutes : list_at(shape, "age_minutes"))
    heading.push_back(last = std::to_string(number_of(minutes)));
  heading.push_back(last + "+");
  std::vector<std::vector<std::string>> rows{std::move(heading)};
  rows.push_back(shape_cells("TOTAL", object_at(shape, "total")));
  for (const json::value& one : list_at(shape, "domains")) {
    if (one.is_object())
      rows.push_back(shape_cells(legible(field(one.get_object(), "remote")), one.get_object()));
  }
  return right_aligned(rows);
}

// --- show, retry, purge

std::string show_queue_messages(const json::object& answer, const std::string& what) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& one : list_at(answer, "messages")) {
    if (!one.is_object()) continue;
    const json::object& row = one.get_object();
    const json::object& error = object_at(row, "error");
    rows.push_back(
        {field(row, "number"), field(row, "direction"), bytes_text(number_at(row, "bytes")),
         field(row, "accepted"), age_text(std::chrono::seconds(number_at(row, "waited"))),
         field(row, "expires"), shown(field(row, "type")), shown(field(row, "from")), shown(field(row, "to")),
         error.empty() ? shown(field(row, "id"))
                       : fmt::format("{} [{}]", shown(field(error, "text")), shown(field(error, "code")))});
  }
  if (rows.empty()) return fmt::format("The queue has no message {}.\n", shown(what));
  std::string out =
      aligned({"NUMBER", "DIR", "SIZE", "ACCEPTED", "WAITED", "EXPIRES", "TYPE", "FROM", "TO", "ID"}, rows);
  if (field(answer, "more") == "yes") out += "There are more; --count sets how many are shown.\n";
  return out;
}

std::string show_queue_retry(const json::object& answer) {
  const std::uint64_t flows = number_at(answer, "flows");
  if (flows == 0) return "No message waits for its next attempt.\n";
  return fmt::format("The messages of {} are tried again now.\n",
                     flows == 1 ? "1 pair of domains" : fmt::format("{} pairs of domains", flows));
}

std::string show_queue_purge(const json::object& answer) {
  const std::uint64_t messages = number_at(answer, "messages");
  if (messages == 0) return "No message was removed.\n";
  return fmt::format(
      "{} removed, or about to be. Each sender gets one error, unless the message is on its way and is "
      "delivered.\n",
      counted(messages, "message"));
}

}  // namespace sallyport::daemon
