#include "daemon/log_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

namespace sallyport::daemon {
namespace {

TEST(LogWriter, lines_of_several_threads_stay_whole) {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  std::string read;
  std::thread reader([&] {
    std::array<char, 4096> buffer{};
    for (ssize_t size; (size = ::read(pipe[0], buffer.data(), buffer.size())) > 0;) {
      read.append(buffer.data(), static_cast<std::size_t>(size));
    }
  });
  {
    LogWriter log(pipe[1], LogFormat::kText, LogLevel::kInfo);
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kThreads; ++writer) {
      writers.emplace_back([&log, writer] {
        ShardLog shard(log, static_cast<std::size_t>(writer));
        for (int i = 0; i < kLines; ++i) shard.log({LogLevel::kInfo, "line", {{"i", std::to_string(i)}}});
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  ::close(pipe[1]);
  reader.join();
  ::close(pipe[0]);
  // Lines are whole, none is lost, and those of one thread are in order.
  std::map<std::string, int> next;
  std::istringstream lines(read);
  for (std::string line; std::getline(lines, line);) {
    const std::string shard = line.substr(line.find(" shard=") + 7);
    EXPECT_EQ(line.substr(line.find(" info ")),
              " info line i=" + std::to_string(next[shard]++) + " shard=" + shard);
  }
  ASSERT_EQ(next.size(), static_cast<std::size_t>(kThreads));
  for (const auto& [shard, count] : next) EXPECT_EQ(count, kLines) << shard;
}

}  // namespace
}  // namespace sallyport::daemon
