#include "daemon/core_files.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "daemon/door.h"
#include "daemon/file.h"
#include "gate/policy_diff.h"

namespace sallyport::daemon {

namespace json = boost::json;

CoreFilesInUse::CoreFilesInUse(const CoreFiles& files, PolicyFiles policy, const StateDirectory& state,
                               net::Minter& minter, LogSink& log)
    : files_(files), policy_(std::move(policy)), state_(state), minter_(minter), log_(log) {
  note_names();
}

void CoreFilesInUse::note_names() {
  policy::RuleSet names;
  names.local = policy_.update.policy.rules.local;
  names.inside = policy_.update.policy.rules.inside;
  names_.emplace(std::move(names));
  renamed_.clear();
  for (const gate::Served& one : served()) {
    if (one.inside != one.name) renamed_.insert(one.name);
  }
}

dns::NameKind CoreFilesInUse::kind_of(const xmpp::Domain& name) const {
  if (renamed_.contains(name)) return dns::NameKind::kRenamedAlias;
  return names_->is_inside(name) ? dns::NameKind::kInside : dns::NameKind::kOutside;
}

json::object CoreFilesInUse::reload(gate::Core& core, net::Driver& driver) {
  gate::Loaded<PolicyFiles> fresh = load_policy(files_.config, Door::now().civil);
  if (!fresh.value) return refused_reload(fresh.errors, log_);
  return take(std::move(*fresh.value), fresh.warnings, core, driver);
}

namespace {

std::string text_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Findings about the policy's file name the one that the text came from.
json::array listed(std::vector<gate::Finding> findings, const std::string& file, const std::string& name) {
  json::array lines;
  for (gate::Finding& finding : findings) {
    if (finding.file == file && !name.empty()) finding.file = name;
    lines.emplace_back(finding.shown());
  }
  return lines;
}

json::array listed(const std::vector<gate::PolicyChange>& changes) {
  json::array rows;
  for (const gate::PolicyChange& change : changes) {
    json::object row{{"table", change.table}, {"row", change.row}};
    if (!change.was.empty()) row["was"] = change.was;
    if (!change.becomes.empty()) row["becomes"] = change.becomes;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

json::object CoreFilesInUse::diff(const json::object& question) const {
  const std::string& file = files_.config.policy;
  gate::Loaded<PolicyFiles> fresh = judge_policy(text_at(question, "text"), files_.config, Door::now().civil);
  if (!fresh.value) return {{"errors", listed(std::move(fresh.errors), file, text_at(question, "name"))}};
  const gate::PolicyUpdate& now = policy_.update;
  const gate::PolicyUpdate& then = fresh.value->update;
  return {{"changed", then.policy_sha256 != now.policy_sha256},
          {"generation", now.generation},
          {"sha256", to_hex(now.policy_sha256)},
          {"becomes_sha256", to_hex(then.policy_sha256)},
          {"changes", listed(gate::compare_policies(now.policy, then.policy))},
          {"warnings", listed(std::move(fresh.warnings), file, text_at(question, "name"))}};
}

Result<void> CoreFilesInUse::may_apply(const json::object& question) const {
  const std::uint64_t in_force = policy_.update.generation;
  if (const json::value* wanted = question.if_contains("generation")) {
    boost::system::error_code failed;
    const auto number = wanted->to_number<std::uint64_t>(failed);
    if (failed || number != in_force) {
      return {Code::kControlGeneration, fmt::format("generation {} is in force, not {}", in_force,
                                                    failed ? "what was named" : std::to_string(number))};
    }
  }
  const Result<std::string> text = read_file(files_.config.policy);
  if (text && sha256(*text) != policy_.update.policy_sha256) {
    return {Code::kControlGeneration,
            fmt::format("{} has been edited since it was taken: reload it, or move it away",
                        files_.config.policy)};
  }
  return {};
}

json::object CoreFilesInUse::apply(const json::object& question, gate::Core& core, net::Driver& driver) {
  if (Result<void> may = may_apply(question); !may) return error_object(may.error());
  const std::string text = text_at(question, "text");
  const std::string& file = files_.config.policy;
  gate::Loaded<PolicyFiles> fresh = judge_policy(text, files_.config, Door::now().civil);
  if (!fresh.value) return {{"errors", listed(std::move(fresh.errors), file, text_at(question, "name"))}};
  const json::array changes =
      listed(gate::compare_policies(policy_.update.policy, fresh.value->update.policy));
  Result<void> written = file_exists(file) ? rewrite_file(file, text) : replace_file(file, text, 0640);
  if (!written) return error_object(written.error());
  log_.log({LogLevel::kInfo, "policy.written", {{"file", file}, {"from", text_at(question, "name")}}});
  json::object answer = take(std::move(*fresh.value), fresh.warnings, core, driver);
  answer["changes"] = changes;
  answer["warnings"] = listed(std::move(fresh.warnings), file, text_at(question, "name"));
  return answer;
}

void CoreFilesInUse::reload_certificates(gate::Core& core, net::Driver& driver) {
  gate::Loaded<PolicyFiles> fresh;
  PolicyFiles same = policy_;
  same.update.certificates.clear();
  for (NamedCertificate& one :
       load_certificates(files_.config.certificates, Door::now().civil, fresh.errors, fresh.warnings)) {
    same.update.certificates.push_back(std::move(one.certificate.pem));
  }
  warn_of_uncovered(same.update.policy, same.update.certificates, files_.config.certificates, fresh.warnings);
  if (!fresh.errors.empty()) {
    refused_reload(fresh.errors, log_);
    return;
  }
  same.fingerprint = fingerprint_of(same.update);
  take(std::move(same), fresh.warnings, core, driver);
}

json::object CoreFilesInUse::take(PolicyFiles fresh, const std::vector<gate::Finding>& warnings,
                                  gate::Core& core, net::Driver& driver) {
  for (const gate::Finding& warning : warnings) {
    log_.log({LogLevel::kWarning, "config.warning", {{"what", warning.shown()}}});
  }
  const bool changed = fresh.fingerprint != policy_.fingerprint;
  const std::string sha256 = to_hex(fresh.update.policy_sha256);
  if (changed) {
    const Result<std::uint64_t> generation = state_.generation(fresh.fingerprint);
    if (!generation) return refused_reload({finding_of(state_.path(), generation.error())}, log_);
    policy_ = std::move(fresh);
    policy_.update.generation = *generation;
    note_names();
    minter_.set_inside(policy_.update.policy.rules.inside);
    core.apply(policy_.update, Door::now());
    driver.wake();
  }
  const std::uint64_t generation_now = policy_.update.generation;
  log_.log({LogLevel::kInfo,
            changed ? "reload.done" : "reload.unchanged",
            {{"generation", std::to_string(generation_now)}, {"sha256", sha256}}});
  return {{"changed", changed}, {"generation", generation_now}, {"sha256", sha256}, {"notes", notes()}};
}

json::array CoreFilesInUse::notes() const {
  json::array notes;
  const Result<std::string> text = read_file(files_.config.file);
  if (text && sha256(*text) != files_.config_sha256) {
    notes.emplace_back(fmt::format("{} has changed; restart the core to use it", files_.config.file));
    log_.log({LogLevel::kWarning, "reload.restart-needed", {{"file", files_.config.file}}});
  }
  return notes;
}

}  // namespace sallyport::daemon
