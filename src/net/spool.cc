#include "net/spool.h"

#include <cerrno>
#include <chrono>
#include <limits>

#include <fmt/format.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/signals.h"
#include "net/spool_schema.h"

namespace sallyport::net {

namespace {

constexpr int kReaderBusyMs = 5'000;
// Without batches for so long, the thread returns free pages to the file system.
constexpr std::chrono::milliseconds kIdle{1'000};
// Between two steps of that.
constexpr std::chrono::milliseconds kPause{10};

// What a batch takes in a group.
struct Weight {
  std::size_t rows = 0;
  std::size_t bytes = 0;
};

void weigh(const store::SpoolBatch& batch, Weight& sum) {
  sum.rows += batch.messages.size() + batch.removed.size();
  for (const store::StoredMessage& message : batch.messages) sum.bytes += message.xml.size();
  for (const store::SpoolRead& read : batch.reads) sum.bytes += read.bytes;
}

constexpr std::string_view kListed =
    "SELECT m.number, f.direction, f.local, f.remote, m.accepted, m.xml "
    "FROM message AS m JOIN flow AS f ON f.number = m.flow ";
// The sorter gets the numbers alone, not the stanzas.
constexpr std::string_view kOfRemote =
    "WHERE m.number IN (SELECT number FROM message WHERE flow IN (SELECT number FROM flow WHERE remote = ?1) "
    "AND number BETWEEN ?2 AND ?3";
constexpr std::string_view kOfAll = "WHERE m.number BETWEEN ?2 AND ?3";
// Only where it is asked for: it reads each message's row, and not the index alone.
constexpr std::string_view kAccepted = " AND accepted < ?5";
constexpr std::string_view kFirstOfRemote = " ORDER BY number LIMIT ?4) ORDER BY m.number";
constexpr std::string_view kFirstOfAll = " ORDER BY m.number LIMIT ?4";

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::string& path, const SpoolBounds& bounds) {
  Result<std::unique_ptr<SpoolFile>> file = SpoolFile::open(path, bounds);
  if (!file) return file.error();
  Result<store::SpoolContents> contents = (*file)->contents();
  if (!contents) return contents.error();
  return std::unique_ptr<Spool>(new Spool(std::move(*file), std::move(*contents)));
}

Spool::Spool(std::unique_ptr<SpoolFile> file, store::SpoolContents contents)
    : file_(std::move(file)), contents_(std::move(contents)), thread_([this] { work(); }) {}

Spool::~Spool() { stop(); }

void Spool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  file_.reset();
}

void Spool::add(std::unique_ptr<Task> task) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      waiting_.push_back(std::move(task));
      changed_.notify_one();
      return;
    }
  }
  store::SpoolAnswer refused{Error{Code::kSpoolUnwritable, "the spool is closed"}};
  for (const store::SpoolRead& read : task->batch->reads) refused.rows.push_back({read, {}});
  task->answer(std::move(refused));
}

void Spool::work() {
  block_signals();
  std::optional<std::chrono::milliseconds> patience;
  while (std::optional<Group> group = next(patience)) {
    patience.reset();
    if (!group->empty()) {
      carry_out(*group);
      patience = kIdle;
    } else if (file_->shrink()) {
      patience = kPause;
    }
  }
}

void Spool::carry_out(const Group& group) {
  std::vector<const store::SpoolBatch*> batches;
  batches.reserve(group.size());
  for (const std::unique_ptr<Task>& task : group) batches.push_back(task->batch.get());
  std::vector<store::SpoolAnswer> answers = file_->carry_out(batches);
  for (std::size_t i = 0; i < group.size(); ++i) group[i]->answer(std::move(answers[i]));
  file_->checkpoint_if_due();
}

// Waits for batches and takes as many as one transaction should have. Returns an empty group when there was
// none for so long, and nothing at the end.
std::optional<Spool::Group> Spool::next(std::optional<std::chrono::milliseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto something = [&] { return stopping_ || !waiting_.empty(); };
  if (patience) {
    changed_.wait_for(lock, *patience, something);
  } else {
    changed_.wait(lock, something);
  }
  if (stopping_ && waiting_.empty()) return std::nullopt;
  Group group;
  for (Weight sum; !waiting_.empty();) {
    weigh(*waiting_.front()->batch, sum);
    const bool full = sum.rows > limits::kSpoolBatchMessages || sum.bytes > limits::kSpoolBatchBytes;
    if (full && !group.empty()) break;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

Result<std::vector<SpooledMessage>> Spool::list(const std::string& path, const SpoolFilter& filter) {
  std::vector<SpooledMessage> found;
  const auto take = [&](SpooledMessage message) { found.push_back(std::move(message)); };
  if (Result<void> listed = list(path, filter, take); !listed) return listed.error();
  return found;
}

Result<void> Spool::list(const std::string& path, const SpoolFilter& filter,
                         const std::function<void(SpooledMessage)>& take) {
  SqliteConnection connection;
  if (::access(path.c_str(), R_OK) != 0) return spool_file_error(path, errno);
  if (open_sqlite(path, SQLITE_OPEN_READONLY, kReaderBusyMs, connection) != SQLITE_OK) {
    return spool_error(path, connection.get());
  }
  if (Result<void> checked = check_spool_version(path, connection.get()); !checked) return checked.error();
  const std::string sql =
      fmt::format("{}{}{}{}", kListed, filter.remote ? kOfRemote : kOfAll,
                  filter.accepted_before ? kAccepted : "", filter.remote ? kFirstOfRemote : kFirstOfAll);
  Statement rows(connection.get(), sql);
  if (filter.remote) rows.bind_text(1, filter.remote->ascii());
  rows.bind(2, filter.number.value_or(0))
      .bind(3, filter.number ? static_cast<std::int64_t>(*filter.number)
                             : std::numeric_limits<std::int64_t>::max())
      .bind(4, std::uint64_t{filter.count});
  if (filter.accepted_before) rows.bind(5, std::int64_t{filter.accepted_before->time_since_epoch().count()});
  int stepped = SQLITE_OK;
  while ((stepped = rows.step()) == SQLITE_ROW) {
    Result<store::Flow> flow = spool_flow(path, rows.bytes(1), rows.bytes(2), rows.bytes(3));
    if (!flow) return flow.error();
    take({rows.unsigned_number(0), std::move(*flow), UnixTime(std::chrono::seconds(rows.number(4))),
          std::string(rows.bytes(5))});
  }
  if (stepped != SQLITE_DONE) return spool_error(path, connection.get());
  return {};
}

}  // namespace sallyport::net
