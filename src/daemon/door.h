// The process around a role, or around several where it has shards (docs/shards.md "A shard is a whole
// node"): its log, its loops, its signals, its control socket, and its way to the end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/time.h"
#include "config/finding.h"
#include "daemon/command.h"
#include "daemon/control_server.h"
#include "daemon/log_writer.h"
#include "daemon/process.h"
#include "net/aside.h"
#include "net/driver.h"
#include "net/shards.h"

namespace sallyport::daemon {

// What a door's process answers itself, since the role sees no files (docs/control.md). Each answers with an
// object, or with an `error`; what takes long answers when it is done.
struct Answers {
  std::function<void(Reply)> reload;
  // The question with its text: only a core, which has the policy's file.
  std::function<void(boost::json::object, Reply)> policy_diff;
  std::function<void(boost::json::object, Reply)> policy_apply;
  // `check domain` and `check tls`; a core says where to ask.
  std::function<void(const boost::json::object&, const Reply&)> check;
  std::function<boost::json::object(std::uint16_t port)> dns_records;
  std::function<boost::json::object()> ports;
};

// Where people and machines ask.
struct Interfaces {
  std::string control;
  std::string control_group;
  std::optional<route::HostPort> metrics;
};

class Door {
 public:
  // Hardens the process; logs as the invocation says.
  explicit Door(const Invocation& invocation);
  ~Door();

  // The loop of the first shard, which is the door's own thread: everything that is not a shard's runs here.
  boost::asio::io_context& io() { return io_; }
  LogWriter& log() { return log_; }
  net::Aside& aside() { return aside_; }
  SystemRandom& random() { return random_; }
  // Both clocks.
  static Now now();

  // Shows every error of the configuration, logs its warnings. False when there is an error.
  bool judge(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings);
  // Says why the door does not start; kFailed.
  Exit fail(const Error& error);

  // So many shards; to be called once, before anything that belongs to one is made.
  void make_shards(std::size_t count);
  net::Shards& shards() { return *shards_; }
  // What a shard runs on, and what it writes to: the door's log, with its number where there are several.
  boost::asio::io_context& loop_of(std::size_t shard);
  LogSink& log_of(std::size_t shard);

  // Starts the shards' drivers, answers on the interfaces, and returns when the door has ended: SIGTERM and
  // SIGINT drain it within limits::kDrainTimeout, a second one ends it at once; SIGHUP reloads. Each shard
  // but the first has a thread from then until then.
  Exit serve(const Interfaces& interfaces, Answers answers);

 private:
  struct Asked {
    std::string text;
    std::optional<boost::json::object> object;  // nothing: the text is no JSON object
  };
  static Asked read(std::string question);
  void take_question(std::string question, const Asker& asker, Reply reply);
  void answer(Asked asked, const Asker& asker, const Reply& reply);
  std::string answer_at_once(const Asked& asked, const Asker& asker, const std::string& ask);
  void ask_shards(const std::string& ask, const std::string& question, const Reply& reply);
  void tell_status(const std::function<void(const boost::json::object&)>& done);
  boost::json::object set_log_level(const boost::json::object& question, const Asker& asker);
  void wait_for_signal();
  void handle_signal(int signal);
  Result<void> start_shards();
  static void run_shard(boost::asio::io_context& loop, net::Driver& driver);
  // `by`: who asks for it, for the log.
  void drain_shards(const std::string& by);
  void wait_until_drained();
  void end();

  boost::asio::io_context io_{1};
  std::deque<boost::asio::io_context> more_loops_;  // of the shards behind the first
  std::deque<ShardLog> shard_logs_;
  std::optional<net::Shards> shards_;
  std::vector<std::thread> threads_;
  net::Aside aside_;
  LogWriter log_;
  SystemRandom random_;
  Notify notify_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_timer_;
  std::chrono::steady_clock::time_point drain_until_{};
  bool draining_ = false;
  Answers answers_;
};

// `{"error":{…}}` as an object.
boost::json::object error_object(const Error& error);
// The answer of a refused reload: each error as one line of text. The first limits::kFindingsLoggedMax are
// logged.
boost::json::object refused_reload(const std::vector<config::Finding>& errors, LogSink& log);
// The first limits::kFindingsLoggedMax of them, and how many more there are.
void log_warnings(const std::vector<config::Finding>& warnings, LogSink& log);
// A listener's address as the driver takes it; the configuration has judged that it is one.
dns::Endpoint endpoint_of(const route::HostPort& address);
std::vector<dns::Endpoint> endpoints_of(const std::vector<route::HostPort>& addresses);

}  // namespace sallyport::daemon
