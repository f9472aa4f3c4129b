// What a running core has read, and how it takes changes of it into use.
//
// Reading, judging and making ready happen beside the loop, one order after the other; the loop changes a
// pointer and answers. Whoever asks something else meanwhile is answered meanwhile.
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
#include "net/aside.h"

namespace sallyport::daemon {

// Changes are whole or not at all: policy.toml, trusted_ca and the public certificates are judged together,
// and the old ones go on serving while anything in the new ones is wrong.
class CoreFilesInUse {
 public:
  struct Parts {
    const CoreFiles& files;
    const StateDirectory& state;
    LogSink& log;
    net::Aside& aside;
    boost::asio::any_io_executor loop;
    // Takes a policy into use, on the loop.
    std::function<void(const std::shared_ptr<const config::PreparedPolicy>&)> use;
  };
  struct Answer {
    std::string json;
    bool refused = false;  // nothing has changed
  };
  using Reply = std::function<void(const Answer&)>;

  // Everything lent outlives it; the loop and `aside` run nothing any more when it ends. `policy` is what the
  // core has been started with, and `fingerprint` that of what it was made from.
  CoreFilesInUse(Parts parts, std::shared_ptr<const config::PreparedPolicy> policy, std::string fingerprint);

  // Orders, carried out in turn; the replies come on the loop. (docs/control.md has the answers.)
  // Reads all of it again. One that has not begun serves whoever asks for another.
  void reload(Reply reply);
  // What would change if the policy in `question` took the place of the one in force.
  void diff(boost::json::object question, Reply reply);
  // Puts it in that place, in the policy's file too: whole, or not at all. Refused when
  // the generation in force is not `question`'s (kControlGeneration), or the file holds what was never taken
  // (kControlEdited).
  void apply(boost::json::object question, Reply reply);
  // Reads the public certificates again, and nothing else: a policy that is being edited is none of its
  // business.
  void reload_certificates();

  // What the answering resolver asks about a name.
  dns::NameKind kind_of(const xmpp::Domain& name) const;
  const std::vector<config::Served>& served() const { return policy_->update().policy.served; }

 private:
  // What an order comes to beside the loop.
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

  // Beside the loop.
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
  // Read beside the loop too: they change in `finish` alone, while no order is under way.
  std::shared_ptr<const config::PreparedPolicy> policy_;
  std::string fingerprint_;
  std::deque<Order> orders_;  // that have not begun
  bool busy_ = false;
};

}  // namespace sallyport::daemon
