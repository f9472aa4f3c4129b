#include "net/sqlite.h"

#include <filesystem>
#include <system_error>

namespace sallyport::net {

Statement::Statement(sqlite3* connection, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  prepared_ = sqlite3_prepare_v3(connection, sql.data(), static_cast<int>(sql.size()),
                                 SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  statement_.reset(statement);
}

Statement& Statement::bind(int parameter, std::uint64_t value) {
  return bind(parameter, static_cast<std::int64_t>(value));
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
  return *this;
}

Statement& Statement::bind_text(int parameter, std::string_view value) {
  sqlite3_bind_text64(statement_.get(), parameter, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int parameter, std::string_view value) {
  // A null pointer would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  sqlite3_bind_blob64(statement_.get(), parameter, data, value.size(), SQLITE_STATIC);
  return *this;
}

int Statement::step() { return prepared_ == SQLITE_OK ? sqlite3_step(statement_.get()) : prepared_; }

int Statement::run() {
  int stepped = SQLITE_ROW;
  while (stepped == SQLITE_ROW) stepped = step();
  reset();
  return stepped == SQLITE_DONE ? SQLITE_OK : stepped;
}

std::string_view Statement::bytes(int column) {
  // sqlite3_column_blob comes first: it may convert the value, and with it the size.
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

int open_sqlite(const std::string& path, int flags, int busy_ms, SqliteConnection& connection) {
  // An absolute path is never taken for a URI or for ":memory:".
  std::error_code failed;
  std::string absolute = std::filesystem::absolute(path, failed).string();
  if (failed) return SQLITE_CANTOPEN;
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(absolute.c_str(), &opened,
                                     flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  connection.reset(opened);
  if (result == SQLITE_OK) sqlite3_busy_timeout(opened, busy_ms);
  return result;
}

int execute(sqlite3* connection, const char* sql) {
  return sqlite3_exec(connection, sql, nullptr, nullptr, nullptr);
}

int ask(sqlite3* connection, std::string_view sql, std::int64_t& value) {
  Statement question(connection, sql);
  const int stepped = question.step();
  if (stepped == SQLITE_ROW) value = question.number(0);
  return stepped == SQLITE_ROW ? SQLITE_OK : stepped;
}

int ask(sqlite3* connection, std::string_view sql, std::string& value) {
  Statement question(connection, sql);
  const int stepped = question.step();
  if (stepped == SQLITE_ROW) value = question.bytes(0);
  return stepped == SQLITE_ROW ? SQLITE_OK : stepped;
}

}  // namespace sallyport::net
