// A time at which all waits on a socket end, ready or not.
#pragma once

#include <memory>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/time.h"

namespace sallyport::net {

// A local of the coroutine that waits; the socket outlives it.
class Deadline {
 public:
  Deadline(boost::asio::ip::tcp::socket& socket, Duration after)
      : state_(std::make_shared<State>(State{&socket, false})), timer_(socket.get_executor(), after) {
    // The handler may run after the Deadline is destroyed; then the state has no socket.
    timer_.async_wait([state = state_](const boost::system::error_code& error) {
      if (error || state->socket == nullptr) return;
      state->has_passed = true;
      boost::system::error_code ignored;
      state->socket->cancel(ignored);
    });
  }
  ~Deadline() { state_->socket = nullptr; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  bool has_passed() const { return state_->has_passed; }

 private:
  struct State {
    boost::asio::ip::tcp::socket* socket;
    bool has_passed;
  };
  std::shared_ptr<State> state_;
  boost::asio::steady_timer timer_;
};

}  // namespace sallyport::net
