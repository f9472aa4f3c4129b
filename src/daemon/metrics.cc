#include "daemon/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>

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

void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# TYPE sallyport_{} {}\n# HELP sallyport_{} {}\n", name, type, name, help);
}

// The number, or 0 where a door of another version has none.
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

std::string response(std::string_view status, std::string_view type, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
      status, type, body.size(), body);
}

}  // namespace

std::string metrics_text(const json::object& status) {
  std::string out;
  family(out, "build", "info", "Which program this is.");
  out += fmt::format("sallyport_build_info{{role=\"{}\",name=\"{}\",version=\"{}\"}} 1\n",
                     label(field(status, "role")), label(field(status, "name")),
                     label(field(status, "version")));
  family(out, "link_up", "gauge", "Whether the link to the other door is up.");
  for (const json::value& link : list_at(status, "links")) {
    if (!link.is_object()) continue;
    const json::object& row = link.get_object();
    const std::string shard = row.contains("shard") ? fmt::format(",shard=\"{}\"", number(row, "shard")) : "";
    out += fmt::format("sallyport_link_up{{link=\"{}\"{}}} {}\n", label(field(row, "name")), shard,
                       field(row, "state") == "up" ? 1 : 0);
  }
  if (status.contains("shards")) {
    family(out, "shards_in_use", "gauge", "Shards that carry streams.");
    figures(out, status, {{"shards", "in_use", "shards_in_use"}});
  }
  family(out, "policy_generation", "gauge", "The generation of the policy in force.");
  figures(out, status, {{"policy", "generation", "policy_generation"}});
  family(out, "streams", "gauge", "Streams that are open.");
  figures(out, status,
          {{"streams", "in", "streams{state=\"in\"}"},
           {"streams", "out", "streams{state=\"out\"}"},
           {"streams", "negotiating", "streams{state=\"negotiating\"}"}});
  family(out, "stanzas", "counter", "Stanzas, by what became of them.");
  figures(out, status,
          {{"stanzas", "in", "stanzas_total{what=\"in\"}"},
           {"stanzas", "out", "stanzas_total{what=\"out\"}"},
           {"stanzas", "refused", "stanzas_total{what=\"refused\"}"},
           {"stanzas", "uncertain", "stanzas_total{what=\"uncertain\"}"}});
  family(out, "waiting_stanzas", "gauge", "Stanzas that wait for delivery.");
  figures(out, status, {{"waiting", "stanzas", "waiting_stanzas"}});
  family(out, "waiting_bytes", "gauge", "Their bytes.");
  figures(out, status, {{"waiting", "bytes", "waiting_bytes"}});
  return out + "# EOF\n";
}

bool is_ready(const json::object& status) {
  // One link at least, and that for each shard where there are several.
  std::map<std::string, bool> linked;
  for (const json::value& link : list_at(status, "links")) {
    if (!link.is_object()) continue;
    bool& is_up = linked[field(link.get_object(), "shard")];
    is_up = is_up || field(link.get_object(), "state") == "up";
  }
  const auto is_up = [](const auto& shard) { return shard.second; };
  return !linked.empty() && std::all_of(linked.begin(), linked.end(), is_up) &&
         field(status, "listening") != "no";
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

}  // namespace

bool wants_status(std::string_view head) {
  const auto request = request_in(head);
  return request && request->method == "GET" && (request->path == "/readyz" || request->path == "/metrics");
}

std::string http_response(std::string_view head, const json::object& status) {
  static constexpr std::string_view kPlain = "text/plain; charset=utf-8";
  const auto request = request_in(head);
  if (!request) return response("400 Bad Request", kPlain, "no HTTP request\n");
  if (request->method != "GET") return response("405 Method Not Allowed", kPlain, "GET only\n");
  if (request->path == "/livez") return response("200 OK", kPlain, "ok\n");
  if (request->path == "/readyz") {
    return is_ready(status) ? response("200 OK", kPlain, "ready\n")
                            : response("503 Service Unavailable", kPlain, "no link\n");
  }
  if (request->path == "/metrics") {
    return response("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    metrics_text(status));
  }
  return response("404 Not Found", kPlain, "/metrics, /livez, /readyz\n");
}

}  // namespace sallyport::daemon
