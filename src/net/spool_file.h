// The file of a spool: one SQLite database in WAL mode, with one writer. Used by one thread at a time.
//
// A commit is on disk when it returns (synchronous = FULL). PATH-lock is locked (flock) for as long as the
// file is open, so that a second core with the same state fails; readers with connections of their own are
// not kept out. No database is opened that is damaged, newer, or not a spool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"
#include "net/sqlite.h"
#include "store/spool.h"

namespace sallyport::net {

// How large the files may grow beyond what is stored; pages have 8 KiB, frames of the WAL hold one each.
struct SpoolBounds {
  // A checkpoint copies so many frames at least. A page that changed often is copied once.
  int checkpoint_frames = 2'048;
  // A reader that does not end keeps SQLite from starting the WAL anew. Above this, messages are rejected.
  int wal_frames_max = 65'536;
  // Free pages stay in the file for the next messages up to this number; idle time returns the others.
  std::int64_t free_pages_kept = 2'048;
};

class SpoolFile {
 public:
  // Opens or makes the database, with mode 0600, in a folder that exists. Errors: kFileDenied,
  // kFileUnreadable, kSpoolBusy, kSpoolVersion, kSpoolCorrupt, kSpoolUnwritable; the text names the path.
  static Result<std::unique_ptr<SpoolFile>> open(const std::string& path, const SpoolBounds& bounds = {});
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  // Makes one flow of those that have the same pair and direction (store::SpoolContents), then reads the
  // whole database. No batch may refer to what it held before. Errors: kSpoolCorrupt; and where flows were to
  // be merged, which needs about as much room as their messages have, kSpoolBusy and kSpoolUnwritable. Then
  // they are as they were.
  Result<store::SpoolContents> contents();

  // Carries the batches out in their order, as one transaction where all succeed, else each alone. Returns an
  // answer for each.
  std::vector<store::SpoolAnswer> carry_out(const std::vector<const store::SpoolBatch*>& batches);

  // Has SQLite copy the WAL into the database where enough has been written. To be called after the answers
  // have been sent, because it takes time.
  void checkpoint_if_due();
  // Returns a few of the free pages to the file system, if there are many. Returns true if there are more.
  bool shrink();

 private:
  SpoolFile(std::string path, const SpoolBounds& bounds) : path_(std::move(path)), bounds_(bounds) {}
  Result<void> lock();
  Result<void> connect();
  Result<void> identify();
  int create_schema();
  Result<void> configure();
  void prepare();
  Result<void> merge_flows();

  using Batches = std::vector<const store::SpoolBatch*>;
  std::optional<Error> attempt(const Batches& batches, std::vector<store::SpoolAnswer>& answers,
                               const std::optional<Error>& no_messages);
  int change(const store::SpoolBatch& batch);
  int read(const store::SpoolRead& read, std::vector<store::StoredMessage>& messages);
  int save_highest();
  int allocate();
  std::optional<Error> wal_too_large();
  bool checkpoint(int mode);

  struct Highest {
    std::uint64_t message = 0;
    std::uint64_t flow = 0;
    bool operator==(const Highest&) const = default;
  };
  struct Statements {
    Statement begin, begin_immediate, commit, rollback;
    Statement add_flow, add_message, remove, forget, read, save_highest, page_count, free_pages;
  };

  std::string path_;
  SpoolBounds bounds_;
  std::optional<Descriptor> lock_;
  SqliteConnection connection_;  // closed before the lock is released
  Statements statements_;
  Highest highest_;  // the highest numbers ever stored
  std::int64_t page_bytes_ = 0;
  std::int64_t pages_allocated_ = 0;
  int wal_frames_ = 0;           // in the WAL after the last commit
  int checkpointed_frames_ = 0;  // of these, at the last checkpoint
  bool has_shrunk_ = false;      // since the last checkpoint
};

}  // namespace sallyport::net
