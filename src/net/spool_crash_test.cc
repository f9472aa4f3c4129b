// Spools that end badly: killed, torn, damaged, on a full disk.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <random>

#include "net/descriptor.h"
#include "net/spool.h"
#include "net/spool_fixture.h"

namespace sallyport::net {
namespace {

using SpoolCrashTest = SpoolFolder;

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Executes SQL on a database from outside.
void alter(const std::string& path, const std::string& sql) {
  SqliteConnection connection;
  ASSERT_EQ(open_sqlite(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, 1'000, connection), SQLITE_OK);
  ASSERT_EQ(execute(connection.get(), sql.c_str()), SQLITE_OK) << sqlite3_errmsg(connection.get());
}

TEST_F(SpoolCrashTest, a_torn_wal_opens_with_a_prefix_of_the_batches) {
  open();
  store::SpoolBatch first = messages_of(1, 2);
  first.flows = one_flow().flows;
  ASSERT_TRUE(stores(first));
  open();  // so the flow is in the database
  constexpr std::uint64_t kBatches = 12;
  for (std::uint64_t i = 1; i < kBatches; ++i) ASSERT_TRUE(stores(messages_of(2 * i + 1, 2 * i + 2)));
  const std::string database = bytes_of(path_);
  const std::string wal = bytes_of(path_ + "-wal");
  spool_.reset();
  ASSERT_GT(wal.size(), 12U * 8'192U);

  path_ = folder_ + "/torn.db";
  for (const bool overwritten : {false, true}) {
    std::uint64_t before = 0;
    for (std::size_t cut = 0; cut <= wal.size();
         cut += cut == wal.size() ? 1 : std::min<std::size_t>(2'749, wal.size() - cut)) {
      SCOPED_TRACE(testing::Message() << cut << (overwritten ? " overwritten" : " cut"));
      write_bytes(path_, database);
      write_bytes(path_ + "-wal",
                  wal.substr(0, cut) + (overwritten ? std::string(wal.size() - cut, '\x5a') : ""));
      std::filesystem::remove(path_ + "-shm");
      open();
      const std::uint64_t count = spool_->contents().last_message;
      EXPECT_EQ(stored_numbers(), range(1, count));
      EXPECT_EQ(count % 2, 0U);
      EXPECT_GE(count, before);
      EXPECT_TRUE(stores(messages_of(count + 1, count + 2)));
      before = count;
      spool_.reset();
    }
    EXPECT_EQ(before, 2 * kBatches);
  }
}

// What is stored after so many batches of `write_for_ever`: batch b adds the messages 3b+1 to 3b+3, and
// removes the first of the batch before.
std::vector<std::uint64_t> stored_after(std::uint64_t batches) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t b = 0; b < batches; ++b) {
    if (b + 1 == batches) numbers.push_back(3 * b + 1);
    numbers.insert(numbers.end(), {3 * b + 2, 3 * b + 3});
  }
  return numbers;
}

// Writes the count of all batches that are answered to the pipe after each.
[[noreturn]] void write_for_ever(const std::string& path, int pipe) {
  // Checkpoints are frequent, so that some are interrupted.
  Result<std::unique_ptr<Spool>> spool = Spool::open(path, {16, 65'536, 0});
  if (!spool) ::_exit(1);
  asio::io_context io{1};
  const auto work = asio::make_work_guard(io);
  std::uint64_t answered = (*spool)->contents().last_message / 3;
  for (std::uint64_t given = answered;; io.run_one()) {
    for (; given < answered + 3; ++given) {
      store::SpoolBatch batch = messages_of(3 * given + 1, 3 * given + 3, 700);
      if (given == 0) batch.flows = one_flow().flows;
      if (given > 0) batch.removed = {3 * given - 2};
      (*spool)->run(std::move(batch), io.get_executor(), [&, pipe](const store::SpoolAnswer& answer) {
        ++answered;
        if (!answer.stored || ::write(pipe, &answered, sizeof answered) != sizeof answered) ::_exit(1);
      });
    }
  }
}

TEST_F(SpoolCrashTest, a_killed_process_loses_nothing_that_was_answered) {
  std::mt19937 random(1);
  std::uint64_t stored = 0;
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      write_for_ever(path_, ends[1]);
    }
    ::close(ends[1]);
    const Descriptor reports(ends[0]);
    std::uint64_t answered = stored;
    for (unsigned wanted = random() % 60; wanted > 0; --wanted) {
      ASSERT_EQ(::read(reports.get(), &answered, sizeof answered), static_cast<ssize_t>(sizeof answered));
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    while (::read(reports.get(), &answered, sizeof answered) > 0) {
    }
    // A process that was killed at once may not have made the file.
    open();
    stored = spool_->contents().last_message / 3;
    EXPECT_GE(stored, answered);
    EXPECT_LE(stored, answered + 6);
    EXPECT_EQ(stored_numbers(), stored_after(stored));
    spool_.reset();
  }
  EXPECT_GT(stored, 200U);
}

// A folder in which only so many bytes can be written, until `make_room`.
class FullDisk {
 public:
  virtual ~FullDisk() = default;
  virtual bool begin(const std::string& folder) = 0;
  virtual void make_room() = 0;
};

class SmallMount : public FullDisk {
 public:
  ~SmallMount() override {
    if (!folder_.empty()) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  bool begin(const std::string& folder) override {
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=4m,mode=700") != 0) return false;
    folder_ = folder;
    return true;
  }
  void make_room() override {
    ASSERT_EQ(::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, "size=12m"), 0);
  }

 private:
  std::string folder_;
};

// Each file ends there.
class SmallFiles : public FullDisk {
 public:
  SmallFiles() {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~SmallFiles() override {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  bool begin(const std::string&) override {
    rlimit small = before_;
    small.rlim_cur = 2'500'000;
    return ::setrlimit(RLIMIT_FSIZE, &small) == 0;
  }
  void make_room() override { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

class SpoolOnFullDiskTest : public SpoolFolder {
 protected:
  // `checkpoint_frames`: how large the WAL becomes beside the database.
  void fill_and_empty(FullDisk& disk, int checkpoint_frames) {
    open({checkpoint_frames, 65'536, 2'048});
    ASSERT_TRUE(stores(one_flow()));
    std::uint64_t last = 0;
    store::SpoolAnswer answer;
    for (; (answer = run(messages_of(last + 1, last + 50, 1'000))).stored; last += 50)
      ASSERT_LT(last, 10'000U);
    ASSERT_GT(last, 500U);
    EXPECT_EQ(answer.stored.error().code, Code::kSpoolUnwritable);
    EXPECT_NE(answer.stored.error().text.find(path_), std::string::npos);
    EXPECT_EQ(answer.stored.error().text.find("not an error"), std::string::npos)
        << answer.stored.error().text;
    EXPECT_FALSE(stores(messages_of(last + 1, last + 50, 1'000)));
    EXPECT_EQ(stored_numbers(), range(1, last));
    // Reading and removing need no room, and what is removed makes room.
    EXPECT_TRUE(run({{}, {}, {}, {}, {{1, 1, 10, 100'000}}}).stored);
    ASSERT_TRUE(stores(removal_of(1, 200)));
    EXPECT_TRUE(stores(messages_of(last + 1, last + 50, 1'000)));
    EXPECT_EQ(stored_numbers(), range(201, last + 50));
    std::uint64_t full = last + 50;
    while (stores(messages_of(full + 1, full + 50, 1'000))) full += 50;
    disk.make_room();
    EXPECT_TRUE(stores(messages_of(full + 1, full + 1'000, 1'000)));
    open();
    EXPECT_EQ(stored_numbers(), range(201, full + 1'000));
    spool_.reset();
  }
};

TEST_F(SpoolOnFullDiskTest, a_full_file_system_fails_batches_until_there_is_room) {
  for (int checkpoint_frames : {16, 10'000}) {
    SCOPED_TRACE(checkpoint_frames);
    SmallMount disk;
    if (!disk.begin(folder_)) GTEST_SKIP() << "mounting a small file system: " << std::strerror(errno);
    fill_and_empty(disk, checkpoint_frames);
  }
}

TEST_F(SpoolOnFullDiskTest, a_limit_of_the_size_of_files_fails_batches_until_it_is_raised) {
  for (int checkpoint_frames : {16, 10'000}) {
    SCOPED_TRACE(checkpoint_frames);
    SmallFiles disk;
    ASSERT_TRUE(disk.begin(folder_));
    fill_and_empty(disk, checkpoint_frames);
    std::filesystem::remove(path_);
  }
}

TEST_F(SpoolCrashTest, a_file_that_is_not_a_sound_spool_of_this_version_is_refused) {
  struct Row {
    const char* what;
    Code code;
    std::function<void(const std::string&)> spoil;
  } rows[] = {
      {"text", Code::kSpoolCorrupt,
       [](const std::string& path) { write_bytes(path, std::string(9'000, 't')); }},
      {"another program's", Code::kSpoolCorrupt,
       [](const std::string& path) {
         std::filesystem::remove(path);
         alter(path, "CREATE TABLE t (a)");
       }},
      {"damaged pages", Code::kSpoolCorrupt,
       [](const std::string& path) {
         std::string bytes = bytes_of(path);
         for (std::size_t at = 4'096 * 5; at < bytes.size(); at += 3) bytes[at] = '\x77';
         write_bytes(path, bytes);
       }},
      {"half of it", Code::kSpoolCorrupt,
       [](const std::string& path) { std::filesystem::resize_file(path, 4'096 * 8); }},
      {"not a domain", Code::kSpoolCorrupt,
       [](const std::string& path) { alter(path, "UPDATE flow SET remote = 'not a domain'"); }},
      {"no flow", Code::kSpoolCorrupt, [](const std::string& path) { alter(path, "DELETE FROM flow"); }},
      {"no highest numbers", Code::kSpoolCorrupt,
       [](const std::string& path) { alter(path, "DELETE FROM highest"); }},
      {"no version", Code::kSpoolCorrupt,
       [](const std::string& path) { alter(path, "PRAGMA user_version = 0"); }},
      {"a newer version", Code::kSpoolVersion,
       [](const std::string& path) { alter(path, "PRAGMA user_version = 2"); }},
      {"a folder", Code::kFileUnreadable,
       [](const std::string& path) {
         std::filesystem::remove(path);
         std::filesystem::create_directory(path);
       }},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    std::filesystem::remove_all(path_);
    open();
    ASSERT_TRUE(stores(one_flow()));
    ASSERT_TRUE(stores(messages_of(1, 200, 500)));
    spool_.reset();
    row.spoil(path_);
    const auto opened = Spool::open(path_);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, row.code) << opened.error().text;
    EXPECT_EQ(opened.error().text.find(path_ + ": "), 0U) << opened.error().text;
    // Nothing is wrong with a file that took its place.
    std::filesystem::remove_all(path_);
    open();
    spool_.reset();
  }
}

TEST_F(SpoolCrashTest, a_list_refuses_what_is_absent_newer_or_not_a_spool) {
  struct Row {
    const char* name;
    Code code;
  } rows[] = {
      {"absent", Code::kFileUnreadable}, {"newer", Code::kSpoolVersion}, {"text", Code::kSpoolCorrupt}};
  open();
  spool_.reset();
  std::filesystem::copy_file(path_, folder_ + "/newer");
  alter(folder_ + "/newer", "PRAGMA user_version = 2");
  write_bytes(folder_ + "/text", std::string(9'000, 't'));
  for (const Row& row : rows) {
    const auto found = Spool::list(folder_ + "/" + row.name, {10});
    ASSERT_FALSE(found) << row.name;
    EXPECT_EQ(found.error().code, row.code) << found.error().text;
    EXPECT_NE(found.error().text.find(row.name), std::string::npos);
  }
}

TEST_F(SpoolCrashTest, a_spool_needs_a_folder_and_permission) {
  const auto without = Spool::open(folder_ + "/absent/spool.db");
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, Code::kFileUnreadable);

  const bool root = ::geteuid() == 0;
  ASSERT_TRUE(!root || ::seteuid(65'534) == 0);
  if (!root) std::filesystem::permissions(folder_, std::filesystem::perms::owner_read);
  const auto denied = Spool::open(path_);
  const auto list = Spool::list(path_, {10});
  ASSERT_TRUE(!root || ::seteuid(0) == 0);
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Code::kFileDenied) << denied.error().text;
  ASSERT_FALSE(list);
}

// --- how large the files grow

TEST_F(SpoolCrashTest, the_wal_begins_anew_after_a_checkpoint) {
  open({16, 65'536, 2'048});
  ASSERT_TRUE(stores(one_flow()));
  for (std::uint64_t i = 1; i <= 200; ++i) ASSERT_TRUE(stores(messages_of(i, i, 1'000)));
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), 40U * 8'216U);
}

TEST_F(SpoolCrashTest, a_reader_that_stays_bounds_the_messages_but_not_removals) {
  open({16, 64, 2'048});
  ASSERT_TRUE(stores(one_flow()));
  ASSERT_TRUE(stores(messages_of(1, 1)));
  SqliteConnection reader;
  ASSERT_EQ(open_sqlite(path_, SQLITE_OPEN_READONLY, 0, reader), SQLITE_OK);
  std::int64_t count = 0;
  ASSERT_EQ(execute(reader.get(), "BEGIN"), SQLITE_OK);
  ASSERT_EQ(ask(reader.get(), "SELECT count(*) FROM message", count), SQLITE_OK);

  std::uint64_t last = 1;
  store::SpoolAnswer answer;
  for (; (answer = run(messages_of(last + 1, last + 1))).stored; ++last) ASSERT_LT(last, 1'000U);
  EXPECT_EQ(answer.stored.error().code, Code::kSpoolUnwritable);
  EXPECT_NE(answer.stored.error().text.find(path_ + "-wal"), std::string::npos);
  EXPECT_TRUE(stores(removal_of(1, 5)));
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), 80U * 8'216U);

  ASSERT_EQ(execute(reader.get(), "COMMIT"), SQLITE_OK);
  EXPECT_TRUE(stores(messages_of(last + 1, last + 1)));
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), 40U * 8'216U);
  EXPECT_EQ(stored_numbers(), range(6, last + 1));
}

TEST_F(SpoolCrashTest, idle_time_returns_the_room_of_a_backlog) {
  Result<std::unique_ptr<SpoolFile>> file = SpoolFile::open(path_, {64, 65'536, 16});
  ASSERT_TRUE(file) << file.error().text;
  ASSERT_TRUE((*file)->contents());
  const auto stores_in = [&](const store::SpoolBatch& batch) {
    const auto answers = (*file)->carry_out({&batch});
    (*file)->checkpoint_if_due();
    return bool(answers.front().stored);
  };
  ASSERT_TRUE(stores_in(one_flow()));
  ASSERT_TRUE(stores_in(messages_of(1, 8'000, 1'000)));
  EXPECT_GT(std::filesystem::file_size(path_), 8'000'000U);
  EXPECT_FALSE((*file)->shrink());
  ASSERT_TRUE(stores_in(removal_of(1, 7'990)));
  int steps = 0;
  while ((*file)->shrink()) ++steps;
  EXPECT_GT(steps, 5);
  EXPECT_LE(std::filesystem::file_size(path_), 1024U * 1024U);
  EXPECT_EQ(stored_numbers(), range(7'991, 8'000));
  EXPECT_TRUE(stores_in(messages_of(8'001, 12'000, 1'000)));
}

}  // namespace
}  // namespace sallyport::net
