// The commands for the durable queue of a core (docs/queue.md).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>

#include "base/limits.h"
#include "config/quantity.h"
#include "daemon/ask.h"
#include "daemon/control_client.h"
#include "daemon/queue_show.h"
#include "daemon/queue_text.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"
#include "xmpp/jid.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

UnixTime now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

Exit usage(const std::string& text) {
  complain(text);
  return Exit::kUsage;
}

// The argument as an A-label domain, in which form nodes compare it; empty without one. Prints a usage error.
std::optional<std::string> domain_of(const Invocation& invocation) {
  if (invocation.arguments.empty()) return std::string();
  const Result<xmpp::Domain> domain = xmpp::Domain::parse(invocation.arguments[0]);
  if (domain) return domain->ascii();
  usage(fmt::format("`{}` is not a domain: {}", invocation.arguments[0], domain.error().text));
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Adds --older-than to the question, in seconds. False, and a usage error printed, where it is no duration.
bool add_age(const Invocation& invocation, json::object& question) {
  if (!invocation.has("--older-than")) return true;
  const std::string text = invocation.value("--older-than");
  const auto age = config::parse_duration(text);
  if (age) {
    question["older_than"] = age->count();
  } else {
    usage(fmt::format("--older-than: `{}` is not a duration such as 90s, 15m, 1h or 7d", text));
  }
  return age.has_value();
}

bool has_messages(const json::object& answer) { return !list_at(answer, "messages").empty(); }

}  // namespace

Exit run_queue_list(const Invocation& invocation) {
  const auto domain = domain_of(invocation);
  if (!domain) return Exit::kUsage;
  json::object question{{"ask", "queue list"}};
  if (!domain->empty()) question["domain"] = *domain;
  if (!add_age(invocation, question)) return Exit::kUsage;
  return put(invocation, question, [&](const json::object& answer) {
    return show_queue_list(answer, *domain, now(), invocation.value("--older-than"));
  });
}

Exit run_queue_shape(const Invocation& invocation) {
  const auto domain = domain_of(invocation);
  if (!domain) return Exit::kUsage;
  json::object question{{"ask", "queue list"}};
  if (!domain->empty()) question["domain"] = *domain;
  Exit exit = Exit::kGood;
  const auto answer = ask_for(invocation, question, exit);
  if (!answer) return exit;
  return put_answer(
      invocation,
      answer->contains("error") ? *answer : queue_shape(*answer, invocation.value("--direction"), *domain),
      show_queue_shape);
}

Exit run_queue_show(const Invocation& invocation) {
  json::object question{{"ask", "queue show"}};
  const std::string& what = invocation.arguments[0];
  if (std::ranges::all_of(what, [](char c) { return c >= '0' && c <= '9'; })) {
    const auto number = number_in(what);
    if (!number) return usage(fmt::format("`{}` is not the number of a message", what));
    question["number"] = *number;
  } else {
    const auto domain = domain_of(invocation);
    if (!domain) return Exit::kUsage;
    question["domain"] = *domain;
  }
  if (invocation.has("--count")) {
    const auto count = number_in(invocation.value("--count"));
    if (!count || *count == 0 || *count > limits::kQueueShownMax)
      return usage(fmt::format("--count: `{}` is not a number from 1 to {}", invocation.value("--count"),
                               limits::kQueueShownMax));
    question["count"] = *count;
  }
  if (!add_age(invocation, question)) return Exit::kUsage;
  std::string which = question.contains("number") ? what : "for " + what;
  if (invocation.has("--older-than")) which += " that is older than " + invocation.value("--older-than");
  return put(
      invocation, question, [&](const json::object& answer) { return show_queue_messages(answer, which); },
      question.contains("number") ? has_messages : nullptr);
}

Exit run_queue_retry(const Invocation& invocation) {
  const auto domain = domain_of(invocation);
  if (!domain) return Exit::kUsage;
  json::object question{{"ask", "queue retry"}};
  if (!domain->empty()) question["domain"] = *domain;
  if (!add_age(invocation, question)) return Exit::kUsage;
  return put(invocation, question, show_queue_retry);
}

Exit run_queue_purge(const Invocation& invocation) {
  const auto domain = domain_of(invocation);
  if (!domain) return Exit::kUsage;
  if (domain->empty() && !invocation.has("--all"))
    return usage("Name a remote DOMAIN whose messages are to be removed, or give --all.");
  if (!domain->empty() && invocation.has("--all"))
    return usage("Give either a remote DOMAIN or --all: with both it is not clear what is to be removed.");
  json::object question{{"ask", "queue purge"}};
  if (!domain->empty()) question["domain"] = *domain;
  if (!add_age(invocation, question)) return Exit::kUsage;
  return put(invocation, question, show_queue_purge);
}

}  // namespace sallyport::daemon
