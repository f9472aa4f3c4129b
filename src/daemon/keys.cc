// keygen, cert list, cert csr: the identity of a node on the link, and the certificates of its domains.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>

#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"
#include "net/certificate.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

UnixTime today() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::string date(UnixTime time) {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(time.time_since_epoch().count()));
}

Exit show_pin(const Invocation& invocation) {
  const std::string path = invocation.value("--show");
  Result<std::string> text = read_file(path);
  if (!text) return failed(text.error());
  Result<std::string> pin = net::certificate_pin(*text);
  // The key has the same pin, and the user may have only the key.
  if (!pin) pin = net::private_key_pin(*text);
  wipe(*text);
  if (!pin) return failed({pin.error().code, fmt::format("{}: {}", path, pin.error().text)});
  print(invocation.has("--json") ? json::serialize(json::object{{"pin", *pin}}) + "\n" : *pin + "\n");
  return Exit::kGood;
}

// The served names that no certificate covers.
std::vector<std::string> names_without(const config::PolicyConfig& policy,
                                       const std::vector<NamedCertificate>& found) {
  std::vector<std::vector<std::string>> covered;
  for (const NamedCertificate& one : found) covered.push_back(one.certificate.pem.names);
  std::vector<std::string> names;
  for (const config::Served* served : uncovered(policy, covered)) names.push_back(served->name.ascii());
  return names;
}

// The authorities that the policy trusts. `check config` reports an unreadable file.
std::string trusted_ca_of(const config::PolicyConfig& policy) {
  if (policy.trusted_ca.empty()) return {};
  const Result<std::string> text = read_file(policy.trusted_ca);
  return text ? *text : std::string();
}

json::object listed(const std::vector<NamedCertificate>& found, const std::vector<std::string>& missing) {
  json::array certificates;
  for (const auto& [path, one] : found) {
    certificates.push_back({{"file", path},
                            {"names", json::value_from(one.pem.names)},
                            {"issuer", one.issuer},
                            {"not_before", date(one.not_before)},
                            {"not_after", date(one.not_after)},
                            {"pin", one.pin},
                            {"warnings", json::value_from(one.warnings)}});
  }
  return {{"certificates", certificates}, {"without", json::value_from(missing)}};
}

std::string shown_list(const json::object& answer) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& one : list_at(answer, "certificates")) {
    const json::object& row = one.get_object();
    rows.push_back({field(row, "names"), field(row, "not_after"), field(row, "issuer"), field(row, "file")});
  }
  std::string out = rows.empty() ? "No certificates.\n" : aligned({"NAMES", "UNTIL", "ISSUER", "FILE"}, rows);
  for (const json::value& name : list_at(answer, "without")) {
    out += fmt::format("There is no certificate for {}.\n", std::string_view(name.get_string()));
  }
  return out;
}

// An existing file is never overwritten.
Exit not_written(const std::string& path, const Error& error) {
  if (!error.text.ends_with(std::generic_category().message(EEXIST))) return failed(error);
  complain(fmt::format("{} exists already and is not overwritten; name another file.", path), error.code,
           "Name another file.");
  return Exit::kFailed;
}

// The names as A-labels: those of the command line, else those that the policy serves.
std::optional<std::vector<std::string>> request_names(const Invocation& invocation, Exit& exit) {
  std::vector<std::string> names;
  for (const std::string& word : invocation.arguments) {
    const Result<xmpp::Domain> domain = xmpp::Domain::parse(word);
    if (!domain) {
      complain(fmt::format("`{}` is not a valid domain name", word));
      exit = Exit::kUsage;
      return std::nullopt;
    }
    names.push_back(domain->ascii());
  }
  if (!names.empty()) return names;
  const auto core = load_core_config(invocation.value("--config", kCoreFile));
  if (!report(core.errors, core.warnings, core.value.has_value())) {
    exit = Exit::kConfiguration;
    return std::nullopt;
  }
  const auto policy = load_policy_config(*core.value);
  if (!report(policy.errors, policy.warnings, policy.value.has_value())) {
    exit = Exit::kConfiguration;
    return std::nullopt;
  }
  for (const config::Served& served : policy.value->served) names.push_back(served.name.ascii());
  return names;
}

}  // namespace

Exit run_keygen(const Invocation& invocation) {
  if (invocation.has("--show")) return show_pin(invocation);
  if (!invocation.has("--out-cert") || !invocation.has("--out-key")) {
    complain("keygen needs --out-cert FILE and --out-key FILE (or --show FILE).");
    return Exit::kUsage;
  }
  Result<net::IdentityPem> made = net::make_identity(invocation.value("--name", "sallyport"), today());
  if (!made) return failed(made.error());
  // The key first: a certificate without its key would be useless.
  const Result<void> key = write_new_file(invocation.value("--out-key"), made->key, 0600);
  wipe(made->key);
  if (!key) return not_written(invocation.value("--out-key"), key.error());
  const Result<void> certificate = write_new_file(invocation.value("--out-cert"), made->certificate, 0644);
  if (!certificate) {
    // The new key is useless alone, and would make a second attempt fail.
    std::remove(invocation.value("--out-key").c_str());
    return not_written(invocation.value("--out-cert"), certificate.error());
  }
  print(invocation.has("--json") ? json::serialize(json::object{{"pin", made->pin}}) + "\n"
                                 : made->pin + "\n");
  return Exit::kGood;
}

Exit run_cert_list(const Invocation& invocation) {
  const auto core = load_core_config(invocation.value("--config", kCoreFile));
  if (!report(core.errors, core.warnings, core.value.has_value())) return Exit::kConfiguration;
  const auto policy = load_policy_config(*core.value);
  if (!report(policy.errors, {}, policy.value.has_value())) return Exit::kConfiguration;
  std::vector<config::Finding> errors;
  std::vector<config::Finding> warnings;
  std::vector<NamedCertificate> found;
  if (!core.value->certificates.empty())
    found =
        load_certificates(core.value->certificates, today(), trusted_ca_of(*policy.value), errors, warnings);
  const json::object answer = listed(found, names_without(*policy.value, found));
  print(invocation.has("--json") ? json::serialize(answer) + "\n" : shown_list(answer));
  report(errors, warnings, errors.empty());
  return errors.empty() ? Exit::kGood : Exit::kFailed;
}

Exit run_cert_csr(const Invocation& invocation) {
  Exit exit = Exit::kGood;
  const auto names = request_names(invocation, exit);
  if (!names) return exit;
  Result<std::string> key = net::make_private_key();
  if (!key) return failed(key.error());
  const Result<std::string> request = net::make_request(*names, *key);
  if (!request) return failed(request.error());
  const Result<void> written = write_new_file(invocation.value("--out-key"), *key, 0600);
  wipe(*key);
  if (!written) return not_written(invocation.value("--out-key"), written.error());
  if (!invocation.has("--out-csr")) {
    print(*request);
    return Exit::kGood;
  }
  const Result<void> out = write_new_file(invocation.value("--out-csr"), *request, 0644);
  return out ? Exit::kGood : not_written(invocation.value("--out-csr"), out.error());
}

}  // namespace sallyport::daemon
