#include "net/dial_race.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "net/socket_address.h"

namespace sallyport::net {
namespace {

using Clock = std::chrono::steady_clock;

struct RaceAttempt {
  RaceAttempt(const asio::any_io_executor& executor, const dns::SocketAddress& to, Clock::time_point until)
      : socket(executor), peer(to), deadline(until) {}
  tcp::socket socket;
  dns::SocketAddress peer;
  Clock::time_point deadline;
  // Absent while under way.
  std::optional<boost::system::error_code> result;
};

// Shared with the handlers of connections under way, which may run after the race is over.
struct Race {
  explicit Race(const asio::any_io_executor& executor) : wake(executor) {}
  asio::steady_timer wake;
  std::vector<std::unique_ptr<RaceAttempt>> attempts;

  std::size_t under_way() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(attempts, [](const auto& a) { return !a->result; }));
  }
};

// Ends the race when the coroutine's frame is destroyed, for whatever reason.
class RaceEnd {
 public:
  explicit RaceEnd(Race& race) : race_(race) {}
  ~RaceEnd() {
    for (auto& attempt : race_.attempts) {
      boost::system::error_code ignored;
      attempt->socket.close(ignored);
    }
  }
  RaceEnd(const RaceEnd&) = delete;
  RaceEnd& operator=(const RaceEnd&) = delete;

 private:
  Race& race_;
};

boost::system::error_code open_and_bind(tcp::socket& socket, const dns::SocketAddress& to,
                                        const std::vector<dns::Ip>& bind) {
  boost::system::error_code error;
  socket.open(to.ip.is_v4() ? tcp::v4() : tcp::v6(), error);
  if (error) return error;
  const auto source = std::ranges::find(bind, to.ip.is_v4(), &dns::Ip::is_v4);
  if (source != bind.end()) socket.bind(to_asio({*source, 0}), error);
  return error;
}

void begin(const std::shared_ptr<Race>& race, const dns::SocketAddress& to, const std::vector<dns::Ip>& bind,
           Clock::time_point deadline) {
  race->attempts.push_back(std::make_unique<RaceAttempt>(race->wake.get_executor(), to, deadline));
  auto* attempt = race->attempts.back().get();
  if (const auto error = open_and_bind(attempt->socket, to, bind)) {
    attempt->result = error;
    return;
  }
  attempt->socket.async_connect(to_asio(to), [race, attempt](const boost::system::error_code& error) {
    if (!attempt->result) attempt->result = error;
    race->wake.cancel();
  });
}

void expire(Race& race, Clock::time_point now) {
  for (auto& attempt : race.attempts) {
    if (attempt->result || attempt->deadline > now) continue;
    attempt->result = asio::error::timed_out;
    boost::system::error_code ignored;
    attempt->socket.close(ignored);
  }
}

RaceAttempt* winner(Race& race) {
  for (auto& attempt : race.attempts) {
    if (attempt->result && !*attempt->result) return attempt.get();
  }
  return nullptr;
}

bool has_failed(const Race& race) {
  return !race.attempts.empty() && race.attempts.back()->result.has_value();
}

Error failure(const Race& race) {
  Error error{Code::kDialRefused, {}};
  for (const auto& attempt : race.attempts) {
    if (!attempt->result || *attempt->result == asio::error::timed_out) error.code = Code::kDialTimeout;
    if (!error.text.empty()) error.text += "; ";
    error.text +=
        attempt->peer.text() + ": " + (attempt->result ? attempt->result->message() : "no answer in time");
  }
  return error;
}

}  // namespace

asio::awaitable<Result<Winner>> race(std::vector<dns::SocketAddress> endpoints, std::vector<dns::Ip> bind,
                                     Clock::time_point deadline) {
  const auto state = std::make_shared<Race>(co_await asio::this_coro::executor);
  const RaceEnd end(*state);
  std::size_t next = 0;
  Clock::time_point next_at = Clock::now();
  for (;;) {
    const auto now = Clock::now();
    expire(*state, now);
    if (auto* first = winner(*state)) co_return Winner{std::move(first->socket), first->peer};
    if (now >= deadline) co_return failure(*state);
    if (next < endpoints.size() && (now >= next_at || has_failed(*state))) {
      begin(state, endpoints[next++], bind, std::min(deadline, now + limits::kConnectTimeout));
      next_at = now + limits::kConnectStagger;
      continue;
    }
    if (next == endpoints.size() && state->under_way() == 0) co_return failure(*state);
    auto wake_at = next < endpoints.size() ? std::min(next_at, deadline) : deadline;
    for (const auto& attempt : state->attempts) {
      if (!attempt->result) wake_at = std::min(wake_at, attempt->deadline);
    }
    state->wake.expires_at(wake_at);
    co_await state->wake.async_wait(asio::as_tuple(asio::use_awaitable));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }
}

}  // namespace sallyport::net
