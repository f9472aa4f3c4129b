#include "daemon/core_files.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "daemon/door.h"
#include "daemon/file.h"

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

void CoreFilesInUse::reload_certificates(gate::Core& core, net::Driver& driver) {
  gate::Loaded<PolicyFiles> fresh;
  PolicyFiles same = policy_;
  same.update.certificates.clear();
  for (NamedCertificate& one :
       load_certificates(files_.config.certificates, Door::now().civil, fresh.errors, fresh.warnings)) {
    same.update.certificates.push_back(std::move(one.certificate.pem));
  }
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
