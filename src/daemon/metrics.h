// /metrics, /livez and /readyz over HTTP, for monitoring; nothing else is there, and nothing can be changed.
//
// The figures are those of `status` (docs/control.md), in Prometheus' text format 0.0.4, or in
// OpenMetrics 1.0 for a client whose Accept header asks for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::daemon {

enum class MetricsFormat { kText, kOpenMetrics };
// A `status` answer as metrics.
std::string metrics_text(const boost::json::object& status, MetricsFormat format);
// Why the node does not do its work, in a few words: it is drained, a link of a shard in use is missing, the
// policy serves nothing, or an edge's listeners are not open. Empty when it is ready.
std::string why_not_ready(const boost::json::object& status);
// Whether the response to a request's head takes a status.
bool wants_status(std::string_view request);
// The whole response.
std::string http_response(std::string_view request, const boost::json::object& status);
// Asks for a status, which comes once, then or later, on the same executor.
using StatusSource = std::function<void(std::function<void(const boost::json::object&)>)>;

class MetricsServer {
 public:
  // Errors: as net::listen_error. `status` outlives the server.
  static Result<std::unique_ptr<MetricsServer>> open(boost::asio::any_io_executor executor,
                                                     const dns::Endpoint& endpoint, StatusSource status);
  ~MetricsServer();

 private:
  class Impl;
  explicit MetricsServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::daemon
