// The files that a running core has read, and how it takes changes of them into use.
//
// Reading, validating and preparing happen on the worker thread, one order after the other; the loop only
// replaces a pointer and answers. Other questions are answered meanwhile.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/prepared_policy.h"
#include "daemon/load.h"
#include "daemon/state.h"
#include "dns/answer.h"
#include "net/worker.h"

namespace sallyport::daemon {

// Changes are all-or-nothing: policy.toml, trusted_ca and the public certificates are validated together, and
// the old ones stay in force if anything in the new ones is invalid.
class CoreFilesInUse {
 public:
  struct Parts {
    const CoreFiles& files;
    const StateDirectory& state;
    LogSink& log;
    net::Worker& worker;
    boost::asio::any_io_executor loop;
    // Puts a policy in force, on the loop.
    std::function<void(const std::shared_ptr<const config::PreparedPolicy>&)> use;
  };
  struct Answer {
    std::string json;
    bool refused = false;  // nothing has changed
  };
  using Reply = std::function<void(const Answer&)>;

  // Everything referenced outlives it; neither the loop nor `worker` runs when it is destroyed. `policy` is
  // the one that the core was started with, `fingerprint` that of its files.
  CoreFilesInUse(Parts parts, std::shared_ptr<const config::PreparedPolicy> policy, std::string fingerprint);

  // Orders, carried out in turn; the replies come on the loop. (docs/control.md has the answers.)
  // Reads all files again. Reloads that arrive before one begins are answered together.
  void reload(Reply reply);
  // Answers what would change if the policy in `question` replaced the one in force.
  void diff(boost::json::object question, Reply reply);
  // Replaces the policy in force, and its file. Refused when the generation in force is not `question`'s
  // (kControlGeneration), or the file contains an edit that was never reloaded (kControlEdited).
  void apply(boost::json::object question, Reply reply);
  // Reads only the public certificates again, so that a policy may be edited meanwhile.
  void reload_certificates();

  // For the answering resolver: the kind of a name.
  dns::NameKind kind_of(const xmpp::Domain& name) const;
  const config::PolicyConfig& policy() const { return policy_->update().policy; }
  const std::vector<config::Served>& served() const { return policy_->update().policy.served; }

 private:
  // The result of an order's work.
  struct Outcome {
    struct Lines : LogSink {
      void log(LogEvent event) override { events.push_back(std::move(event)); }
      std::vector<LogEvent> events;
    };
    Answer answer;
    Lines log;
    std::shared_ptr<const config::PreparedPolicy> fresh;  // null: what is in force stays
    std::string fingerprint;
  };
  enum class Kind : std::uint8_t { kReload, kCertificates, kPolicy };
  struct Order {
    Kind kind;
    std::function<Outcome()> work;
    std::vector<Reply> replies;
  };

  void order(Kind kind, std::function<Outcome()> work, Reply reply);
  void begin();
  void finish(Outcome outcome, const std::vector<Reply>& replies);

  // On the worker thread.
  Outcome read_all() const;
  Outcome compare(const boost::json::object& question) const;
  Outcome replace(const boost::json::object& question) const;
  Outcome read_certificates() const;
  boost::json::object take(PolicyFiles fresh, const std::vector<config::Finding>& warnings,
                           Outcome& outcome) const;
  Outcome refused(const std::vector<config::Finding>& errors) const;
  boost::json::array notes(LogSink& log) const;
  Result<void> may_apply(const boost::json::object& question) const;

  Parts parts_;
  // The worker thread reads them too: they change only in `finish`, while no order is under way.
  std::shared_ptr<const config::PreparedPolicy> policy_;
  std::string fingerprint_;
  std::deque<Order> orders_;  // that have not begun
  bool busy_ = false;
};

}  // namespace sallyport::daemon
