// Finds rows of policy.toml without effect, for the warnings of `check config`.
#pragma once

#include <optional>

#include "config/policy_config.h"
#include "config/table_reader.h"

namespace sallyport::config {

// Warns of [[allow]] and [[deny]] rows whose removal would change no verdict, now or while they last, of rows
// that have expired at `now`, and of static routes that are switched off or repeated.
void warn_of_idle_rows(const PolicyConfig& config, std::optional<UnixTime> now, Findings& findings);

// Warns of a policy that federates with nobody: it serves no name, is disabled, or admits no remote domain.
void warn_of_no_federation(const PolicyConfig& config, std::optional<UnixTime> now, Findings& findings);

}  // namespace sallyport::config
