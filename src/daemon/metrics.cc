#include "daemon/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>

#include "base/log.h"
#include "daemon/table.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// A label's value: backslash, quote and line feed are escaped (OpenMetrics 1.0, "Escaping").
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

// OpenMetrics names a counter without the `_total` of its sample, and has the type `info` (OpenMetrics 1.0
// "Counter", "Info"); the older text format names families as their samples are named, and knows no `info`.
void family(std::string& out, MetricsFormat format, std::string_view name, std::string_view type,
            std::string_view help) {
  const bool open_metrics = format == MetricsFormat::kOpenMetrics;
  std::string as_sampled(name);
  if (!open_metrics && type == "counter") as_sampled += "_total";
  if (!open_metrics && type == "info") as_sampled += "_info";
  const std::string_view shown_type = !open_metrics && type == "info" ? "gauge" : type;
  out += fmt::format("# HELP sallyport_{0} {2}\n# TYPE sallyport_{0} {1}\n", as_sampled, shown_type, help);
}

// The number, or 0 where a node of another version has none.
std::string number(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? json::serialize(*value) : "0";
}

struct Figure {
  std::string_view member;  // of the status
  std::string_view key;
  std::string_view sample;  // name and labels
};

void figures(std::string& out, const json::object& status, std::initializer_list<Figure> list) {
  for (const Figure& one : list) {
    out += fmt::format("sallyport_{} {}\n", one.sample, number(object_at(status, one.member), one.key));
  }
}

bool is_draining(const json::object& status) { return field(status, "draining") == "yes"; }

// A link that drains still settles its stanzas.
bool is_connected(const json::object& link) {
  return field(link, "state") == "up" || field(link, "state") == "draining";
}

// `header`: one more header line with its line end, or nothing.
std::string response(std::string_view status, std::string_view type, std::string_view body,
                     std::string_view header = {}) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n{}",
      status, type, body.size(), header, body);
}

}  // namespace

std::string metrics_text(const json::object& status, MetricsFormat format) {
  std::string out;
  const auto begin = [&](std::string_view name, std::string_view type, std::string_view help) {
    family(out, format, name, type, help);
  };
  begin("build", "info", "The role, name and version of this program.");
  out += fmt::format("sallyport_build_info{{role=\"{}\",name=\"{}\",version=\"{}\"}} 1\n",
                     label(field(status, "role")), label(field(status, "name")),
                     label(field(status, "version")));
  begin("link_up", "gauge", "Whether the link to the other node is up.");
  for (const json::value& link : list_at(status, "links")) {
    if (!link.is_object()) continue;
    const json::object& row = link.get_object();
    const std::string shard = row.contains("shard") ? fmt::format(",shard=\"{}\"", number(row, "shard")) : "";
    out += fmt::format("sallyport_link_up{{link=\"{}\"{}}} {}\n", label(field(row, "name")), shard,
                       is_connected(row) ? 1 : 0);
  }
  if (status.contains("listening")) {
    begin("listening", "gauge", "Whether all s2s listeners are open.");
    out += fmt::format("sallyport_listening {}\n", field(status, "listening") == "yes" ? 1 : 0);
  }
  begin("draining", "gauge", "Whether the node is being drained.");
  out += fmt::format("sallyport_draining {}\n", is_draining(status) ? 1 : 0);
  if (status.contains("shards")) {
    begin("shards_in_use", "gauge", "Shards that carry streams.");
    figures(out, status, {{"shards", "in_use", "shards_in_use"}});
  }
  begin("policy_generation", "gauge", "The generation of the policy in force.");
  figures(out, status, {{"policy", "generation", "policy_generation"}});
  begin("policy_served_names", "gauge", "Domains and chat node aliases that the policy in force serves.");
  figures(out, status, {{"policy", "serves", "policy_served_names"}});
  begin("streams", "gauge", "Streams that are open.");
  figures(out, status,
          {{"streams", "in", "streams{state=\"in\"}"},
           {"streams", "out", "streams{state=\"out\"}"},
           {"streams", "negotiating", "streams{state=\"negotiating\"}"}});
  begin("stanzas", "counter",
        "Stanzas, by what became of them; fell_back: how often a pair was confirmed by nothing.");
  figures(out, status,
          {{"stanzas", "in", "stanzas_total{what=\"in\"}"},
           {"stanzas", "out", "stanzas_total{what=\"out\"}"},
           {"stanzas", "refused", "stanzas_total{what=\"refused\"}"},
           {"stanzas", "sent_again", "stanzas_total{what=\"sent_again\"}"},
           {"stanzas", "uncertain", "stanzas_total{what=\"uncertain\"}"},
           {"stanzas", "fell_back", "stanzas_total{what=\"fell_back\"}"}});
  begin("waiting_stanzas", "gauge", "Stanzas that wait for delivery.");
  figures(out, status, {{"waiting", "stanzas", "waiting_stanzas"}});
  begin("waiting_bytes", "gauge", "Bytes of the stanzas that wait for delivery.");
  figures(out, status, {{"waiting", "bytes", "waiting_bytes"}});
  if (status.contains("queue")) {
    begin("queue_messages", "gauge", "Messages in the durable queue.");
    figures(out, status, {{"queue", "messages", "queue_messages"}});
    begin("queue_bytes", "gauge", "Bytes of the durable queue, as spool_max bounds them.");
    figures(out, status, {{"queue", "bytes", "queue_bytes"}});
    begin("spool_failing", "gauge", "Whether the last write to the spool failed.");
    out +=
        fmt::format("sallyport_spool_failing {}\n", object_at(status, "queue").contains("failing") ? 1 : 0);
  }
  return format == MetricsFormat::kOpenMetrics ? out + "# EOF\n" : out;
}

std::string why_not_ready(const json::object& status) {
  if (is_draining(status)) return "draining";
  // At least one link, for each shard where there are several.
  std::map<std::string, bool> linked;
  for (const json::value& link : list_at(status, "links")) {
    if (!link.is_object()) continue;
    bool& is_up = linked[field(link.get_object(), "shard")];
    is_up = is_up || field(link.get_object(), "state") == "up";
  }
  const auto is_up = [](const auto& shard) { return shard.second; };
  if (linked.empty() || !std::all_of(linked.begin(), linked.end(), is_up)) return "no link";
  if (field(object_at(status, "policy"), "serves") == "0") return "the policy serves no domain";
  if (field(status, "listening") != "no") return {};
  const std::string error = field(status, "listen_error");
  return error == "-" ? "not listening" : fmt::format("not listening: {}", error);
}

namespace {

struct Request {
  std::string_view method;
  std::string_view path;
};

std::optional<Request> request_in(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t space = line.find(' ');
  const std::size_t end = line.rfind(' ');
  if (space == std::string_view::npos || end == space || !line.substr(end + 1).starts_with("HTTP/1.")) {
    return std::nullopt;
  }
  return Request{line.substr(0, space), line.substr(space + 1, end - space - 1)};
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Removes and returns the part before the next `sign`; the sign is dropped.
std::string_view next_part(std::string_view& rest, char sign) {
  const std::size_t at = rest.find(sign);
  const std::string_view part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return trimmed(part);
}

// "q=0.75" in thousandths; 1000 without a weight, 0 for an invalid one (RFC 9110 12.4.2).
int weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view one = next_part(parameters, ';');
    if (!one.starts_with("q=") && !one.starts_with("Q=")) continue;
    std::string_view digits = one.substr(2);
    if (digits.empty() || (digits[0] != '0' && digits[0] != '1')) return 0;
    int weight = 1000 * (digits[0] - '0');
    if (digits.size() > 1 && digits[1] != '.') return 0;
    int place = 100;
    for (const char c : digits.size() > 2 ? digits.substr(2, 3) : std::string_view()) {
      if (c < '0' || c > '9') return 0;
      weight += place * (c - '0');
      place /= 10;
    }
    return std::min(weight, 1000);
  }
  return 1000;
}

// The format that the Accept lines of a head ask for (RFC 9110 12.5.1): OpenMetrics where it is named with at
// least the weight of the older text format.
MetricsFormat format_of(std::string_view head) {
  int open_metrics = 0;
  int text = 0;
  for (std::string_view rest = head.substr(std::min(head.size(), head.find("\r\n"))); !rest.empty();) {
    std::string_view line = next_part(rest, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string_view name = next_part(line, ':');
    if (!equal_ignoring_case(name, "accept")) continue;
    while (!line.empty()) {
      std::string_view range = next_part(line, ',');
      const std::string_view type = next_part(range, ';');
      const int weight = weight_of(range);
      if (equal_ignoring_case(type, "application/openmetrics-text")) {
        open_metrics = std::max(open_metrics, weight);
      } else if (equal_ignoring_case(type, "text/plain")) {
        text = std::max(text, weight);
      }
    }
  }
  return open_metrics > 0 && open_metrics >= text ? MetricsFormat::kOpenMetrics : MetricsFormat::kText;
}

}  // namespace

bool wants_status(std::string_view head) {
  const auto request = request_in(head);
  return request && request->method == "GET" && (request->path == "/readyz" || request->path == "/metrics");
}

std::string http_response(std::string_view head, const json::object& status) {
  static constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  const auto request = request_in(head);
  if (!request) return response("400 Bad Request", kPlain, "This is not an HTTP request.\n");
  // RFC 9110 15.5.6: the response names the methods.
  if (request->method != "GET")
    return response("405 Method Not Allowed", kPlain, "Only GET is allowed.\n", "Allow: GET\r\n");
  if (request->path == "/livez") return response("200 OK", kPlain, "ok\n");
  if (request->path == "/readyz") {
    const std::string why = why_not_ready(status);
    return why.empty() ? response("200 OK", kPlain, "ready\n")
                       : response("503 Service Unavailable", kPlain, legible(why) + "\n");
  }
  if (request->path == "/metrics") {
    const MetricsFormat format = format_of(head);
    return response("200 OK",
                    format == MetricsFormat::kOpenMetrics
                        ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                        : "text/plain; version=0.0.4; charset=utf-8",
                    metrics_text(status, format));
  }
  return response("404 Not Found", kPlain, "/metrics, /livez, /readyz\n");
}

}  // namespace sallyport::daemon
