// A durable queue with a spool in memory, in virtual time.
#pragma once

#include "gate/durable_queue.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/overloaded.h"
#include "gate/role_fixture.h"
#include "store/memory_spool_for_test.h"

namespace sallyport::gate {

using namespace std::chrono_literals;
using policy::Direction;

inline const store::Flow kOut{Direction::kOut, {domain("example.com"), domain("far.example")}};
inline const store::Flow kIn{Direction::kIn, {domain("example.com"), domain("far.example")}};
inline const store::Flow kElsewhere{Direction::kOut, {domain("example.com"), domain("near.example")}};
inline const Error kDown{Code::kDialRefused, "nobody listens"};

inline xmpp::Stanza message(const std::string& id, std::size_t body = 2, const std::string& more = {}) {
  xmpp::StanzaReader reader;
  return *reader.read(fmt::format(
      "<message from='a@example.com' to='b@far.example' id='{}' type='chat'><body>{}</body>{}</message>", id,
      std::string(body, 'x'), more));
}

struct DurableQueueTest : ::testing::Test {
  DurableQueueTest() { starts(); }
  // A new process, with what the spool holds.
  void starts(std::uint64_t bytes_max = 64 << 20) {
    queue.emplace(DurableQueue::Setup{
        .bytes_max = bytes_max, .lifetime = 24h, .answer_patience = 2min, .random = random, .log = log});
    queue->restore(spool.contents(), now);
    on_way.clear();
  }
  bool accepts(const std::string& id, const store::Flow& flow = kOut, std::size_t body = 2) {
    auto stanza = message(id, body);
    const auto result = queue->accept(flow, stanza, ++receipts, now);
    takes();
    return result.has_value();
  }
  // What the queue asks for by now: "send 1", "accepted 1", "bounced 1 code".
  Lines events() { return std::exchange(lines, {}); }
  // The spool carries out what it was given.
  void stores() {
    takes();
    while (const auto batch = queue->poll_batch(now)) {
      ++batches;
      queue->handle_answer(spool.carry_out(*batch), now);
      takes();
    }
  }
  bool settles(const std::string& id, std::optional<Error> refused = std::nullopt) {
    const std::uint64_t number = on_way.at(id).message;
    const bool left = queue->handle_settled(number, refused, now);
    on_way.erase(id);
    if (left && refused) unanswered.push_back(number);
    takes();
    return left;
  }
  // The answers arrive, of which those who wait for more are sent meanwhile.
  void is_answered() {
    for (const auto number : std::exchange(unanswered, {})) queue->handle_answered(number, {}, now);
    stores();
  }
  void is_not_answered(const Error& lost) {
    for (const auto number : std::exchange(unanswered, {})) queue->handle_answered(number, lost, now);
    stores();
  }
  void passes(Duration time) {
    const Time until = now.mono + time;
    while (const auto at = queue->poll_timeout()) {
      if (*at > until) break;
      move_to(std::max(*at, now.mono));
      queue->handle_timeout(now);
      stores();
    }
    move_to(until);
  }
  void move_to(Time time) {
    fraction += time - now.mono;
    now.civil += std::chrono::floor<std::chrono::seconds>(fraction);
    fraction -= std::chrono::floor<std::chrono::seconds>(fraction);
    now.mono = time;
  }
  void takes() {
    while (auto event = queue->poll()) {
      std::visit(Overloaded{[&](DurableQueue::Send& send) {
                              const std::string id(send.stanza.id());
                              lines.push_back("send " + id);
                              on_way.insert_or_assign(id, std::move(send));
                            },
                            [&](DurableQueue::Accepted& accepted) {
                              lines.push_back(fmt::format("accepted {}", accepted.receipt));
                            },
                            [&](DurableQueue::Bounced& bounced) {
                              lines.push_back(fmt::format("bounced {} {}", bounced.stanza.id(),
                                                          code_row(bounced.error.code).name));
                              unanswered.push_back(bounced.message);
                            }},
                 *event);
    }
    if (!answers_arrive) return;
    for (const auto number : std::exchange(unanswered, {})) queue->handle_answered(number, {}, now);
  }

  KeptLog log;
  Random37 random;
  store::MemorySpool spool;
  Now now{Time{1h}, UnixTime{1'700'000'000s}};
  Duration fraction{};
  std::optional<DurableQueue> queue;
  std::map<std::string, DurableQueue::Send> on_way;
  Lines lines;
  bool answers_arrive = true;  // at once
  std::vector<std::uint64_t> unanswered;
  Ticket receipts = 0;
  int batches = 0;
};

}  // namespace sallyport::gate
