// The state that the shards of one node share, and messages from one to another (docs/shards.md): the
// node's limits, and which shards carry streams. A shard is a thread with a loop, a Driver and a role of its
// own and shares nothing else.
//
// May be called from any of their threads, except `enter`. Outlives the drivers; its loops outlive it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/limits.h"
#include "net/counted.h"

namespace sallyport::net {

namespace asio = boost::asio;

class Driver;

class Shards {
 public:
  // At least one; the first, number 0, has the listeners.
  explicit Shards(std::size_t count) : seats_(count) {}
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  std::size_t count() const { return seats_.size(); }

  // Sets the loop and driver of a shard. To be called before any loop runs.
  void enter(std::size_t shard, asio::io_context& io, Driver& driver) { seats_[shard] = {&io, &driver}; }
  asio::io_context& io(std::size_t shard) const { return *seats_[shard].io; }
  // To be used in that shard's loop, or while no loop runs.
  Driver& driver(std::size_t shard) const { return *seats_[shard].driver; }
  // Runs the order, a callable that takes the Driver&, in that shard's loop; never at once. A loop that no
  // longer runs drops it.
  template <typename Order>
  void post(std::size_t shard, Order order) const {
    asio::post(*seats_[shard].io,
               [driver = seats_[shard].driver, order = std::move(order)]() mutable { order(*driver); });
  }

  // Asks every shard's driver in its loop and passes the answers, by number, to `done` in the first shard's
  // loop. To be called there; with one shard, all of it happens at once.
  template <typename Question, typename Done>
  void ask_all(Question question, Done done) const {
    using Answer = std::invoke_result_t<Question&, Driver&>;
    if (count() == 1) {
      std::vector<Answer> alone;
      alone.push_back(question(driver(0)));
      return done(std::move(alone));
    }
    struct Asked {
      std::vector<Answer> answers;
      std::size_t missing;
      Done done;
    };
    auto asked = std::make_shared<Asked>(Asked{std::vector<Answer>(count()), count(), std::move(done)});
    for (std::size_t shard = 0; shard < count(); ++shard) {
      post(shard, [this, shard, asked, question](Driver& driver) mutable {
        post(0, [shard, asked = std::move(asked), answer = question(driver)](Driver&) mutable {
          asked->answers[shard] = std::move(answer);
          if (--asked->missing == 0) asked->done(std::move(asked->answers));
        });
      });
    }
  }

  // How many shards carry streams: the first ones, at least one. Not all do when the other node has fewer.
  std::size_t in_use() const;
  // Sets whether a shard other than the first carries streams; shards behind one that does not, do not
  // either.
  void use(std::size_t shard, bool on) { used_[shard].store(on, std::memory_order_relaxed); }

  // Streams and links of the node (limits::kStreamsMax).
  std::size_t connections() const { return connections_.load(std::memory_order_relaxed); }
  void connection_begins() { connections_.fetch_add(1, std::memory_order_relaxed); }
  void connection_ends() { connections_.fetch_sub(1, std::memory_order_relaxed); }
  // The same with a share for each address; the first shard's driver sets the limits of this and the next.
  Counted& streams() { return streams_; }
  // Connections that have not authenticated yet.
  Counted& unproved() { return unproved_; }

 private:
  struct Seat {
    asio::io_context* io = nullptr;
    Driver* driver = nullptr;
  };
  std::vector<Seat> seats_;
  std::array<std::atomic<bool>, limits::kShardsMax> used_{};
  std::atomic<std::size_t> connections_{0};
  Counted streams_{limits::kStreamsMax, limits::kStreamsMax / limits::kStreamsPerAddressPart};
  Counted unproved_{limits::kUnauthenticatedMax, limits::kUnauthenticatedPerAddressMax};
};

}  // namespace sallyport::net
