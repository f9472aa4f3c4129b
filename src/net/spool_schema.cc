#include "net/spool_schema.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace sallyport::net {

Error spool_file_error(const std::string& path, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return {denied ? Code::kFileDenied : Code::kFileUnreadable,
          fmt::format("{}: {}", path, std::strerror(error))};
}

Error spool_error(const std::string& path, sqlite3* connection) {
  const auto code_of = [](int result) {
    switch (result & 0xff) {
      case SQLITE_PERM:
      case SQLITE_AUTH:
      case SQLITE_READONLY:
        return Code::kFileDenied;
      case SQLITE_CANTOPEN:
        return Code::kFileUnreadable;
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
      case SQLITE_PROTOCOL:
        return Code::kSpoolBusy;
      case SQLITE_FULL:
      case SQLITE_IOERR:
      case SQLITE_NOMEM:
        return Code::kSpoolUnwritable;
      default:
        return Code::kSpoolCorrupt;
    }
  };
  const int result = sqlite3_extended_errcode(connection);
  return {code_of(result), fmt::format("{}: {}", path, sqlite3_errmsg(connection))};
}

Result<void> check_spool_version(const std::string& path, sqlite3* connection) {
  std::int64_t application = 0;
  std::int64_t version = 0;
  if (ask(connection, "PRAGMA application_id", application) != SQLITE_OK ||
      ask(connection, "PRAGMA user_version", version) != SQLITE_OK) {
    return spool_error(path, connection);
  }
  if (application != kSpoolApplicationId || version < 1) {
    return Error{Code::kSpoolCorrupt, path + ": a database, but not a spool"};
  }
  if (version > kSpoolVersionNumber) {
    return Error{Code::kSpoolVersion, fmt::format("{}: its version is {}, and this program's is {}", path,
                                                  version, kSpoolVersionNumber)};
  }
  return {};
}

Result<store::Flow> spool_flow(const std::string& path, std::string_view direction, std::string_view local,
                               std::string_view remote) {
  Result<xmpp::Domain> here = xmpp::Domain::parse(local);
  Result<xmpp::Domain> there = xmpp::Domain::parse(remote);
  if (!here || !there) {
    return Error{Code::kSpoolCorrupt, fmt::format("{}: `{}` is not a domain", path, here ? remote : local)};
  }
  const auto way = direction == policy::direction_name(policy::Direction::kIn) ? policy::Direction::kIn
                                                                               : policy::Direction::kOut;
  return store::Flow{way, {std::move(*here), std::move(*there)}};
}

}  // namespace sallyport::net
