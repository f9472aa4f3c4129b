#include "net/spool_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sallyport::net {

namespace {

constexpr const char* kShrinkStep = "PRAGMA incremental_vacuum(128)";

// Only a foreign writer, or a reader that recovers the WAL, can make a batch wait.
constexpr int kBusyMs = 100;

int note_commit(void* frames, sqlite3*, const char*, int count) {
  *static_cast<int*>(frames) = count;
  return SQLITE_OK;
}

bool has_changes(const store::SpoolBatch& batch) {
  return !batch.flows.empty() || !batch.messages.empty() || !batch.removed.empty() ||
         !batch.forgotten.empty();
}

}  // namespace

SpoolFile::~SpoolFile() = default;

void SpoolFile::prepare() {
  sqlite3* at = connection_.get();
  sqlite3_busy_timeout(at, kBusyMs);
  sqlite3_wal_hook(at, note_commit, &wal_frames_);
  statements_.begin = Statement(at, "BEGIN");
  statements_.begin_immediate = Statement(at, "BEGIN IMMEDIATE");
  statements_.commit = Statement(at, "COMMIT");
  statements_.rollback = Statement(at, "ROLLBACK");
  statements_.add_flow =
      Statement(at, "INSERT INTO flow (number, direction, local, remote) VALUES (?, ?, ?, ?)");
  statements_.add_message =
      Statement(at, "INSERT INTO message (number, flow, accepted, xml) VALUES (?, ?, ?, ?)");
  statements_.remove = Statement(at, "DELETE FROM message WHERE number = ?");
  statements_.forget = Statement(
      at, "DELETE FROM flow WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE flow = ?1)");
  statements_.read = Statement(
      at,
      "SELECT number, accepted, xml FROM message INDEXED BY message_of_flow WHERE flow = ? AND number >= ? "
      "ORDER BY number");
  statements_.save_highest = Statement(at, "UPDATE highest SET message = ?, flow = ?");
  statements_.page_count = Statement(at, "PRAGMA page_count");
  statements_.free_pages = Statement(at, "PRAGMA freelist_count");
}

std::vector<store::SpoolAnswer> SpoolFile::carry_out(const std::vector<const store::SpoolBatch*>& batches) {
  std::vector<store::SpoolAnswer> answers(batches.size());
  const std::optional<Error> no_messages = wal_too_large();
  if (!attempt(batches, answers, no_messages)) return answers;
  // Also one that was alone: the WAL may have room now.
  for (std::size_t i = 0; i < batches.size(); ++i) {
    std::vector<store::SpoolAnswer> alone(1);
    std::optional<Error> why = attempt({batches[i]}, alone, no_messages);
    if (why) {
      alone.front().stored = std::move(*why);
      alone.front().rows.clear();
      for (const store::SpoolRead& read : batches[i]->reads) alone.front().rows.push_back({read, {}});
    }
    answers[i] = std::move(alone.front());
  }
  return answers;
}

// One transaction, or nothing and why.
std::optional<Error> SpoolFile::attempt(const Batches& batches, std::vector<store::SpoolAnswer>& answers,
                                        const std::optional<Error>& no_messages) {
  bool changes = false;
  for (const store::SpoolBatch* batch : batches) {
    if (no_messages && !batch->messages.empty()) return no_messages;
    changes |= has_changes(*batch);
  }
  const Highest before = highest_;
  int done = (changes ? statements_.begin_immediate : statements_.begin).run();
  for (std::size_t i = 0; done == SQLITE_OK && i < batches.size(); ++i) {
    done = change(*batches[i]);
    for (const store::SpoolRead& wanted : batches[i]->reads) {
      if (done != SQLITE_OK) break;
      done = read(wanted, answers[i].rows.emplace_back(store::SpoolRows{wanted, {}}).messages);
    }
  }
  if (done == SQLITE_OK && highest_ != before) done = save_highest();
  if (done == SQLITE_OK && changes) done = allocate();
  if (done == SQLITE_OK) done = statements_.commit.run();
  if (done == SQLITE_OK) return std::nullopt;

  // The connection does not know of a failure of its file's system calls.
  const bool is_known = (sqlite3_errcode(connection_.get()) & 0xff) == (done & 0xff);
  Error why{
      Code::kSpoolUnwritable,
      fmt::format("{}: {}", path_, is_known ? sqlite3_errmsg(connection_.get()) : sqlite3_errstr(done))};
  highest_ = before;
  pages_allocated_ = 0;
  if (sqlite3_get_autocommit(connection_.get()) == 0) statements_.rollback.run();
  // SQLite can then write from the beginning of the WAL again, for which a full disk has room.
  if ((done & 0xff) == SQLITE_FULL || (done & 0xff) == SQLITE_IOERR) checkpoint(SQLITE_CHECKPOINT_PASSIVE);
  return why;
}

int SpoolFile::change(const store::SpoolBatch& batch) {
  int done = SQLITE_OK;
  for (const store::NumberedFlow& added : batch.flows) {
    const store::Flow& flow = added.flow;
    statements_.add_flow.bind(1, added.number)
        .bind_text(2, policy::direction_name(flow.direction))
        .bind_text(3, flow.pair.local.ascii())
        .bind_text(4, flow.pair.remote.ascii());
    if (done = statements_.add_flow.run(); done != SQLITE_OK) return done;
    highest_.flow = std::max(highest_.flow, added.number);
  }
  for (const store::StoredMessage& message : batch.messages) {
    statements_.add_message.bind(1, message.number)
        .bind(2, message.flow)
        .bind(3, std::int64_t{message.accepted.time_since_epoch().count()})
        .bind_blob(4, message.xml);
    if (done = statements_.add_message.run(); done != SQLITE_OK) return done;
    highest_.message = std::max(highest_.message, message.number);
  }
  for (std::uint64_t number : batch.removed) {
    if (done = statements_.remove.bind(1, number).run(); done != SQLITE_OK) return done;
  }
  for (std::uint64_t number : batch.forgotten) {
    if (done = statements_.forget.bind(1, number).run(); done != SQLITE_OK) return done;
  }
  return done;
}

int SpoolFile::read(const store::SpoolRead& read, std::vector<store::StoredMessage>& messages) {
  Statement& rows = statements_.read.bind(1, read.flow).bind(2, read.from);
  std::size_t bytes = 0;
  int stepped = SQLITE_DONE;
  while ((messages.empty() || messages.size() < read.count) && (stepped = rows.step()) == SQLITE_ROW) {
    std::string_view xml = rows.bytes(2);
    bytes += xml.size();
    if (!messages.empty() && bytes > read.bytes) break;
    messages.push_back({rows.unsigned_number(0), read.flow, UnixTime(std::chrono::seconds(rows.number(1))),
                        std::string(xml)});
  }
  rows.reset();
  return stepped == SQLITE_ROW || stepped == SQLITE_DONE ? SQLITE_OK : stepped;
}

int SpoolFile::save_highest() {
  return statements_.save_highest.bind(1, highest_.message).bind(2, highest_.flow).run();
}

// Takes the blocks that the database will grow into from the file system before the commit. Then a checkpoint
// finds room on a full disk, and after it the WAL is free for removals.
int SpoolFile::allocate() {
  const int stepped = statements_.page_count.step();
  const std::int64_t pages = stepped == SQLITE_ROW ? statements_.page_count.number(0) : 0;
  statements_.page_count.reset();
  if (stepped != SQLITE_ROW) return stepped;
  if (pages > pages_allocated_) {
    sqlite3_int64 bytes = pages * page_bytes_;
    const int done = sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    // It asked for nothing but room.
    if (done != SQLITE_OK) return SQLITE_FULL;
  }
  pages_allocated_ = pages;
  return SQLITE_OK;
}

std::optional<Error> SpoolFile::wal_too_large() {
  if (wal_frames_ <= bounds_.wal_frames_max || checkpoint(SQLITE_CHECKPOINT_TRUNCATE)) return std::nullopt;
  return Error{
      Code::kSpoolUnwritable,
      fmt::format("{}-wal has grown to {} MiB, because another process does not end its reading of {}", path_,
                  wal_frames_ * page_bytes_ / (1024 * 1024), path_)};
}

// Returns true if everything is in the database.
bool SpoolFile::checkpoint(int mode) {
  int frames = 0;
  int copied = 0;
  const int done = sqlite3_wal_checkpoint_v2(connection_.get(), "main", mode, &frames, &copied);
  if (done == SQLITE_OK && frames >= 0) wal_frames_ = frames;
  checkpointed_frames_ = wal_frames_;
  has_shrunk_ = false;
  return done == SQLITE_OK && copied == frames;
}

void SpoolFile::checkpoint_if_due() {
  if (wal_frames_ < checkpointed_frames_) checkpointed_frames_ = 0;  // the WAL began anew
  if (wal_frames_ - checkpointed_frames_ >= bounds_.checkpoint_frames) checkpoint(SQLITE_CHECKPOINT_PASSIVE);
}

bool SpoolFile::shrink() {
  const bool known = statements_.free_pages.step() == SQLITE_ROW;
  const std::int64_t free = known ? statements_.free_pages.number(0) : 0;
  statements_.free_pages.reset();
  const bool shrunk = free > bounds_.free_pages_kept && execute(connection_.get(), kShrinkStep) == SQLITE_OK;
  if (shrunk) {
    pages_allocated_ = 0;
    has_shrunk_ = true;
    checkpoint_if_due();
  } else if (has_shrunk_) {
    checkpoint(SQLITE_CHECKPOINT_PASSIVE);  // it cuts off the end of the file
  }
  return shrunk;
}

}  // namespace sallyport::net
