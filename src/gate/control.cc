#include "gate/control.h"

#include <fmt/format.h>
#include <boost/json.hpp>

namespace sallyport::gate {

namespace json = boost::json;

namespace {

std::string string_field(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Result<ControlQuestion> ControlQuestion::parse(std::string_view text) {
  boost::system::error_code ec;
  const json::value value = json::parse(text, ec);
  if (ec || !value.is_object()) return {Code::kControlRefused, "the question is not a JSON object"};
  const auto& object = value.get_object();
  ControlQuestion question{string_field(object, "ask"), string_field(object, "from"),
                           string_field(object, "to"), string_field(object, "domain")};
  if (const auto* older = object.if_contains("older_than")) {
    boost::system::error_code failed;
    question.older_than = older->to_number<std::uint32_t>(failed);
    if (failed) return {Code::kControlRefused, "`older_than` is not a number of seconds"};
  }
  return question;
}

json::object error_object(const Error& error) {
  const auto& row = code_row(error.code);
  return {{"code", row.name}, {"sentence", row.sentence}, {"text", error.text}, {"remedy", row.remedy}};
}

json::object core_only_object(std::string_view ask) {
  json::object error =
      error_object({Code::kControlRefused, fmt::format("This is an edge; only a core answers `{}`.", ask)});
  error["remedy"] = "Run the command on the core, or name the core's socket with --control.";
  return {{"error", std::move(error)}};
}

std::string refusal(const Error& error) {
  return json::serialize(json::object{{"error", error_object(error)}});
}

json::array connection_rows(const Endpoint& endpoint, std::string_view face, bool turn_pairs) {
  json::array rows;
  for (const auto& row : endpoint.connections()) {
    json::object object;
    const bool outgoing = row.outgoing;
    if (row.pair) {
      object["local"] = (turn_pairs ? row.pair->remote : row.pair->local).ascii();
      object["remote"] = (turn_pairs ? row.pair->local : row.pair->remote).ascii();
    }
    object["direction"] = outgoing ? "out" : "in";
    object["face"] = face;
    object["peer"] = row.peer;
    object["phase"] = row.phase;
    object["proved"] = row.proved;
    object["tls"] = row.tls.version;
    object["cipher"] = row.tls.cipher;
    object["method"] = row.method;
    if (outgoing) object["confirmed_by"] = row.confirmed_by;
    if (row.since.time_since_epoch().count() != 0) object["since"] = rfc3339(row.since);
    object["stanzas"] = row.stanzas;
    object["bytes"] = row.bytes;
    object["last_error"] = row.last_error;
    rows.push_back(std::move(object));
  }
  return rows;
}

json::object rules_object(const policy::RuleSet& rules) {
  json::object object;
  object["enabled"] = rules.enabled;
  object["privacy"] = policy::privacy_name(rules.privacy);
  object["authenticate"] =
      rules.authenticate == policy::Authenticate::kCertificate ? "certificate" : "dialback";
  json::array local;
  for (const auto& name : rules.local)
    local.push_back(json::object{{"name", name.name.ascii()}, {"alias", name.is_alias}});
  object["local"] = std::move(local);
  json::array lists;
  for (const auto& row : rules.lists) {
    json::object entry{{"domain", row.domain.text()},
                       {"list", row.allow ? "allow" : "deny"},
                       {"direction", policy::direction_name(row.direction)}};
    if (!row.comment.empty()) entry["comment"] = row.comment;
    // As it is written: the last day, not the first second after it.
    if (row.expires) entry["expires"] = rfc3339(*row.expires - std::chrono::seconds(1)).substr(0, 10);
    lists.push_back(std::move(entry));
  }
  object["lists"] = std::move(lists);
  json::array peers;
  for (const auto& peer : rules.peers) {
    json::object entry{{"domain", peer.domain.text()}};
    if (peer.authenticate)
      entry["authenticate"] =
          *peer.authenticate == policy::Authenticate::kCertificate ? "certificate" : "dialback";
    if (peer.tls)
      entry["tls"] = *peer.tls == policy::TlsRule::kRequired   ? "required"
                     : *peer.tls == policy::TlsRule::kOptional ? "optional"
                                                               : "none";
    if (peer.confirm) entry["confirm"] = policy::confirm_name(*peer.confirm);
    if (peer.on_doubt) entry["on_doubt"] = policy::on_doubt_name(*peer.on_doubt);
    if (peer.delivery) entry["delivery"] = policy::delivery_name(*peer.delivery);
    peers.push_back(std::move(entry));
  }
  object["peers"] = std::move(peers);
  return object;
}

}  // namespace sallyport::gate
