// The process around a role, or around several where it has shards (docs/shards.md): its log, loops,
// signals, control socket and shutdown.
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
#include "net/driver.h"
#include "net/shards.h"
#include "net/worker.h"

namespace sallyport::daemon {

// The control questions that need files, which the process answers itself (docs/control.md). Each answers
// with an object, or with an `error`; a slow one replies when it is done.
struct ControlHandlers {
  std::function<void(Reply)> reload;
  // Takes the question with its text. Only on a core, which has the policy's file.
  std::function<void(boost::json::object, Reply)> policy_diff;
  std::function<void(boost::json::object, Reply)> policy_apply;
  // `check domain` and `check tls`; a core answers where to ask.
  std::function<void(const boost::json::object&, const Reply&)> check;
  std::function<boost::json::object(std::uint16_t port)> dns_records;
  std::function<boost::json::object()> ports;
  // `queue show`. Only on a core, which has the spool.
  std::function<void(const boost::json::object&, const Reply&)> queue_show;
};

// The addresses of the control socket and of the metrics.
struct Interfaces {
  std::string control;
  std::string control_group;
  std::optional<route::HostPort> metrics;
};

class NodeProcess {
 public:
  // Hardens the process; logs as the invocation says.
  explicit NodeProcess(const Invocation& invocation);
  ~NodeProcess();

  // The loop of the first shard, on the main thread: everything that does not belong to a shard runs here.
  boost::asio::io_context& io() { return io_; }
  LogWriter& log() { return log_; }
  net::Worker& worker() { return worker_; }
  SystemRandom& random() { return random_; }
  // Both clocks.
  static Now now();

  // Prints the errors of the configuration and logs its warnings. False when there is an error.
  bool report_findings(const std::vector<config::Finding>& errors,
                       const std::vector<config::Finding>& warnings);
  // Logs why the node does not start; kFailed, or kConfiguration where another start would not help.
  Exit fail(const Error& error);

  // Sets the number of shards; to be called once, before anything that belongs to one is made.
  void make_shards(std::size_t count);
  net::Shards& shards() { return *shards_; }
  // A shard's loop, and its log: the node's log, with the shard's number where there are several.
  boost::asio::io_context& loop_of(std::size_t shard);
  LogSink& log_of(std::size_t shard);

  // Starts the shards' drivers, serves the interfaces, and returns when the node has ended: SIGTERM and
  // SIGINT drain it within limits::kDrainTimeout, a second one ends it at once; SIGHUP reloads. Meanwhile
  // each shard but the first has a thread of its own.
  Exit serve(const Interfaces& interfaces, ControlHandlers handlers);

 private:
  struct Question {
    std::string text;
    std::optional<boost::json::object> object;  // absent: the text is not a JSON object
  };
  static Question parse(std::string text);
  void handle_question(std::string text, const Asker& asker, Reply reply);
  void answer(Question question, const Asker& asker, const Reply& reply);
  std::string answer_at_once(const Question& question, const Asker& asker, const std::string& ask);
  void ask_shards(const std::string& ask, const std::string& question, const Reply& reply);
  void get_status(const std::function<void(const boost::json::object&)>& done);
  boost::json::object set_log_level(const boost::json::object& question, const Asker& asker);
  void wait_for_signal();
  void handle_signal(int signal);
  Result<void> start_shards();
  static void run_shard(boost::asio::io_context& loop, net::Driver& driver);
  // `by`: the user or signal that ordered it, for the log.
  void drain_shards(const std::string& by);
  void wait_until_drained();
  void end();

  boost::asio::io_context io_{1};
  std::deque<boost::asio::io_context> more_loops_;  // of the shards behind the first
  std::deque<ShardLog> shard_logs_;
  std::optional<net::Shards> shards_;
  std::vector<std::thread> threads_;
  net::Worker worker_;
  LogWriter log_;
  SystemRandom random_;
  Notify notify_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_timer_;
  std::chrono::steady_clock::time_point drain_until_{};
  bool draining_ = false;
  ControlHandlers handlers_;
};

// `{"error":{…}}` as an object.
boost::json::object refusal_object(const Error& error);
// The answer to a reload that is refused: `errors`, one line of text each, and the first one as `error`. The
// first limits::kFindingsLoggedMax are logged.
boost::json::object refused_reload(const std::vector<config::Finding>& errors, LogSink& log);
// Logs the first limits::kFindingsLoggedMax of them, and how many more there are.
void log_warnings(const std::vector<config::Finding>& warnings, LogSink& log);
// A listener's address in the driver's form. The configuration has validated that it is an IP address.
dns::SocketAddress endpoint_of(const route::HostPort& address);
std::vector<dns::SocketAddress> endpoints_of(const std::vector<route::HostPort>& addresses);

}  // namespace sallyport::daemon
