// /metrics, /livez and /readyz over HTTP, for monitoring; nothing else is there, and nothing can be changed.
//
// The figures are those of `status` (docs/control.md), in OpenMetrics text.
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

// OpenMetrics 1.0 text of a `status` answer.
std::string metrics_text(const boost::json::object& status);
// Whether the door does its work: a link is up, of each shard in use, and on an edge the world is let in.
bool is_ready(const boost::json::object& status);
// Whether the response to a request's head takes a status.
bool wants_status(std::string_view request);
// The whole response.
std::string http_response(std::string_view request, const boost::json::object& status);
// Asks for a status, which comes once, then or later, on the same executor.
using StatusSource = std::function<void(std::function<void(const boost::json::object&)>)>;

class MetricsServer {
 public:
  // Errors: kFileUnreadable with the address. `status` outlives the server.
  static Result<std::unique_ptr<MetricsServer>> open(boost::asio::any_io_executor executor,
                                                     const dns::Endpoint& endpoint, StatusSource status);
  ~MetricsServer();

 private:
  class Impl;
  explicit MetricsServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::daemon
