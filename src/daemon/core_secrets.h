// Checks the secrets with which a core starts: those that core.toml names, else those that it keeps in
// `state`. It writes nothing; a secret that the core would make is not missing.
#pragma once

#include <vector>

#include "config/finding.h"
#include "daemon/load.h"

namespace sallyport::daemon {

// The dialback secret (StateDirectory::dialback_secret).
void check_dialback_secret(const config::CoreConfig& config, std::vector<config::Finding>& errors,
                           std::vector<config::Finding>& warnings);

// The internal CA: `files` has the one that core.toml names.
void check_internal_ca(const CoreFiles& files, std::vector<config::Finding>& errors,
                       std::vector<config::Finding>& warnings);

}  // namespace sallyport::daemon
