// Which rows of policy.toml change nothing: what `check config` warns of.
#pragma once

#include <optional>

#include "config/policy_config.h"
#include "config/table_reader.h"

namespace sallyport::config {

// Warns of [[allow]] and [[deny]] rows without which every judgement would be the same, now and for as long
// as they last, of rows that have expired at `now`, and of static routes that are switched off or repeated.
void warn_of_idle_rows(const PolicyConfig& config, std::optional<UnixTime> now, Findings& findings);

}  // namespace sallyport::config
