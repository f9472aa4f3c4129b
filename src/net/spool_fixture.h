// Spools for tests, in a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/spool.h"

namespace sallyport::net {

inline store::Flow flow_to(const std::string& remote, policy::Direction direction = policy::Direction::kOut) {
  return {direction, {*xmpp::Domain::parse("inside.example"), *xmpp::Domain::parse(remote)}};
}

inline UnixTime at_second(std::int64_t second) { return UnixTime(std::chrono::seconds(second)); }

// "<message ...>" of exactly `bytes`, which differs from number to number.
inline store::StoredMessage message_of(std::uint64_t number, std::uint64_t flow = 1,
                                       std::size_t bytes = 100) {
  std::string xml = "<message id='" + std::to_string(number) + "'>";
  xml.resize(bytes, 'x');
  return {number, flow, at_second(1'000'000 + static_cast<std::int64_t>(number)), std::move(xml)};
}

inline store::SpoolBatch one_flow() { return {{{1, flow_to("a.example")}}, {}, {}, {}, {}}; }

inline store::SpoolBatch messages_of(std::uint64_t first, std::uint64_t last, std::size_t bytes = 100) {
  store::SpoolBatch batch;
  for (std::uint64_t number = first; number <= last; ++number) {
    batch.messages.push_back(message_of(number, 1, bytes));
  }
  return batch;
}

inline store::SpoolBatch removal_of(std::uint64_t first, std::uint64_t last) {
  store::SpoolBatch batch;
  for (std::uint64_t number = first; number <= last; ++number) batch.removed.push_back(number);
  return batch;
}

class SpoolFolder : public testing::Test {
 protected:
  SpoolFolder() {
    // In memory, where it is there: syncing is quick.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name = std::string(memory ? "/dev/shm" : "/tmp") + "/sallyport-spool-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/spool.db";
  }
  ~SpoolFolder() override {
    spool_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open(const SpoolBounds& bounds = {}) {
    spool_.reset();
    Result<std::unique_ptr<Spool>> opened = Spool::open(path_, bounds);
    ASSERT_TRUE(opened) << opened.error().text;
    spool_ = std::move(*opened);
  }
  // Runs a batch on the spool and waits for its answer.
  store::SpoolAnswer run(store::SpoolBatch batch) {
    store::SpoolAnswer result;
    spool_->run(std::move(batch), io_.get_executor(),
                [&](store::SpoolAnswer answer) { result = std::move(answer); });
    wait(1);
    return result;
  }
  bool stores(store::SpoolBatch batch) { return bool(run(std::move(batch)).stored); }
  // Runs the handlers of so many answers.
  void wait(std::size_t answers) {
    const auto work = asio::make_work_guard(io_);
    io_.restart();
    for (; answers > 0; --answers) ASSERT_EQ(io_.run_one_for(std::chrono::seconds(60)), 1U);
  }
  std::vector<std::uint64_t> stored_numbers() const {
    std::vector<std::uint64_t> numbers;
    Result<std::vector<SpooledMessage>> found = Spool::list(path_, {1'000'000});
    EXPECT_TRUE(found) << found.error().text;
    if (found) {
      for (const SpooledMessage& message : *found) numbers.push_back(message.number);
    }
    return numbers;
  }
  static std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
    return removal_of(first, last).removed;
  }

  std::string folder_;
  std::string path_;
  asio::io_context io_{1};
  std::unique_ptr<Spool> spool_;
};

}  // namespace sallyport::net
