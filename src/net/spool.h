// The spool: messages that wait for delivery, in an SQLite database (docs/delivery.md). The vocabulary is
// that of store/spool.h.
//
// A spool has a thread of its own, because a commit waits for the disk. Batches that wait meanwhile are
// committed together; each gets its own answer, after its changes are on disk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

#include "base/result.h"
#include "net/spool_file.h"
#include "store/spool.h"

namespace sallyport::net {

namespace asio = boost::asio;

// A message as `sallyport queue` shows it.
struct SpooledMessage {
  std::uint64_t number = 0;
  store::Flow flow;
  UnixTime accepted{};
  std::string xml;
};

// The first `count` messages, in the order of their numbers, that match everything else.
struct SpoolFilter {
  std::size_t count = 0;
  std::optional<xmpp::Domain> remote{};
  std::optional<std::uint64_t> number{};
  std::optional<UnixTime> accepted_before{};
};

class Spool {
 public:
  // Opens or makes the database, in a folder that exists. Reads all of it, which takes seconds where it has
  // gigabytes. The last lines of a WAL that a crash tore are not an error: they were not acknowledged.
  // Errors, with the path: kFileDenied, kFileUnreadable; kSpoolBusy (another process has it open to write);
  // kSpoolVersion; kSpoolCorrupt; kSpoolUnwritable.
  static Result<std::unique_ptr<Spool>> open(const std::string& path, const SpoolBounds& bounds = {});
  // As `stop`.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // What the spool held when it was opened.
  const store::SpoolContents& contents() const { return contents_; }

  // Carries out the batch, then calls `done` with the store::SpoolAnswer on `loop`. Batches are carried out
  // in the order of the calls. May be called from any thread. After `stop` the answer is kSpoolUnwritable.
  template <typename Done>
  void run(std::shared_ptr<const store::SpoolBatch> batch, asio::any_io_executor loop, Done done) {
    add(std::make_unique<TaskFor<Done>>(std::move(batch), std::move(loop), std::move(done)));
  }

  template <typename Done>
  void run(store::SpoolBatch batch, asio::any_io_executor loop, Done done) {
    run(std::make_shared<const store::SpoolBatch>(std::move(batch)), std::move(loop), std::move(done));
  }

  // Finishes what was given, and closes the database. Posted `done` calls stay posted.
  void stop();

  // Reads messages of a spool that this or another process may have open. Blocks; may be called from any
  // thread. Errors: as `open`, but not that it is busy with writing.
  static Result<std::vector<SpooledMessage>> list(const std::string& path, const SpoolFilter& filter);
  // The same, one message after the other: many may be larger than memory.
  static Result<void> list(const std::string& path, const SpoolFilter& filter,
                           const std::function<void(SpooledMessage)>& take);

 private:
  struct Task {
    Task(std::shared_ptr<const store::SpoolBatch> changes, asio::any_io_executor where)
        : batch(std::move(changes)), loop(std::move(where)) {}
    virtual ~Task() = default;
    virtual void answer(store::SpoolAnswer answer) = 0;
    std::shared_ptr<const store::SpoolBatch> batch;
    asio::any_io_executor loop;
  };
  template <typename Done>
  struct TaskFor : Task {
    TaskFor(std::shared_ptr<const store::SpoolBatch> changes, asio::any_io_executor where, Done then)
        : Task(std::move(changes), std::move(where)), done(std::move(then)) {}
    void answer(store::SpoolAnswer answer) override {
      asio::post(loop,
                 [answer = std::move(answer), done = std::move(done)]() mutable { done(std::move(answer)); });
    }
    Done done;
  };
  using Group = std::vector<std::unique_ptr<Task>>;

  Spool(std::unique_ptr<SpoolFile> file, store::SpoolContents contents);
  void add(std::unique_ptr<Task> task);
  void work();
  std::optional<Group> next(std::optional<std::chrono::milliseconds> patience);
  void carry_out(const Group& group);

  std::unique_ptr<SpoolFile> file_;  // used by the thread alone
  store::SpoolContents contents_;
  std::mutex mutex_;  // of the members below
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Task>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sallyport::net
