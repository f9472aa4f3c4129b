#include "daemon/check_edge.h"

#include <boost/json.hpp>
#include <utility>

#include "net/credentials.h"

namespace sallyport::daemon {

Result<CheckMeans> means_of(const gate::Edge& edge, const net::Driver& driver, const EdgeSetup& setup) {
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

void answer_check(const boost::json::object& question, Result<CheckMeans> means, CheckThreads& threads,
                  LogSink& log, const Reply& reply) {
  Result<CheckOrder> order = order_of(question);
  if (!order) return reply(error_answer(order.error()));
  if (!means) return reply(error_answer(means.error()));
  const std::string name = order->name.ascii();
  const auto work = [order = std::move(*order), means = std::move(*means)](std::stop_token stop) {
    const Result<boost::json::object> answer = run_check(order, means, std::move(stop));
    return answer ? boost::json::serialize(*answer) : error_answer(answer.error());
  };
  log.log({LogLevel::kInfo, "check.ordered", {{"domain", name}}});
  threads.run(work, reply);
}

}  // namespace sallyport::daemon
