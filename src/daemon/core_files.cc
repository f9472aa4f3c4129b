#include "daemon/core_files.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "config/policy_diff.h"
#include "daemon/file.h"
#include "daemon/node_process.h"
#include "daemon/report.h"

namespace sallyport::daemon {

namespace json = boost::json;

CoreFilesInUse::CoreFilesInUse(Parts parts, std::shared_ptr<const config::PreparedPolicy> policy,
                               std::string fingerprint)
    : parts_(std::move(parts)), policy_(std::move(policy)), fingerprint_(std::move(fingerprint)) {}

dns::NameKind CoreFilesInUse::kind_of(const xmpp::Domain& name) const {
  const config::Served* served = policy_->served_outward(name);
  if (served != nullptr && served->internal_name != served->name) return dns::NameKind::kRenamedAlias;
  return policy_->rules().is_internal(name) ? dns::NameKind::kInternal : dns::NameKind::kExternal;
}

// --- orders, on the loop

void CoreFilesInUse::reload(Reply reply) {
  order(
      Kind::kReload, [this] { return read_all(); }, std::move(reply));
}

void CoreFilesInUse::diff(json::object question, Reply reply) {
  const auto asked = std::make_shared<const json::object>(std::move(question));
  order(
      Kind::kPolicy, [this, asked] { return compare(*asked); }, std::move(reply));
}

void CoreFilesInUse::apply(json::object question, Reply reply) {
  const auto asked = std::make_shared<const json::object>(std::move(question));
  order(
      Kind::kPolicy, [this, asked] { return replace(*asked); }, std::move(reply));
}

void CoreFilesInUse::reload_certificates() {
  order(
      Kind::kCertificates, [this] { return read_certificates(); }, [](const Answer&) {});
}

void CoreFilesInUse::order(Kind kind, std::function<Outcome()> work, Reply reply) {
  const bool joins = kind != Kind::kPolicy && !orders_.empty() && orders_.back().kind == kind;
  if (!joins) orders_.push_back({kind, std::move(work), {}});
  orders_.back().replies.push_back(std::move(reply));
  begin();
}

void CoreFilesInUse::begin() {
  if (busy_ || orders_.empty()) return;
  busy_ = true;
  Order order = std::move(orders_.front());
  orders_.pop_front();
  parts_.worker.run(
      parts_.loop, std::move(order.work),
      [this, replies = std::move(order.replies)](Outcome outcome) { finish(std::move(outcome), replies); });
}

void CoreFilesInUse::finish(Outcome outcome, const std::vector<Reply>& replies) {
  if (outcome.fresh) {
    fingerprint_ = std::move(outcome.fingerprint);
    policy_ = std::move(outcome.fresh);
    parts_.use(policy_);
  }
  for (LogEvent& event : outcome.log.events) parts_.log.log(std::move(event));
  for (const Reply& reply : replies) reply(outcome.answer);
  busy_ = false;
  begin();
}

// --- the work of an order, on the worker thread

CoreFilesInUse::Outcome CoreFilesInUse::refused(const std::vector<config::Finding>& errors) const {
  Outcome outcome;
  outcome.answer = {json::serialize(refused_reload(errors, outcome.log)), true};
  return outcome;
}

namespace {

std::string text_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The policy that a question brings. One without it must not be taken for an empty policy.
Result<std::string> policy_text_of(const json::object& question) {
  const json::value* text = question.if_contains("text");
  if (text != nullptr && text->is_string()) return std::string(text->get_string());
  return Error{Code::kControlRefused, "`text`, a string, is missing from the question."};
}

// Makes findings about the policy's file name the file that the text came from.
void rename_file(std::vector<config::Finding>& findings, const std::string& file, const std::string& name) {
  for (config::Finding& finding : findings) {
    if (finding.file == file && !name.empty()) finding.file = name;
  }
}

json::array listed(std::vector<config::Finding> findings, const std::string& file, const std::string& name) {
  rename_file(findings, file, name);
  json::array lines;
  for (const config::Finding& finding : findings) lines.emplace_back(finding.shown());
  return lines;
}

json::object refused_policy(std::vector<config::Finding> errors, const std::string& file,
                            const std::string& name) {
  rename_file(errors, file, name);
  json::object answer{{"errors", listed(errors, {}, {})}};
  add_error_of(errors, answer);
  return answer;
}

json::array listed(const std::vector<config::PolicyChange>& changes) {
  json::array rows;
  for (const config::PolicyChange& change : changes) {
    json::object row{{"table", change.table}, {"row", change.row}};
    if (!change.was.empty()) row["was"] = change.was;
    if (!change.becomes.empty()) row["becomes"] = change.becomes;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

CoreFilesInUse::Outcome CoreFilesInUse::read_all() const {
  config::Loaded<PolicyFiles> fresh = load_policy(parts_.files.config, NodeProcess::now().civil);
  if (!fresh.value) return refused(fresh.errors);
  Outcome outcome;
  json::object answer = take(std::move(*fresh.value), fresh.warnings, outcome);
  answer["warnings"] = listed(std::move(fresh.warnings), {}, {});
  outcome.answer = {json::serialize(answer), answer.contains("errors")};
  return outcome;
}

CoreFilesInUse::Outcome CoreFilesInUse::compare(const json::object& question) const {
  const config::CoreConfig& config = parts_.files.config;
  const std::string name = text_at(question, "name");
  Outcome outcome;
  const Result<std::string> text = policy_text_of(question);
  if (!text) {
    outcome.answer = {json::serialize(refusal_object(text.error())), true};
    return outcome;
  }
  config::Loaded<PolicyFiles> fresh = validate_policy(*text, config, NodeProcess::now().civil);
  if (!fresh.value) {
    outcome.answer = {json::serialize(refused_policy(std::move(fresh.errors), config.policy, name)), true};
    return outcome;
  }
  const config::PolicyUpdate& now = policy_->update();
  const config::PolicyUpdate& then = fresh.value->update;
  outcome.answer.json =
      json::serialize(json::object{{"changed", then.policy_sha256 != now.policy_sha256},
                                   {"generation", now.generation},
                                   {"sha256", to_hex(now.policy_sha256)},
                                   {"becomes_sha256", to_hex(then.policy_sha256)},
                                   {"changes", listed(config::compare_policies(now.policy, then.policy))},
                                   {"warnings", listed(std::move(fresh.warnings), config.policy, name)}});
  return outcome;
}

Result<void> CoreFilesInUse::may_apply(const json::object& question) const {
  const std::uint64_t in_force = policy_->update().generation;
  if (const json::value* wanted = question.if_contains("generation")) {
    boost::system::error_code failed;
    const auto number = wanted->to_number<std::uint64_t>(failed);
    if (failed || number != in_force) {
      return {Code::kControlGeneration, fmt::format("generation {} is in force, not {}", in_force,
                                                    failed ? "what was named" : std::to_string(number))};
    }
  }
  const std::string& file = parts_.files.config.policy;
  const Result<std::string> text = read_file(file);
  if (text && sha256(*text) != policy_->update().policy_sha256) {
    return {Code::kControlEdited, file};
  }
  return {};
}

CoreFilesInUse::Outcome CoreFilesInUse::replace(const json::object& question) const {
  Outcome outcome;
  const auto answered = [&outcome](const json::object& answer, bool refused) {
    outcome.answer = {json::serialize(answer), refused};
    return std::move(outcome);
  };
  if (Result<void> may = may_apply(question); !may) return answered(refusal_object(may.error()), true);
  const Result<std::string> text = policy_text_of(question);
  if (!text) return answered(refusal_object(text.error()), true);
  const std::string name = text_at(question, "name");
  const std::string& file = parts_.files.config.policy;
  config::Loaded<PolicyFiles> fresh = validate_policy(*text, parts_.files.config, NodeProcess::now().civil);
  if (!fresh.value) return answered(refused_policy(std::move(fresh.errors), file, name), true);
  json::array changes =
      listed(config::compare_policies(policy_->update().policy, fresh.value->update.policy));
  Result<void> written = file_exists(file) ? rewrite_file(file, *text) : replace_file(file, *text, 0640);
  if (!written) return answered(refusal_object(written.error()), true);
  outcome.log.log({LogLevel::kInfo, "policy.written", {{"file", file}, {"from", name}}});
  json::object answer = take(std::move(*fresh.value), fresh.warnings, outcome);
  answer["changes"] = std::move(changes);
  answer["warnings"] = listed(std::move(fresh.warnings), file, name);
  return answered(answer, answer.contains("errors"));
}

CoreFilesInUse::Outcome CoreFilesInUse::read_certificates() const {
  const std::string& directory = parts_.files.config.certificates;
  config::Loaded<PolicyFiles> found;
  PolicyFiles same{policy_->update(), {}};
  same.update.certificates.clear();
  for (NamedCertificate& one : load_certificates(directory, NodeProcess::now().civil, same.update.trusted_ca,
                                                 found.errors, found.warnings)) {
    same.update.certificates.push_back(std::move(one.certificate.pem));
  }
  if (!found.errors.empty()) return refused(found.errors);
  warn_of_uncovered(same.update.policy, same.update.certificates, directory, found.warnings);
  same.fingerprint = fingerprint_of(same.update);
  Outcome outcome;
  take(std::move(same), found.warnings, outcome);
  return outcome;
}

json::object CoreFilesInUse::take(PolicyFiles fresh, const std::vector<config::Finding>& warnings,
                                  Outcome& outcome) const {
  log_warnings(warnings, outcome.log);
  const bool changed = fresh.fingerprint != fingerprint_;
  const std::string sha256 = to_hex(fresh.update.policy_sha256);
  std::uint64_t generation = policy_->update().generation;
  if (changed) {
    const Result<std::uint64_t> next = parts_.state.generation(fresh.fingerprint);
    if (!next) return refused_reload({finding_of(parts_.state.path(), next.error())}, outcome.log);
    generation = fresh.update.generation = *next;
    outcome.fresh = config::PreparedPolicy::make(parts_.files.config, std::move(fresh.update));
    outcome.fingerprint = std::move(fresh.fingerprint);
  }
  outcome.log.log({LogLevel::kInfo,
                   changed ? "reload.done" : "reload.unchanged",
                   {{"generation", std::to_string(generation)}, {"sha256", sha256}}});
  return {
      {"changed", changed}, {"generation", generation}, {"sha256", sha256}, {"notes", notes(outcome.log)}};
}

json::array CoreFilesInUse::notes(LogSink& log) const {
  json::array notes;
  const std::string& file = parts_.files.config.file;
  const Result<std::string> text = read_file(file);
  if (text && sha256(*text) != parts_.files.config_sha256) {
    notes.emplace_back(fmt::format("{} has changed; restart the core to use it", file));
    log.log({LogLevel::kWarning, "reload.restart-needed", {{"file", file}}});
  }
  return notes;
}

}  // namespace sallyport::daemon
