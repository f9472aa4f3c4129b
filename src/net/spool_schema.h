// What the writer and the readers of a spool's database agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/sqlite.h"
#include "store/spool.h"

namespace sallyport::net {

inline constexpr std::int64_t kSpoolApplicationId = 0x53505351;  // "SPSQ"
inline constexpr std::int64_t kSpoolVersionNumber = 1;           // user_version

// The system's error (errno) about a path: kFileDenied or kFileUnreadable.
Error spool_file_error(const std::string& path, int error);

// The last error of a connection, at any time but that of a batch.
Error spool_error(const std::string& path, sqlite3* connection);

// Errors: kSpoolCorrupt if the database is not a spool, kSpoolVersion if a newer program made it.
Result<void> check_spool_version(const std::string& path, sqlite3* connection);

// A row of the table `flow`. Errors: kSpoolCorrupt.
Result<store::Flow> spool_flow(const std::string& path, std::string_view direction, std::string_view local,
                               std::string_view remote);

}  // namespace sallyport::net
