// What a SpoolFile does at the start: it checks the file, or makes it, and reads what it holds.
#include <cerrno>
#include <filesystem>
#include <map>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/spool_file.h"
#include "net/spool_schema.h"

namespace sallyport::net {

namespace {

// For a reader that recovers the WAL at this moment.
constexpr int kBusyMs = 5'000;
// The file grows by this.
constexpr int kChunkBytes = 1024 * 1024;

// `highest` has one row: a number is not used again, though its message may be gone.
constexpr const char* kTables = R"(
  CREATE TABLE flow (
    number INTEGER PRIMARY KEY,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    local TEXT NOT NULL,
    remote TEXT NOT NULL
  ) STRICT;
  CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    flow INTEGER NOT NULL REFERENCES flow,
    accepted INTEGER NOT NULL,
    xml BLOB NOT NULL
  ) STRICT;
  CREATE INDEX message_of_flow ON message (flow);
  CREATE TABLE highest (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    message INTEGER NOT NULL,
    flow INTEGER NOT NULL
  ) STRICT;
  INSERT INTO highest VALUES (1, 0, 0);
)";

// Applies before the first page is written. Pages of 8 KiB take a quarter less time than those of 4 KiB, and
// a commit of one message still writes little.
constexpr const char* kLayout = "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL";

// The WAL is checkpointed by the owner, after the answers.
constexpr const char* kConfiguration =
    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA secure_delete = FAST;"
    "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864";

constexpr const char* kSharedPairs =
    "SELECT count(*) FROM (SELECT 1 FROM flow WHERE number IN (SELECT flow FROM message) "
    "GROUP BY direction, local, remote HAVING count(*) > 1)";

// The messages of such flows get new numbers, in the order of acceptance. That is the order of their times
// and, within a second, of their numbers; but a clock that was set back does not change the order in a flow.
// The flow that accepted the last of them stays.
constexpr const char* kMerge = R"(
  CREATE TEMP TABLE merged AS
    WITH held AS (
      SELECT number, min(number) OVER same AS pair, count(*) OVER same AS flows
      FROM flow WHERE number IN (SELECT flow FROM message)
      WINDOW same AS (PARTITION BY direction, local, remote)
    ), timed AS (
      SELECT m.number, m.flow, held.pair,
        max(m.accepted) OVER (PARTITION BY m.flow ORDER BY m.number) AS time
      FROM message AS m JOIN held ON held.number = m.flow WHERE held.flows > 1
    )
    SELECT number,
      max((SELECT message FROM highest), (SELECT max(number) FROM message))
        + row_number() OVER (ORDER BY time, number) AS new_number,
      first_value(flow) OVER (PARTITION BY pair ORDER BY time DESC, number DESC) AS new_flow
    FROM timed;
  UPDATE message SET number = new_number, flow = new_flow
    FROM temp.merged WHERE merged.number = message.number;
  UPDATE highest SET message = (SELECT max(number) FROM message);
  DROP TABLE temp.merged;
)";

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Result<std::unique_ptr<SpoolFile>> SpoolFile::open(const std::string& path, const SpoolBounds& bounds) {
  std::unique_ptr<SpoolFile> file(new SpoolFile(path, bounds));
  if (Result<void> locked = file->lock(); !locked) return locked.error();
  if (Result<void> connected = file->connect(); !connected) return connected.error();
  return file;
}

Result<void> SpoolFile::lock() {
  const std::string beside = path_ + "-lock";
  lock_.emplace(::open(beside.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_->is_open()) return spool_file_error(beside, errno);
  if (::flock(lock_->get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return spool_file_error(beside, errno);
  return Error{Code::kSpoolBusy, path_ + ": another process has locked it"};
}

Result<void> SpoolFile::connect() {
  {
    const Descriptor made(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!made.is_open()) return spool_file_error(path_, errno);
    const Descriptor folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.is_open() || ::fsync(folder.get()) != 0) return spool_file_error(path_, errno);
  }
  const int opened = open_sqlite(path_, SQLITE_OPEN_READWRITE, kBusyMs, connection_);
  if (opened != SQLITE_OK) return spool_error(path_, connection_.get());
  if (Result<void> identified = identify(); !identified) return identified;
  if (Result<void> configured = configure(); !configured) return configured;
  prepare();
  return {};
}

// Checks that the database is a spool, or makes it one if it is empty.
Result<void> SpoolFile::identify() {
  std::int64_t objects = 0;
  sqlite3* at = connection_.get();
  if (ask(at, "SELECT count(*) FROM sqlite_schema", objects) != SQLITE_OK) return spool_error(path_, at);
  if (objects == 0) {
    if (create_schema() != SQLITE_OK) return spool_error(path_, at);
    return {};
  }
  if (Result<void> checked = check_spool_version(path_, at); !checked) return checked;
  std::string found;
  if (ask(at, "PRAGMA quick_check(1)", found) != SQLITE_OK) return spool_error(path_, at);
  if (found != "ok") return Error{Code::kSpoolCorrupt, path_ + ": " + found};
  return {};
}

int SpoolFile::create_schema() {
  sqlite3* at = connection_.get();
  const std::string marks = fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                        kSpoolApplicationId, kSpoolVersionNumber);
  int done = execute(at, kLayout);
  if (done == SQLITE_OK) done = execute(at, "BEGIN IMMEDIATE");
  if (done == SQLITE_OK) done = execute(at, kTables);
  if (done == SQLITE_OK) done = execute(at, marks.c_str());
  if (done == SQLITE_OK) done = execute(at, "COMMIT");
  return done;
}

Result<void> SpoolFile::configure() {
  sqlite3* at = connection_.get();
  std::string mode;
  if (ask(at, "PRAGMA journal_mode = WAL", mode) != SQLITE_OK || execute(at, kConfiguration) != SQLITE_OK ||
      ask(at, "PRAGMA page_size", page_bytes_) != SQLITE_OK) {
    return spool_error(path_, at);
  }
  if (mode != "wal")
    return Error{Code::kFileUnreadable, path_ + ": SQLite cannot use a WAL on this file system"};
  int chunk = kChunkBytes;
  sqlite3_file_control(at, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  return {};
}

// Shards number their flows themselves, so that a pair that was in several of them has several.
Result<void> SpoolFile::merge_flows() {
  sqlite3* at = connection_.get();
  std::int64_t shared = 0;
  if (ask(at, kSharedPairs, shared) != SQLITE_OK) return spool_error(path_, at);
  if (shared == 0) return {};
  int done = statements_.begin_immediate.run();
  if (done == SQLITE_OK) done = execute(at, kMerge);
  if (done == SQLITE_OK) done = allocate();
  if (done == SQLITE_OK) done = statements_.commit.run();
  if (done == SQLITE_OK) return {};
  // The connection does not know of a failure to allocate.
  const Error why = done == SQLITE_FULL
                        ? Error{Code::kSpoolUnwritable, fmt::format("{}: {}", path_, sqlite3_errstr(done))}
                        : spool_error(path_, at);
  pages_allocated_ = 0;
  if (sqlite3_get_autocommit(at) == 0) statements_.rollback.run();
  return why;
}

Result<store::SpoolContents> SpoolFile::contents() {
  if (Result<void> merged = merge_flows(); !merged) return merged.error();
  sqlite3* at = connection_.get();
  // Flows that lost their last message just before the end of the process, or now. On a full disk they stay.
  execute(at, "DELETE FROM flow WHERE number NOT IN (SELECT flow FROM message)");
  store::SpoolContents contents;
  std::map<std::uint64_t, std::map<std::int64_t, store::SpoolMinute>> minutes;  // by flow, then time
  std::map<std::uint64_t, std::uint64_t> firsts;
  Statement messages(at, "SELECT number, flow, accepted, length(xml) FROM message ORDER BY number");
  int stepped = SQLITE_OK;
  while ((stepped = messages.step()) == SQLITE_ROW) {
    contents.last_message = messages.unsigned_number(0);
    const UnixTime accepted{std::chrono::seconds(messages.number(2))};
    const UnixTime begin = std::chrono::floor<std::chrono::minutes>(accepted);
    firsts.try_emplace(messages.unsigned_number(1), contents.last_message);
    store::SpoolMinute& minute = minutes[messages.unsigned_number(1)][begin.time_since_epoch().count()];
    minute.minute = begin;
    ++minute.count;
    minute.bytes += messages.unsigned_number(3);
  }
  if (stepped != SQLITE_DONE) return spool_error(path_, at);

  Statement flows(at, "SELECT number, direction, local, remote FROM flow ORDER BY number");
  while ((stepped = flows.step()) == SQLITE_ROW) {
    const std::uint64_t number = flows.unsigned_number(0);
    Result<store::Flow> flow = spool_flow(path_, flows.bytes(1), flows.bytes(2), flows.bytes(3));
    if (!flow) return flow.error();
    contents.last_flow = number;
    if (!minutes.contains(number)) continue;
    store::SpoolContents::Held held{{number, std::move(*flow)}, firsts[number], {}};
    for (const auto& [begin, minute] : minutes[number]) held.minutes.push_back(minute);
    contents.flows.push_back(std::move(held));
  }
  if (stepped != SQLITE_DONE) return spool_error(path_, at);
  if (contents.flows.size() != minutes.size()) {
    return Error{Code::kSpoolCorrupt, path_ + ": a message belongs to a flow that is absent"};
  }

  Statement highest(at, "SELECT message, flow FROM highest");
  if (highest.step() != SQLITE_ROW) return Error{Code::kSpoolCorrupt, path_ + ": `highest` has no row"};
  contents.last_message = std::max(contents.last_message, highest.unsigned_number(0));
  contents.last_flow = std::max(contents.last_flow, highest.unsigned_number(1));
  highest_ = {contents.last_message, contents.last_flow};
  return contents;
}

}  // namespace sallyport::net
