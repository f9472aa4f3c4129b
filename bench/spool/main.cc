// sallyport-spool: how many messages a second the spool makes durable, appended in one batch and removed in a
// later one, beside a file that only grows. Each case prints a line of JSON.
//
//   sallyport-spool FOLDER [SECONDS]     makes its files in FOLDER, on the disk to be measured
//   sallyport-spool FOLDER open COUNT    the time to open a spool of COUNT messages of 400 bytes
//   sallyport-spool FOLDER case spool|file BATCH IN_FLIGHT SECONDS     one case, for bench/disk
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <boost/asio/io_context.hpp>

#include "net/descriptor.h"
#include "net/spool.h"

namespace {

using namespace sallyport;

struct Case {
  std::size_t bytes;      // of a stanza
  std::size_t batch;      // messages
  std::size_t in_flight;  // batches
  std::size_t flows;
  std::size_t backlog;  // messages that stay
};

constexpr Case kCases[] = {
    {400, 1, 1, 1, 0},      {400, 1, 256, 100, 0},    {400, 64, 1, 1, 0},     {400, 64, 4, 1, 0},
    {400, 64, 4, 100, 0},   {400, 1024, 2, 1, 0},     {400, 1024, 2, 100, 0}, {400, 1024, 2, 100, 200'000},
    {2'000, 1, 1, 1, 0},    {2'000, 1, 256, 100, 0},  {2'000, 64, 4, 1, 0},   {2'000, 64, 4, 100, 0},
    {2'000, 1024, 2, 1, 0}, {2'000, 1024, 2, 100, 0},
};

double wall_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_s() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

class Queue {
 public:
  Queue(const std::string& path, const Case& what) : what_(what), text_(what.bytes, 'x') {
    Result<std::unique_ptr<net::Spool>> opened = net::Spool::open(path);
    if (!opened) fail(opened.error().text);
    spool_ = std::move(*opened);
    store::SpoolBatch flows;
    for (std::size_t i = 1; i <= what.flows; ++i) {
      const xmpp::Domain remote = *xmpp::Domain::parse("r" + std::to_string(i) + ".outside.example");
      flows.flows.push_back(
          {i, {policy::Direction::kOut, {*xmpp::Domain::parse("l.inside.example"), remote}}});
    }
    run(std::move(flows));
    while (accepted_.size() < what.backlog) step(1'024, false);
    drain(0);
  }

  // Appends `count` messages and removes as many of the oldest that are on disk.
  void step(std::size_t count, bool remove) {
    store::SpoolBatch batch;
    const std::uint64_t first = next_;
    batch.messages.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      batch.messages.push_back({next_, 1 + next_ % what_.flows, UnixTime(std::chrono::seconds(1)), text_});
      ++next_;
    }
    while (remove && batch.removed.size() < count && accepted_.size() > what_.backlog) {
      batch.removed.push_back(accepted_.front());
      accepted_.pop_front();
    }
    run(std::move(batch), first, count);
    drain(what_.in_flight - 1);
  }

  void drain(std::size_t in_flight) {
    while (in_flight_ > in_flight) {
      io_.restart();
      const auto work = net::asio::make_work_guard(io_);
      io_.run_one();
    }
  }

 private:
  void run(store::SpoolBatch batch, std::uint64_t first = 0, std::size_t count = 0) {
    ++in_flight_;
    spool_->run(std::move(batch), io_.get_executor(), [this, first, count](const store::SpoolAnswer& answer) {
      if (!answer.stored) fail(answer.stored.error().text);
      for (std::size_t i = 0; i < count; ++i) accepted_.push_back(first + i);
      --in_flight_;
    });
  }

  Case what_;
  std::string text_;
  net::asio::io_context io_{1};  // outlives the spool
  std::unique_ptr<net::Spool> spool_;
  std::deque<std::uint64_t> accepted_;
  std::uint64_t next_ = 1;
  std::size_t in_flight_ = 0;
};

void remove_spool(const std::string& path) {
  for (const char* end : {"", "-wal", "-shm", "-lock"}) std::filesystem::remove(path + end);
}

void print(const char* what, const Case& of, std::size_t messages, double wall, double cpu) {
  const auto count = static_cast<double>(messages);
  std::printf(
      "{\"store\": \"%s\", \"bytes\": %zu, \"batch\": %zu, \"in_flight\": %zu, \"flows\": %zu, \"backlog\": "
      "%zu, "
      "\"messages_per_s\": %.0f, \"cpu_us_per_message\": %.2f}\n",
      what, of.bytes, of.batch, of.in_flight, of.flows, of.backlog, count / wall, 1e6 * cpu / count);
  std::fflush(stdout);
}

void measure_spool(const std::string& folder, const Case& what, double seconds) {
  const std::string path = folder + "/bench-spool.db";
  remove_spool(path);
  {
    Queue queue(path, what);
    for (int i = 0; i < 8; ++i) queue.step(what.batch, true);
    std::size_t messages = 0;
    const double cpu = cpu_s();
    const double begin = wall_s();
    while (wall_s() - begin < seconds) {
      queue.step(what.batch, true);
      messages += what.batch;
    }
    queue.drain(0);
    print("spool", what, messages, wall_s() - begin, cpu_s() - cpu);
  }
  remove_spool(path);
}

// What the disk allows: one write(2) and one fdatasync(2) for a batch. Nothing is removed.
void measure_file(const std::string& folder, const Case& what, double seconds) {
  const std::string path = folder + "/bench-spool.log";
  {
    const net::Descriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    const std::string bytes(what.bytes * what.batch, 'x');
    std::size_t messages = 0;
    const double cpu = cpu_s();
    const double begin = wall_s();
    while (wall_s() - begin < seconds) {
      const ssize_t wrote = ::write(file.get(), bytes.data(), bytes.size());
      if (wrote != static_cast<ssize_t>(bytes.size()) || ::fdatasync(file.get()) != 0)
        fail(std::strerror(errno));
      messages += what.batch;
    }
    print("file", what, messages, wall_s() - begin, cpu_s() - cpu);
  }
  std::filesystem::remove(path);
}

void measure_open(const std::string& folder, std::size_t count) {
  const std::string path = folder + "/bench-spool.db";
  remove_spool(path);
  { Queue queue(path, {400, 1'024, 4, 100, count}); }
  const double megabytes = static_cast<double>(std::filesystem::file_size(path)) / 1e6;
  const double begin = wall_s();
  const Result<std::unique_ptr<net::Spool>> opened = net::Spool::open(path);
  if (!opened) fail(opened.error().text);
  std::printf("{\"open\": %zu, \"megabytes\": %.0f, \"seconds\": %.2f}\n", count, megabytes,
              wall_s() - begin);
  remove_spool(path);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const auto number = [](std::string_view word) {
    std::size_t value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value);
    return value;
  };
  if (words.size() == 3 && words[1] == "open" && number(words[2]) > 0) {
    measure_open(argv[1], number(words[2]));
    return 0;
  }
  if (words.size() == 6 && words[1] == "case" && number(words[3]) > 0 && number(words[4]) > 0 &&
      number(words[5]) > 0) {
    const Case one{400, number(words[3]), number(words[4]), 1, 0};
    const auto measure = words[2] == "file" ? measure_file : measure_spool;
    measure(argv[1], one, static_cast<double>(number(words[5])));
    return 0;
  }
  const std::size_t seconds = words.size() == 2 ? number(words[1]) : 3;
  if (words.empty() || words.size() > 2 || seconds == 0) {
    std::fprintf(
        stderr,
        "usage: sallyport-spool FOLDER [SECONDS | open COUNT | case STORE BATCH IN_FLIGHT SECONDS]\n");
    return 2;
  }
  for (const Case& what : kCases) {
    measure_spool(argv[1], what, static_cast<double>(seconds));
    if (what.in_flight == 1 || what.flows == 1) measure_file(argv[1], what, static_cast<double>(seconds));
  }
  return 0;
}
