// Serves /metrics, /livez and /readyz over HTTP, read-only, for monitoring.
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
// Why the node is not ready, in a few words: it is draining, a shard in use has no link, the policy serves no
// domain, or an edge's listeners are not open. Empty when it is ready.
std::string why_not_ready(const boost::json::object& status);
// Whether the response to a request with this head needs a status.
bool wants_status(std::string_view request);
// The complete response.
std::string http_response(std::string_view request, const boost::json::object& status);
// Requests a status, which is delivered once, at once or later, on the same executor.
using StatusSource = std::function<void(std::function<void(const boost::json::object&)>)>;

class MetricsServer {
 public:
  // Errors: as net::listen_error. `status` outlives the server.
  static Result<std::unique_ptr<MetricsServer>> open(boost::asio::any_io_executor executor,
                                                     const dns::SocketAddress& endpoint, StatusSource status);
  ~MetricsServer();

 private:
  class Impl;
  explicit MetricsServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::daemon
