// The questions of an edge about pairs (link ADMIT) that are not answered yet: one question for each pair,
// however many streams wait for its answer.
//
// At most limits::kAdmissionQuestionsMax questions are on the link; the others wait, and leave in turns of
// their sources, so that a source with many questions delays only itself. At most
// limits::kAdmissionAskersMax streams and pairs wait in all; when one more comes, the source that has the
// most waiting loses its newest one. The questions of the edge itself (pairs that are proved already) are
// bounded by the proved pairs and lose nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "gate/admission_cache.h"
#include "gate/event.h"

namespace sallyport::gate {

class AdmissionQueue {
 public:
  // A stream that waits for the answer about a pair.
  struct Waiting {
    xmpp::Pair pair;
    ConnId conn;
    bool operator==(const Waiting&) const = default;
  };
  // A question whose answer has come, or which is given up.
  struct Done {
    xmpp::Pair pair;
    AdmissionSource source;  // that is charged: the first that asked
    std::vector<ConnId> streams;
    bool proved = false;  // the edge itself asked: the pair is proved on some stream
  };

  // The stream waits for the answer about the pair. Returns the question that is dropped because too many
  // wait: another stream's, this one's, or none.
  std::optional<Waiting> ask(const xmpp::Pair& pair, ConnId conn, const AdmissionSource& source);
  // The edge wants to know, since the pair is proved on some stream.
  void ask_again(const xmpp::Pair& pair);
  // The next question to put on the link, if one may go; `sent` has to follow.
  std::optional<xmpp::Pair> next();
  void sent(const xmpp::Pair& pair, std::uint64_t id, Time now);
  // Nothing: no question of that number is out.
  std::optional<Done> answered(std::uint64_t id);
  // The questions that were sent limits::kDialbackTimeout ago: the core owes the answer, and no stream waits
  // so long.
  std::optional<Done> expired(Time now);
  // Forgets all questions, and who waits for them.
  void clear();
  // Drops what the edge itself wants to know and has not sent: a new policy has to be asked about anew.
  void drop_again();

  std::size_t waiting() const { return waiting_; }

 private:
  struct Asker {
    ConnId conn;
    AdmissionSource source;
  };
  struct Question {
    AdmissionSource source;
    std::vector<Asker> askers;
    bool proved = false;
    bool sent = false;
  };
  struct Out {
    xmpp::Pair pair;
    Time since;
  };
  using Questions = std::map<xmpp::Pair, Question>;

  Question& question_of(const xmpp::Pair& pair, const AdmissionSource& source);
  std::optional<Waiting> drop_newest(const AdmissionSource& source);
  void uncount(const AdmissionSource& source, const Waiting& one);
  Done finish(Questions::iterator at);

  Questions questions_;
  std::map<std::uint64_t, Out> out_;  // on the link; numbers grow with time
  // Not sent yet, by source; which source was served last.
  std::map<AdmissionSource, std::deque<xmpp::Pair>> unsent_;
  AdmissionSource served_;
  std::map<AdmissionSource, std::vector<Waiting>> waiting_of_;  // in the order they came
  std::size_t waiting_ = 0;
};

}  // namespace sallyport::gate
