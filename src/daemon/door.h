// The process around a role: its log, its loop, its signals, its control socket, and its way to the end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "daemon/command.h"
#include "daemon/control_server.h"
#include "daemon/log_writer.h"
#include "daemon/process.h"
#include "gate/config.h"
#include "net/aside.h"
#include "net/driver.h"

namespace sallyport::daemon {

// What a door's process answers itself, since the role sees no files (docs/control.md). Each answers with an
// object, or with an `error`; what takes long answers when it is done.
struct Answers {
  std::function<void(Reply)> reload;
  // The question with its text: only a core, which has the policy's file.
  std::function<void(boost::json::object, Reply)> policy_diff;
  std::function<void(boost::json::object, Reply)> policy_apply;
  std::function<boost::json::object(std::uint16_t port)> dns_records;
  std::function<boost::json::object()> ports;
};

// Where people and machines ask.
struct Interfaces {
  std::string control;
  std::string control_group;
  std::optional<gate::HostPort> metrics;
};

class Door {
 public:
  // Hardens the process; logs as the invocation says.
  explicit Door(const Invocation& invocation);
  ~Door();

  boost::asio::io_context& io() { return io_; }
  LogWriter& log() { return log_; }
  net::Aside& aside() { return aside_; }
  SystemRandom& random() { return random_; }
  // Both clocks.
  static Now now();

  // Shows every error of the configuration, logs its warnings. False when there is an error.
  bool judge(const std::vector<gate::Finding>& errors, const std::vector<gate::Finding>& warnings);
  // Says why the door does not start; kFailed.
  Exit fail(const Error& error);

  // Starts the driver, answers on the interfaces, and returns when the door has ended: SIGTERM and SIGINT
  // drain it within limits::kDrainTimeout, a second one ends it at once; SIGHUP reloads.
  Exit serve(net::Driver& driver, const Interfaces& interfaces, Answers answers);

 private:
  struct Asked {
    std::string text;
    std::optional<boost::json::object> object;  // nothing: the text is no JSON object
  };
  static Asked read(std::string question);
  void take_question(std::string question, Reply reply);
  void answer(Asked asked, const Reply& reply);
  std::string answer_at_once(const Asked& asked, const std::string& ask);
  boost::json::object status();
  boost::json::object set_log_level(const boost::json::object& question);
  void wait_for_signal();
  void handle_signal(int signal);
  void wait_until_drained();
  void end();

  boost::asio::io_context io_{1};
  net::Aside aside_;
  LogWriter log_;
  SystemRandom random_;
  Notify notify_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_timer_;
  std::chrono::steady_clock::time_point drain_until_{};
  bool draining_ = false;
  net::Driver* driver_ = nullptr;
  Answers answers_;
};

// `{"error":{…}}` as an object.
boost::json::object error_object(const Error& error);
// The answer of a refused reload: each error as one line of text. The first limits::kFindingsLoggedMax are
// logged.
boost::json::object refused_reload(const std::vector<gate::Finding>& errors, LogSink& log);
// The first limits::kFindingsLoggedMax of them, and how many more there are.
void log_warnings(const std::vector<gate::Finding>& warnings, LogSink& log);
// A listener's address as the driver takes it; the configuration has judged that it is one.
dns::Endpoint endpoint_of(const gate::HostPort& address);
std::vector<dns::Endpoint> endpoints_of(const std::vector<gate::HostPort>& addresses);

}  // namespace sallyport::daemon
