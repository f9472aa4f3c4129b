// SQLite's connection and statements with owners. They return SQLite's result codes: what an error means is
// up to the caller, who may ask sqlite3_errmsg about it until the next call.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "base/result.h"

namespace sallyport::net {

struct ConnectionCloser {
  void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};
using SqliteConnection = std::unique_ptr<sqlite3, ConnectionCloser>;

// A prepared statement. Values are bound from the first parameter on; text and blobs are not copied, and must
// live until the statement is reset.
class Statement {
 public:
  Statement() = default;
  // A statement that cannot be prepared returns the error from each step.
  Statement(sqlite3* connection, std::string_view sql);

  Statement& bind(int parameter, std::uint64_t value);
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind_text(int parameter, std::string_view value);
  Statement& bind_blob(int parameter, std::string_view value);

  // SQLITE_ROW, SQLITE_DONE or an error.
  int step();
  // Steps through all rows without reading them, and resets. SQLITE_OK or an error.
  int run();
  void reset() { sqlite3_reset(statement_.get()); }

  std::int64_t number(int column) { return sqlite3_column_int64(statement_.get(), column); }
  std::uint64_t unsigned_number(int column) { return static_cast<std::uint64_t>(number(column)); }
  // The bytes of text or of a blob; valid until the next step.
  std::string_view bytes(int column);

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int prepared_ = SQLITE_MISUSE;
};

// Opens a connection that is used by one thread at a time, with extended result codes and a busy timeout.
// `flags`: SQLITE_OPEN_READWRITE or SQLITE_OPEN_READONLY. The connection exists after an error, too.
int open_sqlite(const std::string& path, int flags, int busy_ms, SqliteConnection& connection);

// Executes statements without parameters.
int execute(sqlite3* connection, const char* sql);

// The first column of the first row, as a number or as text.
int ask(sqlite3* connection, std::string_view sql, std::int64_t& value);
int ask(sqlite3* connection, std::string_view sql, std::string& value);

}  // namespace sallyport::net
