#include "daemon/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.h"
#include "daemon/queue_text.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// The columns of a text on a terminal: characters, not bytes. Wide characters are counted as one column.
std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++width;
  }
  return width;
}

std::string text_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string:
      return std::string(value.get_string());
    case json::kind::null:
      return "-";
    case json::kind::bool_:
      return value.get_bool() ? "yes" : "no";
    case json::kind::array: {
      std::string out;
      for (const json::value& one : value.get_array()) out += (out.empty() ? "" : ", ") + text_of(one);
      return out.empty() ? "-" : out;
    }
    default:
      return json::serialize(value);
  }
}

std::string line(std::string_view name, const std::string& value) {
  return fmt::format("{:<12}{}\n", name, legible(value));
}

// "2 in, 1 out" of an object of numbers.
std::string counted(const json::object& counts) {
  std::string out;
  for (const auto& [name, value] : counts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", text_of(value), std::string_view(name));
  }
  return out;
}

std::vector<std::string> cells(const json::object& row, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  out.reserve(names.size());
  for (const std::string& name : names) {
    // The only column that may contain a peer's own text.
    out.push_back(name == "last_error" ? shown(field(row, name)) : field(row, name));
  }
  return out;
}

// A list of objects as a table of these members.
std::string table_of(const json::array& list, const std::vector<std::string>& heading,
                     const std::vector<std::string>& names) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& row : list) {
    if (row.is_object()) rows.push_back(cells(row.get_object(), names));
  }
  return aligned(heading, rows);
}

// As `legible`, but not cut: values that are compared must be shown whole.
std::string escaped_whole(std::string_view text) {
  constexpr std::size_t kPiece = 128;
  std::string out;
  while (!text.empty()) {
    std::size_t size = std::min(kPiece, text.size());
    while (size < text.size() && size > kPiece - 4 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
      --size;
    out += legible(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

void show_member(std::string& out, std::string_view name, const json::value& value, int depth) {
  const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
  const auto* list = value.if_array();
  if (const auto* object = value.if_object()) {
    out += fmt::format("{}{}\n", indent, legible(name));
    for (const auto& member : *object) show_member(out, member.key(), member.value(), depth + 1);
  } else if (list != nullptr && !list->empty() && list->front().is_object()) {
    out += fmt::format("{}{}\n", indent, legible(name));
    for (const json::value& one : *list) {
      std::string row;
      if (one.is_object()) {
        for (const auto& member : one.get_object()) {
          row += fmt::format("{}{}={}", row.empty() ? "" : " ", std::string_view(member.key()),
                             legible(text_of(member.value())));
        }
      }
      out += fmt::format("{}  {}\n", indent, row);
    }
  } else {
    out += fmt::format("{}{:<14}{}\n", indent, legible(name), legible(text_of(value)));
  }
}

}  // namespace

std::string aligned(const std::vector<std::string>& heading,
                    const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return {};
  std::vector<std::vector<std::string>> all{heading};
  for (const auto& row : rows) {
    std::vector<std::string> safe;
    for (const std::string& cell : row) safe.push_back(legible(cell));
    all.push_back(std::move(safe));
  }
  std::vector<std::size_t> widths(heading.size(), 0);
  for (const auto& row : all) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : all) {
    std::string text;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      text += row[i];
      text.append(widths[i] - width_of(row[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string in_line(std::string_view text) {
  std::string out;
  const std::string escaped = escaped_whole(text);
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    const bool is_quote =
        escaped[i] == '\\' && i + 1 < escaped.size() && (escaped[i + 1] == '\'' || escaped[i + 1] == '"');
    if (is_quote) ++i;
    // Copies an escaped backslash as a pair, so that the next character is not taken for part of an escape.
    if (escaped[i] == '\\' && i + 1 < escaped.size() && escaped[i + 1] == '\\') out.push_back(escaped[i++]);
    out.push_back(escaped[i]);
  }
  return out;
}

std::string field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return "-";
  std::string text = text_of(*value);
  return text.empty() ? "-" : text;
}

const json::object& object_at(const json::object& object, std::string_view name) {
  static const json::object kNone;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : kNone;
}

const json::array& list_at(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

std::string show_status(const json::object& answer) {
  const json::object& policy = object_at(answer, "policy");
  std::string out = line("node", fmt::format("{} {} (sallyport {})", field(answer, "role"),
                                             field(answer, "name"), field(answer, "version")));
  out += line("since", field(answer, "since"));
  if (answer.contains("state")) out += line("state", field(answer, "state"));
  if (policy.contains("generation")) {
    out += line("policy", fmt::format("generation {}, {}, privacy {}, sha256 {}", field(policy, "generation"),
                                      field(policy, "enabled") == "no" ? "federation off" : "federation on",
                                      field(policy, "privacy"), field(policy, "sha256").substr(0, 16)));
    if (field(policy, "serves") == "0") out += line("", "serves no domain and no chat node alias");
  } else {
    out += line("policy", "none yet");
  }
  out += line("streams", counted(object_at(answer, "streams")));
  out += line("stanzas", counted(object_at(answer, "stanzas")));
  out += line("waiting", counted(object_at(answer, "waiting")));
  if (answer.contains("queue"))
    out += fmt::format("{:<12}{}", "queue", show_queue(object_at(answer, "queue"), std::string(12, ' ')));
  if (answer.contains("listening")) out += line("listening", field(answer, "listening"));
  if (answer.contains("listen_error")) out += line("", field(answer, "listen_error"));
  const json::object& shards = object_at(answer, "shards");
  std::vector<std::string> heading{"LINK", "STATE", "ADDRESS", "SINCE", "LAST ERROR"};
  std::vector<std::string> names{"name", "state", "address", "since", "last_error"};
  if (!shards.empty()) {
    out += line("shards", fmt::format("{} of {} in use", field(shards, "in_use"), field(shards, "count")));
    heading.insert(heading.begin() + 1, "SHARD");
    names.insert(names.begin() + 1, "shard");
  }
  const std::string links = table_of(list_at(answer, "links"), heading, names);
  return out + (links.empty() ? "\nNo link.\n" : "\n" + links);
}

std::string show_connections(const json::object& answer) {
  std::vector<std::string> names{"local", "remote",  "direction", "face",      "peer",
                                 "phase", "tls",     "cipher",    "method",    "confirmed_by",
                                 "since", "stanzas", "bytes",     "last_error"};
  std::vector<std::string> heading{"LOCAL", "REMOTE",  "DIR",    "FACE",      "PEER",
                                   "PHASE", "TLS",     "CIPHER", "PROVED BY", "CONFIRMED BY",
                                   "SINCE", "STANZAS", "BYTES",  "LAST ERROR"};
  const json::array& rows = list_at(answer, "connections");
  if (!rows.empty() && rows.front().is_object() && rows.front().get_object().contains("shard")) {
    heading.insert(heading.end() - 1, "SHARD");
    names.insert(names.end() - 1, "shard");
  }
  const std::string table = table_of(rows, heading, names);
  return table.empty() ? "No connections.\n" : table;
}

std::string show_explain(const json::object& answer) {
  std::string out;
  for (const json::value& one : list_at(answer, "steps")) {
    if (!one.is_object()) continue;
    const json::object& step = one.get_object();
    const std::string code = field(step, "code");
    out += fmt::format("{:<4}{:<22}{}{}\n", field(step, "ok") == "yes" ? "ok" : "NO",
                       legible(field(step, "what")), legible(field(step, "detail")),
                       code == "-" ? "" : fmt::format(" [{}]", legible(code)));
  }
  return out + fmt::format("\n{}\n", shown(field(answer, "result")));
}

std::string show_policy(const json::object& answer) {
  std::string out;
  for (const auto& member : answer) show_member(out, member.key(), member.value(), 0);
  return out.empty() ? "There is no policy yet.\n" : out;
}

std::string show_policy_change(const json::object& change) {
  const std::string was = field(change, "was");
  const std::string becomes = field(change, "becomes");
  const std::string table = field(change, "table");
  const std::string row = table == "federation" ? fmt::format("[federation] {}", field(change, "row"))
                                                : fmt::format("[[{}]] {}", table, field(change, "row"));
  if (!change.contains("was")) return fmt::format("+ {}: {}\n", escaped_whole(row), escaped_whole(becomes));
  if (!change.contains("becomes")) return fmt::format("- {}: {}\n", escaped_whole(row), escaped_whole(was));
  return fmt::format("~ {}: {} -> {}\n", escaped_whole(row), escaped_whole(was), escaped_whole(becomes));
}

std::string show_policy_diff(const json::object& answer) {
  std::string out;
  for (const json::value& error : list_at(answer, "errors"))
    out += fmt::format("error: {}\n", escaped_whole(text_of(error)));
  if (!out.empty()) return out;
  for (const json::value& change : list_at(answer, "changes")) {
    if (change.is_object()) out += show_policy_change(change.get_object());
  }
  if (out.empty())
    out =
        field(answer, "changed") == "yes" ? "The rows are the same; the text differs.\n" : "No difference.\n";
  for (const json::value& warning : list_at(answer, "warnings"))
    out += fmt::format("warning: {}\n", escaped_whole(text_of(warning)));
  return out + fmt::format("In force: generation {}, sha256 {}\n", field(answer, "generation"),
                           field(answer, "sha256"));
}

std::string show_policy_test(const json::object& answer) {
  std::string out = fmt::format("{}", shown(field(answer, "result")));
  if (const std::string code = field(answer, "code"); code != "-") out += fmt::format(" [{}]", shown(code));
  out += fmt::format("\nbecause: {}\n", legible(field(answer, "because")));
  if (const std::string direction = field(answer, "direction"); direction != "-") {
    out += fmt::format("started by: {}\n", direction == "out" ? "the local side" : "the remote side");
  }
  return out;
}

std::string show_dns(const json::object& answer) {
  std::string out;
  for (const json::value& one : list_at(answer, "srv")) {
    if (!one.is_object()) continue;
    const json::object& srv = one.get_object();
    out += fmt::format("{}: {}{}{}\n", shown(field(srv, "service")), shown(field(srv, "answer")),
                       field(srv, "secure") == "yes" ? ", validated" : "",
                       srv.contains("note") ? fmt::format(" ({})", shown(field(srv, "note"))) : "");
    for (const json::value& value : list_at(srv, "records")) {
      if (!value.is_object()) continue;
      const json::object& record = value.get_object();
      const json::object& skipped = object_at(record, "skipped");
      out += fmt::format("  {} {} {} {}{}\n", field(record, "priority"), field(record, "weight"),
                         field(record, "port"), shown(field(record, "target")),
                         skipped.empty() ? ""
                                         : fmt::format("  SKIPPED [{}] {}", field(skipped, "code"),
                                                       shown(field(skipped, "text"))));
    }
  }
  out += "tried in this order:\n";
  for (const json::value& one : list_at(answer, "plan")) {
    if (!one.is_object()) continue;
    const json::object& target = one.get_object();
    out += fmt::format("  {}{}\n", shown(field(target, "target")),
                       field(target, "direct_tls") == "yes" ? ", direct TLS" : "");
    for (const json::value& value : list_at(target, "addresses")) {
      if (!value.is_object()) continue;
      const json::object& address = value.get_object();
      const json::object& refused = object_at(address, "refused");
      out += fmt::format("    {}{}\n", shown(field(address, "address")),
                         refused.empty() ? ""
                                         : fmt::format("  REFUSED [{}] {}", field(refused, "code"),
                                                       shown(field(refused, "text"))));
    }
  }
  if (list_at(answer, "plan").empty()) out += "  nothing\n";
  return answer.contains("error") ? out + "\n" + show_error(object_at(answer, "error")) : out;
}

std::string show_error(const json::object& error) {
  std::string out = legible(field(error, "sentence"));
  if (const std::string text = field(error, "text"); text != "-") out += fmt::format(" {}", shown(text));
  out += fmt::format(" [{}]\n", shown(field(error, "code")));
  if (const std::string remedy = field(error, "remedy"); remedy != "-")
    out += fmt::format("  {}\n", legible(remedy));
  return out;
}

}  // namespace sallyport::daemon
