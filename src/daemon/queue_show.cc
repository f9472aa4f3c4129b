#include "daemon/queue_show.h"
#include "base/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "gate/control.h"
#include "xmpp/xml_stream.h"

namespace sallyport::daemon {

namespace json = boost::json;

namespace {

Error refused(std::string text) { return {Code::kControlRefused, std::move(text)}; }

json::object row_of(const net::SpooledMessage& message, xmpp::StanzaReader& reader,
                    std::chrono::seconds lifetime, UnixTime now) {
  json::object row{{"number", message.number},
                   {"direction", policy::direction_name(message.flow.direction)},
                   {"local", message.flow.pair.local.ascii()},
                   {"remote", message.flow.pair.remote.ascii()},
                   {"bytes", message.xml.size()},
                   {"accepted", rfc3339(message.accepted)},
                   {"waited", std::max(std::chrono::seconds{}, now - message.accepted).count()},
                   {"expires", rfc3339(message.accepted + lifetime)}};
  const Result<xmpp::Stanza> stanza = reader.read(message.xml);
  if (!stanza) {
    row["error"] = gate::error_object({stanza.error().code, "the stored stanza is not valid"});
    return row;
  }
  row["from"] = stanza->from_text();
  row["to"] = stanza->to_text();
  row["type"] = stanza->type().empty() ? "normal" : stanza->type();
  if (!stanza->id().empty()) row["id"] = stanza->id();
  return row;
}

}  // namespace

Result<net::SpoolFilter> queue_filter(const json::object& question, UnixTime now) {
  net::SpoolFilter filter{limits::kQueueShown};
  boost::system::error_code failed;
  if (const json::value* number = question.if_contains("number")) {
    filter.number = number->to_number<std::uint64_t>(failed);
    if (failed) return refused("`number` is not the number of a message");
  }
  if (const json::value* domain = question.if_contains("domain")) {
    if (!domain->is_string()) return refused("`domain` is not a text");
    Result<xmpp::Domain> remote = xmpp::Domain::parse(domain->get_string());
    if (!remote) return refused(fmt::format("`domain` is not a domain: {}", remote.error().text));
    filter.remote = *std::move(remote);
  }
  if (!filter.number && !filter.remote) return refused("neither `number` nor `domain` is given");
  if (const json::value* count = question.if_contains("count")) {
    filter.count = count->to_number<std::size_t>(failed);
    if (failed || filter.count == 0 || filter.count > limits::kQueueShownMax)
      return refused(fmt::format("`count` is not a number from 1 to {}", limits::kQueueShownMax));
  }
  if (const json::value* older = question.if_contains("older_than")) {
    const auto seconds = older->to_number<std::uint32_t>(failed);
    if (failed) return refused("`older_than` is not a number of seconds");
    filter.accepted_before = now - std::chrono::seconds(seconds) + std::chrono::seconds(1);
  }
  return filter;
}

std::string answer_queue_show(const std::string& spool, const net::SpoolFilter& filter,
                              std::chrono::seconds lifetime, UnixTime now) {
  json::array rows;
  bool more = false;
  xmpp::StanzaReader reader;
  net::SpoolFilter and_one_more = filter;
  ++and_one_more.count;
  const Result<void> listed = net::Spool::list(spool, and_one_more, [&](const net::SpooledMessage& message) {
    more = rows.size() == filter.count;
    if (!more) rows.push_back(row_of(message, reader, lifetime, now));
  });
  if (!listed) return gate::refusal(listed.error());
  return json::serialize(json::object{{"messages", std::move(rows)}, {"more", more}});
}

}  // namespace sallyport::daemon
