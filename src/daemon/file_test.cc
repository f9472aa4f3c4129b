#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <utility>

#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/log_writer.h"
#include "daemon/state.h"

namespace sallyport::daemon {
namespace {

class Folder : public testing::Test {
 protected:
  Folder() {
    char name[] = "/tmp/sallyport-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() override { std::filesystem::remove_all(path_); }
  std::string at(const std::string& name) const { return path_ + "/" + name; }
  static unsigned mode(const std::string& path) {
    struct stat about {};
    EXPECT_EQ(::stat(path.c_str(), &about), 0);
    return about.st_mode & 0777;
  }
  std::string path_;
};

struct Counting : Random {
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next++;
  }
  std::uint8_t next = 1;
};

using Files = Folder;
using State = Folder;

TEST_F(Files, a_new_file_has_its_bytes_and_its_mode_and_is_never_overwritten) {
  ASSERT_TRUE(write_new_file(at("a"), "one", 0640));
  EXPECT_EQ(*read_file(at("a")), "one");
  EXPECT_EQ(mode(at("a")), 0640u);
  EXPECT_FALSE(write_new_file(at("a"), "two", 0640));
  EXPECT_EQ(*read_file(at("a")), "one");
}

TEST_F(Files, a_replaced_file_is_whole_and_leaves_nothing_beside_it) {
  ASSERT_TRUE(replace_file(at("a"), "one", 0600));
  ASSERT_TRUE(replace_file(at("a"), "two", 0600));
  EXPECT_EQ(*read_file(at("a")), "two");
  EXPECT_EQ(*list_directory(path_), std::vector<std::string>{"a"});
}

TEST_F(Files, a_rewritten_file_keeps_its_mode_and_owner_and_stays_where_links_lead) {
  ASSERT_TRUE(write_new_file(at("real"), "one", 0640));
  std::filesystem::create_symlink("real", at("link"));
  if (::getuid() == 0) {
    ASSERT_EQ(::chown(at("real").c_str(), 1, 2), 0);
  }
  ASSERT_TRUE(rewrite_file(at("link"), "two"));
  EXPECT_EQ(*read_file(at("real")), "two");
  EXPECT_TRUE(std::filesystem::is_symlink(at("link")));
  struct stat about {};
  ASSERT_EQ(::stat(at("real").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0640u);
  if (::getuid() == 0) {
    EXPECT_EQ(about.st_uid, 1u);
    EXPECT_EQ(about.st_gid, 2u);
  }
  EXPECT_EQ(*list_directory(path_), (std::vector<std::string>{"link", "real"}));
  EXPECT_FALSE(rewrite_file(at("none"), "x"));
}

TEST_F(Files, reading_stops_at_the_limit) {
  ASSERT_TRUE(write_new_file(at("a"), "12345", 0600));
  EXPECT_TRUE(read_file(at("a"), 5));
  EXPECT_FALSE(read_file(at("a"), 4));
  EXPECT_EQ(read_file(at("none")).error().code, Code::kFileUnreadable);
  EXPECT_FALSE(read_file(path_));
}

TEST_F(State, the_dialback_secret_is_made_once_and_only_the_owner_reads_it) {
  Counting random;
  const auto state = StateDirectory::open(at("state"));
  ASSERT_TRUE(state);
  EXPECT_EQ(mode(at("state")), 0700u);
  const auto first = state->dialback_secret("", random);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 64u);
  EXPECT_EQ(mode(at("state/dialback.secret")), 0600u);
  EXPECT_EQ(*state->dialback_secret("", random), *first);
}

TEST_F(State, a_configured_secret_is_never_made_and_must_be_long) {
  Counting random;
  const auto state = StateDirectory::open(at("state"));
  ASSERT_TRUE(state);
  EXPECT_FALSE(state->dialback_secret(at("absent"), random));
  EXPECT_FALSE(file_exists(at("absent")));
  ASSERT_TRUE(write_new_file(at("short"), std::string(31, 'x') + "\n", 0600));
  EXPECT_EQ(state->dialback_secret(at("short"), random).error().code, Code::kFileFormat);
  ASSERT_TRUE(write_new_file(at("long"), std::string(32, 'x') + "\n", 0600));
  EXPECT_EQ(*state->dialback_secret(at("long"), random), std::string(32, 'x'));
}

TEST_F(State, the_generation_grows_only_with_a_change) {
  const auto state = StateDirectory::open(at("state"));
  ASSERT_TRUE(state);
  EXPECT_EQ(*state->generation("a"), 1u);
  EXPECT_EQ(*state->generation("a"), 1u);
  EXPECT_EQ(*state->generation("b"), 2u);
  EXPECT_EQ(*state->generation("a"), 3u);
}

TEST_F(State, a_damaged_generation_is_an_error_not_a_new_beginning) {
  const auto state = StateDirectory::open(at("state"));
  ASSERT_TRUE(state);
  for (const char* damaged : {"", "x", "7", "7 ", "-1 a\n", "7 a"}) {
    ASSERT_TRUE(replace_file(at("state/generation"), damaged, 0600));
    EXPECT_FALSE(state->generation("a")) << damaged;
  }
}

TEST_F(State, a_lost_ca_is_not_replaced) {
  const auto state = StateDirectory::open(at("state"));
  ASSERT_TRUE(state);
  EXPECT_TRUE(may_make_internal_ca(state->path()));
  for (const char* kept : {"generation", "dialback.secret"}) {
    ASSERT_TRUE(write_new_file(at(std::string("state/") + kept), "x", 0600));
    EXPECT_EQ(may_make_internal_ca(state->path()).error().code, Code::kConfigMissing) << kept;
    ASSERT_TRUE(write_new_file(at("state/internal-ca.crt"), "x", 0600));
    EXPECT_TRUE(may_make_internal_ca(state->path()));
    std::filesystem::remove(at("state/internal-ca.crt"));
    std::filesystem::remove(at(std::string("state/") + kept));
  }
}

TEST_F(State, one_core_at_a_time) {
  auto first = StateDirectory::open(at("state"));
  ASSERT_TRUE(first);
  EXPECT_EQ(StateDirectory::open(at("state")).error().code, Code::kConfigConflict);
}

TEST(FileRole, is_told_by_tables) {
  const std::pair<const char*, std::optional<FileRole>> cases[] = {
      {"[edge]\nname='x'\n[[core]]\n", FileRole::kEdge},
      {"# [edge]\n[[edge]]\n[core]\n", FileRole::kCore},
      {"[[core]]\n[[allow]]\ndomain='x'\n", FileRole::kPolicy},
      {"  [ federation ] # x\n", FileRole::kPolicy},
      {"[internal]\n", std::nullopt},
      {"", std::nullopt}};
  for (const auto& [text, role] : cases) EXPECT_EQ(file_role_of(text), role) << text;
}

TEST(Covers, a_wildcard_stands_for_one_label) {
  const auto is = [](const char* name, const char* asked) {
    config::PolicyConfig policy;
    const auto domain = *xmpp::Domain::parse(asked);
    policy.served.push_back({domain, domain, {}, std::nullopt, false, 1});
    return uncovered(policy, {{name}}).empty();
  };
  EXPECT_TRUE(is("example.com", "example.com"));
  EXPECT_TRUE(is("*.example.com", "a.example.com"));
  EXPECT_FALSE(is("*.example.com", "example.com"));
  EXPECT_FALSE(is("*.example.com", "a.b.example.com"));
  EXPECT_FALSE(is("example.com", "a.example.com"));
}

TEST(LogWriter, times_are_utc_with_milliseconds) {
  using namespace std::chrono;
  EXPECT_EQ(log_time(system_clock::time_point(milliseconds(1'795'379'825'123))), "2026-11-22T20:37:05.123Z");
}

TEST(LogWriter, writes_a_line_for_what_is_at_or_above_its_level) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  LogWriter log(pipe[1], LogFormat::kText, LogLevel::kInfo);
  log.log({LogLevel::kDebug, "x.hidden", {}});
  log.log({LogLevel::kInfo, "x.shown", {{"a", "1"}}});
  log.set_level(LogLevel::kError);
  log.log({LogLevel::kWarning, "x.hidden", {}});
  ::close(pipe[1]);
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(pipe[0], text.data(), text.size()))));
  ::close(pipe[0]);
  EXPECT_TRUE(text.ends_with(" info x.shown a=1\n")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

// A pipe that only the test reads.
class LogPipe : public testing::Test {
 protected:
  LogPipe() {
    EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    log_ = std::make_unique<LogWriter>(ends_[1], LogFormat::kText, LogLevel::kInfo);
  }
  ~LogPipe() override {
    log_.reset();
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void say(int lines, std::size_t size = 200) {
    for (int i = 0; i < lines; ++i) log_->log({LogLevel::kInfo, "x.line", {{"a", std::string(size, 'x')}}});
  }
  // Everything that is in the pipe now.
  std::string read() {
    std::string text;
    std::string piece(64 * 1024, '\0');
    for (ssize_t got = 0; (got = ::read(ends_[0], piece.data(), piece.size())) > 0;)
      text.append(piece, 0, static_cast<std::size_t>(got));
    return text;
  }
  // Reads, and logs one more line, until that line arrives.
  std::string read_on() {
    std::string text;
    for (int i = 0; i < 100 && !text.ends_with("info x.last\n"); ++i) {
      log_->log({LogLevel::kInfo, "x.last", {}});
      text += read();
    }
    return text;
  }
  static std::ptrdiff_t count(const std::string& text, std::string_view word) {
    std::ptrdiff_t found = 0;
    for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++found;
    return found;
  }

  int ends_[2]{};
  std::unique_ptr<LogWriter> log_;
};

TEST_F(LogPipe, what_a_slow_reader_has_no_room_for_waits_whole_and_in_order) {
  // 400 kB, where a pipe holds 64 KiB.
  for (int i = 0; i < 1'600; ++i) {
    log_->log({LogLevel::kInfo, "x.line", {{"n", std::to_string(i)}, {"a", std::string(200, 'x')}}});
  }
  const std::string text = read_on();
  std::size_t at = 0;
  for (int i = 0; i < 1'600; ++i) {
    const std::size_t found = text.find(" info x.line n=" + std::to_string(i) + " ", at);
    ASSERT_NE(found, std::string::npos) << i;
    at = found;
  }
  EXPECT_EQ(count(text, "log.lost"), 0);
}

TEST_F(LogPipe, a_reader_that_does_not_read_stops_nothing_and_is_told_once_how_much_it_missed) {
  say(10'000);
  const std::string text = read_on();
  const std::size_t told = text.find(" warning log.lost lines=");
  ASSERT_NE(told, std::string::npos);
  EXPECT_EQ(count(text, "log.lost"), 1);
  const long lost = std::stol(text.substr(told + std::string_view(" warning log.lost lines=").size()));
  EXPECT_GE(lost, 10'000 - count(text, " x.line "));
  EXPECT_GT(count(text, " x.line "), 1'000);
}

TEST_F(LogPipe, a_line_longer_than_the_room_that_is_left_does_not_wait) {
  // The last page of the pipe is nearly full when a line of several pages is logged.
  while (::fcntl(ends_[1], F_GETFL) >= 0) {
    pollfd ready{ends_[1], POLLOUT, 0};
    if (::poll(&ready, 1, 0) != 1) break;
    ASSERT_EQ(::write(ends_[1], std::string(4096, '\n').data(), 4096), 4096);
  }
  char page[4096];
  ASSERT_EQ(::read(ends_[0], page, sizeof page), 4096);
  LogEvent long_one{LogLevel::kInfo, "x.long", {}};
  for (int i = 0; i < 100; ++i) long_one.fields.emplace_back("a", std::string(200, 'y'));
  log_->log(long_one);
  const std::string text = read_on();
  EXPECT_EQ(count(text, "y"), 20'000);
  EXPECT_EQ(count(text, "log.lost"), 0);
}

TEST_F(LogPipe, nobody_at_the_other_end_stops_nothing) {
  ::close(std::exchange(ends_[0], -1));
  std::signal(SIGPIPE, SIG_IGN);
  say(10'000);
}

}  // namespace
}  // namespace sallyport::daemon
