#include "daemon/check_edge.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "base/limits.h"
#include "daemon/check_policy.h"
#include "daemon/node_process.h"
#include "net/credentials.h"

namespace sallyport::daemon {

Result<CheckMeans> means_of(const gate::Edge& edge, const net::Driver& driver, const OutwardSetup& setup) {
  CheckMeans means{setup.resolving, setup.dialling, driver.own_listeners(), edge.policy(), {}, {}, {}};
  if (!means.policy) {
    return Error{Code::kControlRefused,
                 "No core has pushed a policy to this edge; `sallyport status` shows its link."};
  }
  const auto pushed = std::dynamic_pointer_cast<const net::PushedCredentials>(driver.credentials());
  if (pushed) {
    means.certificates = pushed->certificates;
    if (pushed->trust) means.trust = *pushed->trust;
  }
  return means;
}

namespace {

namespace asio = boost::asio;

// Whether a name with this refusal must not be dialled. Other refusals are policy's, which the check itself
// shows: a name may be checked before it is allowed.
bool forbids_dialling(Code code) {
  return code == Code::kPolicyInsideName || code == Code::kPolicyBelowLocal ||
         code == Code::kPolicyNodeName || code == Code::kLinkDown;
}

// A check that waits for the core's answer, and then runs in its thread. It keeps itself alive.
struct WaitingCheck : std::enable_shared_from_this<WaitingCheck> {
  WaitingCheck(CheckOrder what, CheckMeans with, AdmissionQuestion question, asio::any_io_executor loop,
               CheckThreads& all, Reply answer)
      : order(std::move(what)),
        means(std::move(with)),
        ask(std::move(question)),
        timer(std::move(loop)),
        threads(all),
        reply(std::move(answer)) {}

  void ask_about(const xmpp::Pair& pair) {
    const auto parsed = boost::json::parse(ask(pair)).as_object();
    if (const auto* error = parsed.if_contains("error")) {
      const auto code = code_named(error->as_object().at("code").as_string());
      if (code && forbids_dialling(*code)) means.core_refuses = Error{*code, pair.remote.ascii()};
      return run();
    }
    if (parsed.at("known").as_bool()) return run();
    if (std::chrono::steady_clock::now() >= until) {
      means.core_refuses = Error{Code::kLinkDown, "the core does not answer"};
      return run();
    }
    timer.expires_after(limits::kCheckAdmissionPoll);
    timer.async_wait([self = shared_from_this(), pair](boost::system::error_code failed) {
      if (!failed) self->ask_about(pair);
    });
  }

  void run() {
    threads.run(
        [order = order, means = means](std::stop_token stop) {
          const Result<boost::json::object> answer = run_check(order, means, std::move(stop));
          return answer ? boost::json::serialize(*answer) : error_answer(answer.error());
        },
        reply);
  }

  CheckOrder order;
  CheckMeans means;
  AdmissionQuestion ask;
  asio::steady_timer timer;
  std::chrono::steady_clock::time_point until =
      std::chrono::steady_clock::now() + limits::kCheckAdmissionWait;
  CheckThreads& threads;
  Reply reply;
};

}  // namespace

void answer_check(const boost::json::object& question, Result<CheckMeans> means, AdmissionQuestion ask,
                  asio::any_io_executor loop, CheckThreads& threads, LogSink& log, const Reply& reply) {
  Result<CheckOrder> order = order_of(question);
  if (!order) return reply(error_answer(order.error()));
  if (!means) return reply(error_answer(means.error()));
  log.log({LogLevel::kInfo, "check.ordered", {{"domain", order->name.ascii()}}});
  CheckSteps unused;
  const auto identity = choose_identity(*order, *means, NodeProcess::now().civil, unused);
  const auto waiting = std::make_shared<WaitingCheck>(std::move(*order), std::move(*means), std::move(ask),
                                                      std::move(loop), threads, reply);
  // Without a local domain nothing is dialled, and the check says so.
  if (!identity || !identity->own) return waiting->run();
  waiting->ask_about({*identity->own, waiting->order.name});
}

}  // namespace sallyport::daemon
