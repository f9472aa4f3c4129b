// Questions and orders of the control socket about the durable queue (docs/control.md).
#include <array>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "gate/control.h"
#include "gate/core_impl.h"

namespace sallyport::gate {

namespace json = boost::json;

namespace {

// Upper bounds of ages in minutes, each twice the one before (as Postfix's qshape has them); the last column
// is everything older.
constexpr std::array<std::int64_t, 9> kAgeMinutes{5, 10, 20, 40, 80, 160, 320, 640, 1280};

// Messages that were accepted before that are as old as the question says. Nothing: it names no age.
std::optional<UnixTime> cutoff_of(const ControlQuestion& question, UnixTime now) {
  if (question.older_than == 0) return std::nullopt;
  return now - std::chrono::seconds(question.older_than) + std::chrono::seconds(1);
}

json::array ages_of(const DurableQueue::View& flow, UnixTime now) {
  std::array<std::uint64_t, kAgeMinutes.size() + 1> counts{};
  for (const auto& minute : flow.minutes) {
    const auto age = std::chrono::duration_cast<std::chrono::minutes>(now - minute.minute).count();
    const auto column = std::ranges::lower_bound(kAgeMinutes, age) - kAgeMinutes.begin();
    counts[static_cast<std::size_t>(column)] += minute.count;
  }
  return json::array(counts.begin(), counts.end());
}

json::object row_of(const DurableQueue::View& flow, Now now) {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  for (const auto& minute : flow.minutes) messages += minute.count, bytes += minute.bytes;
  json::object row{{"direction", policy::direction_name(flow.flow.direction)},
                   {"local", flow.flow.pair.local.ascii()},
                   {"remote", flow.flow.pair.remote.ascii()},
                   {"messages", messages},
                   {"bytes", bytes},
                   {"on_way", flow.on_way},
                   {"ages", ages_of(flow, now.civil)}};
  if (!flow.minutes.empty()) row["oldest"] = rfc3339(flow.minutes.front().minute);
  if (flow.retry_at) {
    const auto wait = std::max(Duration{}, *flow.retry_at - now.mono);
    row["next_attempt"] = rfc3339(now.civil + std::chrono::ceil<std::chrono::seconds>(wait));
  }
  if (flow.last_error) {
    row["code"] = code_row(flow.last_error->code).name;
    row["last_error"] = flow.last_error->text;
  }
  return row;
}

}  // namespace

json::object Core::Impl::queue_object() const {
  json::object object{{"messages", durable.queue.messages()}, {"bytes", durable.queue.bytes()}};
  if (const auto failing = durable.queue.failing()) object["failing"] = error_object(*failing);
  return object;
}

std::string Core::Impl::queue_list(const ControlQuestion& question, Now now) const {
  json::array rows;
  const auto cutoff = cutoff_of(question, now.civil);
  for (const auto& flow : durable.queue.flows()) {
    if (cutoff && (flow.minutes.empty() || flow.minutes.front().minute >= *cutoff)) continue;
    if (!question.domain.empty() && flow.flow.pair.remote.ascii() != question.domain &&
        flow.flow.pair.local.ascii() != question.domain)
      continue;
    rows.push_back(row_of(flow, now));
  }
  return json::serialize(json::object{{"queue", queue_object()},
                                      {"age_minutes", json::array(kAgeMinutes.begin(), kAgeMinutes.end())},
                                      {"flows", std::move(rows)}});
}

// `domain`: a remote domain; empty: every one.
std::string Core::Impl::queue_order(const ControlQuestion& question, Now now) {
  std::optional<xmpp::Domain> remote;
  if (!question.domain.empty()) {
    auto domain = xmpp::Domain::parse(question.domain);
    if (!domain) return refusal(domain.error());
    remote = *std::move(domain);
  }
  const auto cutoff = cutoff_of(question, now.civil);
  if (question.ask == "queue retry") {
    const std::size_t flows = durable.queue.retry(remote, cutoff.value_or(UnixTime::max()));
    return json::serialize(json::object{{"flows", flows}});
  }
  const std::uint64_t messages =
      durable.queue.purge(remote, cutoff.value_or(now.civil + std::chrono::seconds(1)));
  log.log({LogLevel::kWarning,
           "queue.purged",
           {{"remote", remote ? remote->ascii() : "all"}, {"messages", std::to_string(messages)}}});
  return json::serialize(json::object{{"messages", messages}});
}

}  // namespace sallyport::gate
