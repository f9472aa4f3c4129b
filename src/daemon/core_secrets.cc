#include "daemon/core_secrets.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "daemon/file.h"
#include "daemon/state.h"
#include "net/internal_ca.h"
#include "net/mint.h"

namespace sallyport::daemon {

using config::Finding;

void check_dialback_secret(const config::CoreConfig& config, std::vector<Finding>& errors,
                           std::vector<Finding>& warnings) {
  const bool named = !config.dialback_secret.empty();
  const std::string path = named ? config.dialback_secret : config.state + "/dialback.secret";
  if (!named && !file_exists(path)) return;
  warn_of_open_secret(path, warnings);
  Result<std::string> secret = read_dialback_secret(path);
  if (!secret) {
    errors.push_back(unreadable_finding(path, secret.error()));
  } else {
    wipe(*secret);
  }
}

void check_internal_ca(const CoreFiles& files, std::vector<Finding>& errors, std::vector<Finding>& warnings) {
  const config::CoreConfig& config = files.config;
  const bool named = !config.ca_certificate.empty();
  const std::string certificate = named ? config.ca_certificate : config.state + "/internal-ca.crt";
  const std::string key = named ? config.ca_key : config.state + "/internal-ca.key";
  net::CaPem ca{files.ca_certificate, files.ca_key};
  if (!named) {
    if (const Result<void> may = may_make_internal_ca(config.state); !may)
      return errors.push_back(finding_of(config.state, may.error()));
    if (!file_exists(certificate) && !file_exists(key)) return;
    warn_of_open_secret(key, warnings);
    // It makes nothing where one of the files exists.
    Result<net::CaPem> kept = net::open_internal_ca(config.state, {}, {}, {});
    if (!kept) return errors.push_back(finding_of(config.state, kept.error()));
    ca = std::move(*kept);
  }
  if (const auto minter = net::Minter::make(ca, {}); !minter) {
    errors.push_back(finding_of(
        certificate, {minter.error().code, fmt::format("{} (its key: {})", minter.error().text, key)}));
  }
  wipe(ca.key);
}

}  // namespace sallyport::daemon
