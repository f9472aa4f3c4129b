// Formats what nodes answer about the durable queue for people. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace sallyport::daemon {

// "512 B", "1.5 KiB", "34 MiB".
std::string bytes_text(std::uint64_t bytes);
// "45s", "12m", "3h 12m", "2d 4h".
std::string age_text(std::chrono::seconds age);

// The `queue` of a status: its size in one line and, while the spool is failing, the error and its remedy.
// Lines after the first begin with `indent`; the text ends with a line feed.
std::string show_queue(const boost::json::object& queue, std::string_view indent);
// The answer to `queue list`. `domain`: the one that was asked for, or empty; so `older_than`, as it was
// written.
std::string show_queue_list(const boost::json::object& answer, const std::string& domain, UnixTime now,
                            const std::string& older_than = {});

// The numbers of messages by remote domain and age, from the answer to `queue list`: `age_minutes`, `total`
// {`messages`, `ages`} and `domains` [{`remote`, `messages`, `ages`}], the largest first. `direction`: only
// flows of this one; empty: of both. So `remote`, a domain.
boost::json::object queue_shape(const boost::json::object& answer, std::string_view direction,
                                std::string_view remote = {});
// As Postfix's qshape(1) prints it.
std::string show_queue_shape(const boost::json::object& shape);

// The answer to `queue show`. `what`: the number or domain that was asked for.
std::string show_queue_messages(const boost::json::object& answer, const std::string& what);
std::string show_queue_retry(const boost::json::object& answer);
std::string show_queue_purge(const boost::json::object& answer);

}  // namespace sallyport::daemon
