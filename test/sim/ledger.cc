#include "ledger.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kMark = "xmlns='urn:sim' n='";
// Its id is the number, too: a bounce has nothing else.
constexpr std::string_view kIdMark = " id='s";
constexpr std::size_t kTailBytes = 32;
// Each death, and each end of a stream, may double what was on its way then; but no more than this. A core
// sends what is on its disk, and its server once more what was not acknowledged: 1, 2 and 3 copies in the
// lives before, between and after two deaths. A receiver that confirms nothing gets each of them once more
// when its stream ends.
constexpr std::size_t kCopiesMax = 12;

std::string_view digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return text.substr(at, end - at);
}

std::uint64_t number_of(std::string_view digits) {
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// Every stanza number in the bytes, and where its mark is; the marks of one sort in order.
template <typename F>
void each_mark(std::string_view bytes, F&& f) {
  for (const auto mark : {kIdMark, kMark})
    for (auto at = bytes.find(mark); at != bytes.npos; at = bytes.find(mark, at + 1))
      if (const auto number = number_of(digits_at(bytes, at + mark.size())); number != 0) f(number, at);
}

struct Mark {
  std::uint64_t number = 0;
  std::size_t at = 0;
};

// The last stanza number in the bytes; 0 when there is none.
Mark newest_mark(std::string_view bytes) {
  Mark newest;
  for (const auto mark : {kIdMark, kMark}) {
    const auto at = bytes.rfind(mark);
    if (at == bytes.npos || at < newest.at) continue;
    const auto number = number_of(digits_at(bytes, at + mark.size()));
    if (number != 0) newest = {number, at};
  }
  return newest;
}

}  // namespace

std::uint64_t Ledger::sent(Entry entry) {
  entry.sent = schedule_.now();
  entries_.push_back(std::move(entry));
  return entries_.size();
}

Ledger::Entry* Ledger::entry_of(std::string_view digits) {
  const auto number = number_of(digits);
  return number == 0 || number > entries_.size() ? nullptr : &entries_[number - 1];
}

std::string Ledger::outward(std::string jid) const {
  const auto at = jid.find(node_);
  if (at != jid.npos) jid.replace(at, node_.size(), alias_);
  return jid;
}

void Ledger::violated(const std::string& invariant, std::uint64_t number, const std::string& text) const {
  throw Violation(invariant, text + ": " + story(number));
}

std::string Ledger::story(std::uint64_t number) const {
  static const char* const kSorts[] = {"message", "subscribe", "presence", "request", "result", "error"};
  if (number == 0 || number > entries_.size()) return fmt::format("stanza {} (nobody sent it)", number);
  const Entry& e = entries_[number - 1];
  return fmt::format(
      "stanza {} ({}, {} -> {}, sent at {:.6f} s{}): delivered {}, answered {}, given back {}{}", number,
      kSorts[static_cast<int>(e.sort)], e.from, e.to,
      std::chrono::duration<double>(e.sent.time_since_epoch()).count(), e.forged ? ", forged" : "",
      e.delivered, e.errors, e.failed, e.uncertain ? ", uncertain" : "");
}

void Ledger::arrived(const std::string& server, const xmpp::Stanza& stanza) {
  if (stanza.xml().find(">forged<") != stanza.xml().npos)
    throw Violation("proof", "a forged stanza reached " + server + ": " + std::string(stanza.xml()));
  const auto at = stanza.xml().find(kMark);
  if (at == stanza.xml().npos && stanza.is_error()) {
    if (!stanza.id().starts_with("s"))
      throw Violation("answers", "an error for nothing reached " + server + ": " + std::string(stanza.xml()));
    const auto number = number_of(stanza.id().substr(1));
    Entry* entry = entry_of(stanza.id().substr(1));
    if (entry == nullptr)
      throw Violation("answers", "an error for nothing reached " + server + ": " + std::string(stanza.xml()));
    return count_error(*entry, number, stanza);
  }
  if (at == stanza.xml().npos && stanza.kind() == xmpp::StanzaKind::kPresence)
    return count_taken_back(server, stanza);
  const auto digits =
      at == stanza.xml().npos ? std::string_view() : digits_at(stanza.xml(), at + kMark.size());
  Entry* entry = entry_of(digits);
  if (entry == nullptr)
    throw Violation("proof", "nobody sent what reached " + server + ": " + std::string(stanza.xml()));
  count_delivery(*entry, number_of(digits), stanza);
}

// A node takes back what was shown, and nothing else; and asks for those of whom it took something back.
void Ledger::count_taken_back(const std::string& server, const xmpp::Stanza& stanza) {
  const std::string from = outward(stanza.from().text()), to = outward(stanza.to().text());
  const bool is_probe = stanza.type() == "probe";
  const auto is_of = [](const std::string& address, const std::string& bare) {
    return address == bare || address.starts_with(bare + "/");
  };
  const bool was_shown = std::ranges::any_of(entries_, [&](const Entry& each) {
    if (each.sort != Sort::kPresence) return false;
    return is_probe ? is_of(each.from, to) && is_of(each.to, from) : each.from == from && each.to == to;
  });
  if (!was_shown || (!is_probe && stanza.type() != "unavailable"))
    throw Violation("presence",
                    "what nobody was shown is taken back at " + server + ": " + std::string(stanza.xml()));
}

void Ledger::count_delivery(Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza) {
  if (entry.forged) violated("proof", number, "a forged stanza was delivered");
  if (outward(stanza.from().text()) != entry.from || outward(stanza.to().text()) != entry.to)
    violated("addresses", number, "it arrived as " + stanza.from().text() + " -> " + stanza.to().text());
  check_policy(entry, number);
  // Only what somebody must answer for is missed.
  if (entry.sort == Sort::kMessage && entry.reliable && std::exchange(forget_next_, false))
    entry.forgotten = true;
  if (entry.forgotten) return;
  const bool excused = is_excused(entry);
  // A refusal is no answer yet: one that arrives later counts itself.
  if (entry.delivered + entry.errors > 0) ++repeated_;
  // What was answered may have been sent again before its server knew.
  const bool was_answered = entry.errors > 0 || (entry.refused && !entry.unanswered);
  const bool again = entry.delivered++ > 0 || (was_answered && excused);
  ++delivered_;
  if (again) {
    // Who never says what it has read gets what is kept on disk at each attempt.
    const bool too_often =
        entry.reliable && entry.partner != "liar.example" && entry.delivered > copies_max(entry);
    // A request could have its effect twice: whoever does not know whether it arrived answers it instead.
    const bool is_twice_done = entry.reliable && entry.sort == Sort::kRequest && entry.delivered > 1;
    if (!excused || too_often || is_twice_done) violated("exactly once", number, "it came twice");
    return;  // what comes twice comes from its first place on again
  }
  if (!entry.done) entry.done = schedule_.now();
  if ((entry.errors != 0 || entry.failed != 0) && !entry.doubted && !excused && !given_up_since(entry.sent))
    violated("delivered or answered", number, "it was answered, and delivered");
  // Its first copy may have been refused in silence, or the answer may be lost.
  const bool has_no_answer =
      entry.sort == Sort::kPresence || entry.sort == Sort::kResult || entry.sort == Sort::kError;
  if (excused && (has_no_answer || entry.uncertain)) return;
  auto& last = last_[{entry.from, entry.to, messages_alone_ && entry.sort == Sort::kMessage}];
  if (number < last && may_have_changed_edges(entry)) return;
  if (number < last) violated("order", number, fmt::format("it arrived behind {}", last));
  last = number;
}

// A process died, or a stream: what it had not confirmed may come again.
bool Ledger::is_excused(const Entry& entry) const {
  return entry.ends > 0 || given_up_since(entry.sent) ||
         (promise_ == Promise::kAtLeastOnce && died_between(entry.sent, schedule_.now()));
}

void Ledger::count_error(Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza) {
  ++answered_;
  if (stanza.xml().find(code_row(Code::kDeliveryUncertain).sentence) != stanza.xml().npos)
    entry.doubted = true;
  if (entry.sort == Sort::kError || entry.sort == Sort::kResult)
    violated("no error for an error", number, "an answer was answered");
  if (outward(stanza.to().text()) != entry.from)
    violated("addresses", number, "its answer went to " + stanza.to().text());
  check_code(entry, number, stanza);
  const bool excused = is_excused(entry);
  if (entry.errors + entry.delivered > 0) ++repeated_;
  if (++entry.errors > 1 && (!excused || entry.errors > copies_max(entry)))
    violated("delivered or answered", number, "it was answered twice");
  if (!entry.done) entry.done = schedule_.now();
  if (entry.delivered != 0 && !entry.doubted && !excused && !given_up_since(entry.sent))
    violated("delivered or answered", number, "it was delivered, and answered");
  if (entry.failed != 0 && !entry.doubted && !excused)
    violated("delivered or answered", number, "it was given back, and answered");
}

void Ledger::failed(const xmpp::Stanza& stanza, const Error& error) {
  const auto at = stanza.xml().find(kMark);
  if (at == stanza.xml().npos) return;
  const auto digits = digits_at(stanza.xml(), at + kMark.size());
  Entry* entry = entry_of(digits);
  if (entry == nullptr) return;
  ++entry->failed;
  if (error.code == Code::kDeliveryUncertain) entry->doubted = true;
  if (!entry->done) entry->done = schedule_.now();
  if (entry->delivered != 0 && !entry->doubted && entry->reliable && promise_ == Promise::kExactlyOnce)
    violated("delivered or answered", number_of(digits), "it was delivered, and given back");
}

// Refused all the time from its sending on: it must not arrive.
void Ledger::check_policy(const Entry& entry, std::uint64_t number) const {
  // In this world nobody sends an error that answers a message; presence may have been asked for.
  if (only_answers_.contains(entry.partner) && entry.from.find("@" + entry.partner) != entry.from.npos &&
      entry.sort != Sort::kResult && entry.sort != Sort::kPresence)
    violated("policy", number, "a pair that may not start delivers");
  const auto it = refused_.find(entry.partner);
  if (it == refused_.end() || it->second.empty()) return;
  for (const auto& refusal : it->second)
    if (refusal.since < entry.sent && !refusal.until) violated("policy", number, "a refused pair delivers");
}

void Ledger::refused_by_direction(std::string_view id) {
  const std::string_view digits = id.substr(std::min<std::size_t>(1, id.size()));
  const auto number = number_of(digits);
  const Entry* entry = entry_of(digits);
  // A result has the id of the request. A core that was started anew knows no requests.
  const bool by_partner = entry == nullptr || entry->from.find("@" + entry->partner) != entry->from.npos;
  if (!by_partner && promise_ == Promise::kExactlyOnce && !given_up_since(entry->sent))
    violated("policy", number, "the answer to it does not pass");
}

void Ledger::refuse(const std::string& partner, bool on) {
  auto& list = refused_[partner];
  if (on) {
    list.push_back({schedule_.now(), std::nullopt});
  } else if (!list.empty()) {
    list.back().until = schedule_.now();
  }
}

// --- cuts

void Ledger::read(std::uint64_t flow, std::string_view bytes) {
  Flow& at = flows_[flow];
  at.tail.append(bytes);
  std::size_t newest = 0;
  each_mark(at.tail, [&](std::uint64_t number, std::size_t where) {
    const bool is_new = at.numbers.insert(number).second;
    if (is_new && at.over && number <= entries_.size()) ++entries_[number - 1].ends;
    if (where >= newest) at.last = number, newest = where;
  });
  if (at.tail.size() > kTailBytes) at.tail.erase(0, at.tail.size() - kTailBytes);
}

void Ledger::ended(std::uint64_t flow) {
  if (std::exchange(flows_[flow].over, true)) return;
  for (const std::uint64_t number : flows_[flow].numbers)
    if (number <= entries_.size()) ++entries_[number - 1].ends;
}

void Ledger::lost(std::uint64_t flow, std::string_view unread, std::string_view bytes, bool by_node) {
  auto& [tail, last, numbers, over] = flows_[flow];
  const auto mark = [&](std::uint64_t number, std::size_t = 0) {
    if (number == 0 || number > entries_.size()) return;
    entries_[number - 1].uncertain = true;
    if (!by_node) entries_[number - 1].lost_elsewhere = true;
  };
  // The last one that arrived may have arrived in part; a number may be cut in two.
  const std::string arrived = tail + std::string(unread);
  const auto newest = newest_mark(arrived);
  mark(newest.number == 0 ? last : newest.number);
  each_mark(arrived.substr(newest.at) + std::string(bytes), mark);
  tail.append(bytes);
  if (tail.size() > kTailBytes) tail.erase(0, tail.size() - kTailBytes);
}

void Ledger::answer_lost(std::string_view id) {
  if (!id.starts_with("s")) return;
  if (Entry* entry = entry_of(id.substr(1)))
    entry->uncertain = entry->lost_elsewhere = entry->unanswered = true;
}

void Ledger::refused_by_node(std::string_view id) {
  if (!id.starts_with("s")) return;
  if (Entry* entry = entry_of(id.substr(1))) entry->refused = true;
}

std::ptrdiff_t Ledger::deaths_between(Time from, Time to) const {
  return std::ranges::count_if(deaths_,
                               [&](const auto& each) { return each.first >= from && each.first <= to; });
}

// A core keeps what an edge has not settled, and an edge what a core has not: for as long without a link.
bool Ledger::holder_died(const Entry& entry) const {
  const Process holder = is_from_outside(entry) ? Process::kEdge : Process::kCore;
  return std::ranges::any_of(deaths_, [&](const auto& each) {
    return each.second == holder && each.first >= entry.sent &&
           each.first <= entry.sent + limits::kLinkSessionKept;
  });
}

std::size_t Ledger::copies_max(const Entry& entry) const {
  const auto doublings = entry.ends + static_cast<std::size_t>(deaths_between(entry.sent, schedule_.now()));
  return doublings > 3 ? kCopiesMax : std::min(kCopiesMax, std::size_t{1} << doublings);
}

// An inbound stanza of a refused pair is dropped: the pair may not be answered either.
bool Ledger::refused_meanwhile(const Entry& entry) const {
  const auto it = refused_.find(entry.partner);
  if (it == refused_.end() || entry.from.find("@" + entry.partner) == entry.from.npos) return false;
  for (const auto& refusal : it->second)
    if (refusal.since <= entry.sent + 30s && (!refusal.until || *refusal.until >= entry.sent)) return true;
  return false;
}

bool Ledger::is_from_outside(const Entry& entry) {
  return entry.from.find("@" + entry.partner) != entry.from.npos;
}

bool Ledger::may_have_changed_edges(const Entry& entry) const {
  if (is_from_outside(entry)) {
    return std::ranges::any_of(link_failures_,
                               [&](Time at) { return at > entry.sent - 40s && at <= schedule_.now(); });
  }
  // Who confirms nothing may read what the drained edge has written beside what the other one writes.
  if (is_unconfirmed_at_drained(entry)) return true;
  // A stanza that the edge had refused before its link was lost goes to the other one, or to the next process
  // of it, behind those that the first did deliver: the core has not heard of either.
  return (!link_failures_.empty() || any_died()) && std::ranges::any_of(link_breaks_, [&](const auto& each) {
           return each.second >= entry.sent && each.second - each.first >= limits::kLinkDeadAfter - 1s;
         });
}

bool Ledger::is_unconfirmed_at_drained(const Entry& entry) const {
  return !is_from_outside(entry) && unconfirmed_.contains(entry.partner) && !drains_.empty() &&
         drains_.back() >= entry.sent;
}

bool Ledger::is_lost_unconfirmed(const Entry& entry) const {
  if (!entry.uncertain || entry.lost_elsewhere || is_unconfirmed_at_drained(entry)) return false;
  if (promise_ == Promise::kAtLeastOnce || given_up_since(entry.sent)) return false;
  // No ping stands behind the answer to a request: it counts as read when the socket took it.
  if (entry.sort == Sort::kRequest && entry.refused) return false;
  const auto confirms = [this](const std::string& address) {
    return !unconfirmed_.contains(xmpp::Jid::parse(address)->domain().ascii());
  };
  return confirms(entry.to) && (!entry.refused || confirms(entry.from));
}

bool Ledger::given_up_since(Time from) const { return !given_up_.empty() && given_up_.back() >= from; }

// --- the end

// What a stream lost may still have an end: a node that knows that it was not confirmed keeps it until the
// peer can be reached, and sends it again.
std::size_t Ledger::open() const {
  return static_cast<std::size_t>(std::ranges::count_if(entries_, [this](const Entry& entry) {
    return is_owed_an_end(entry) && (!entry.uncertain || is_lost_unconfirmed(entry));
  }));
}

bool Ledger::is_owed_an_end(const Entry& e) const {
  if (e.forged || e.delivered + e.errors + e.failed != 0) return false;
  // Nobody may answer a result, an error or most presence (RFC 6120 8.3.1, RFC 6121 8.5).
  if (e.sort == Sort::kResult || e.sort == Sort::kError || e.sort == Sort::kPresence) return false;
  return e.reliable && !refused_meanwhile(e);
}

void Ledger::close() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    if (!is_owed_an_end(e)) continue;
    if (e.forgotten) violated("delivered or answered", i + 1, "it is lost");
    ++missing_;
    // A drained edge ends its stream to a server that confirms nothing, and does not learn what was read.
    if (e.uncertain && !e.lost_elsewhere && !is_unconfirmed_at_drained(e)) ++missing_by_nodes_;
    if (is_lost_unconfirmed(e)) violated("delivered or answered", i + 1, "a stream lost it for good");
    if (e.uncertain) continue;
    // The other node had its answer, and died too, or could not open a stream for it without the one that
    // died.
    if (e.refused && died_between(e.sent, e.sent + limits::kLinkSessionKept)) continue;
    // An edge that has no link for a minute forgets what came from outside.
    if (!e.guarded && is_from_outside(e) && given_up_since(e.sent)) continue;
    if (!e.guarded && holder_died(e)) continue;
    violated("delivered or answered", i + 1, "it is lost");
  }
}

std::optional<Time> Ledger::first_arrival_of_those_sent_since(Time time, const std::string& from,
                                                              const std::string& to) const {
  std::optional<Time> first;
  for (const auto& entry : entries_)
    if (entry.sent >= time && entry.from == from && entry.to == to && entry.delivered != 0 && entry.done &&
        (!first || *entry.done < *first))
      first = entry.done;
  return first;
}

}  // namespace sallyport::sim
