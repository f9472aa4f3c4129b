// Sessions of accepted streams that a peer may resume (stream management, XEP-0198 5): of streams that live,
// and, for limits::kResumeTime, of streams that broke. All that a session has is a count of the stanzas that
// are taken care of; what came on a lost stream may still be on its way, and is counted when its owner says
// so.
//
// A peer that resumes is answered when all that came is taken care of, so that it sends nothing a second
// time, and after limits::kResumeAnswerDelay at the latest, then with what is.
//
// Bounded: a peer has its share of limits::kSuspendedMax, and one more session is over at once; when all
// places are taken, the peer with most loses its oldest. Pure; one for each endpoint.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/shares.h"
#include "base/time.h"
#include "gate/event.h"
#include "s2s/handled_count.h"
#include "s2s/inbound.h"
#include "xmpp/jid.h"

namespace sallyport::gate {

class SuspendedStreams {
 public:
  SuspendedStreams();

  // The stream's session has that id, from now on.
  void open(const std::string& id, ConnId conn) { streams_[id] = conn; }
  // The stream has ended, and its session with it.
  void close(const std::string& id) { streams_.erase(id); }
  // The stream broke; its session waits. `pair`: that it proved; `peer`: that it counts for.
  void suspend(ConnId conn, s2s::Inbound::Suspended session, xmpp::Pair pair, const std::string& peer,
               Time now);
  // Whether the stream broke, and its session waits.
  bool has(ConnId conn) const { return suspended_.contains(conn); }

  // The stream of the session with that id, broken or not.
  std::optional<ConnId> find(const std::string& id) const;
  // The pair of the session. Precondition: has(conn).
  const xmpp::Pair& pair(ConnId conn) const { return suspended_.at(conn).pair; }
  // The stream `by` awaits the answer whether the session goes on there. Precondition: has(conn).
  void await(ConnId conn, ConnId by, Time now);

  // The stanza of that number, of a stream that broke, is taken care of.
  void handle(ConnId conn, std::uint32_t number);

  // What a stream that awaits it is to be told. Once for each.
  struct Answer {
    ConnId to;
    std::string id;
    bool resumes;  // the session goes on; otherwise it is over
    s2s::HandledCount count;
  };
  void handle_timeout(Time now);
  std::optional<Answer> poll();
  std::optional<Time> poll_timeout() const;
  void clear();

 private:
  using Memory = Shares<ConnId>;
  struct Suspended {
    std::string id;
    s2s::HandledCount count;
    xmpp::Pair pair;
    Memory::Part part;
    Time until;  // it is answered, or forgotten
    std::optional<ConnId> awaited_by{};
  };
  void end(ConnId conn, bool resumes);

  Memory memory_;
  std::map<std::string, ConnId> streams_;  // by id
  std::map<ConnId, Suspended> suspended_;
  std::set<std::pair<Time, ConnId>> timers_;
  std::deque<Answer> answers_;
};

}  // namespace sallyport::gate
