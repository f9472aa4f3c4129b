// Dialback on a stream that we initiate (XEP-0220), where we are the originating server of our pairs
// (db:result with a key of ours), and the receiving server that asks the authoritative one about keys of
// others (db:verify).
//
// Pairs and questions that come before negotiation has ended wait for that. Each has limits::kDialbackTimeout
// for its answer. A stream whose pairs have all failed, and that has no question out, closes itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "s2s/dialback.h"
#include "s2s/initiating_negotiation.h"
#include "s2s/initiating_outputs.h"
#include "s2s/session.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

class InitiatingDialback {
 public:
  // All of them outlive it. Proofs go to the sending lane of `session`. `first` is the pair of the header;
  // with `prove_first` its stanzas are to be sent.
  InitiatingDialback(Stream& stream, const StreamPolicy& policy, Session& session, InitiatingOutputs& outputs,
                     Pair first, bool prove_first);

  // --- our pairs

  // As Outbound's.
  void add_pair(const Pair& pair);
  void handle_key(const Pair& pair, const std::string& id, Result<std::string> key);
  // Rules changed: pairs that this stream does not satisfy any longer fail.
  void check_again();
  // Whether stanzas of the header's pair are to be sent, and the peer is proved for it.
  bool may_prove_first() const;
  bool is_first_pending() const;

  // --- our questions about keys

  // As Outbound's.
  void verify(const Pair& pair, const std::string& id, const std::string& key);

  // --- both

  // Negotiation has ended: pairs and questions that waited begin.
  void start(const Negotiated& negotiated);
  // `<db:result/>` or `<db:verify/>`. A stream error where it is not an answer, or not one to what we asked
  // (XEP-0220 2.1.1; CVE-2012-3525).
  void handle_element(const xmpp::Element& element);
  // The stream has ended with `error`: every pair that waits fails, and every question is answered.
  void fail_pending(const Error& error);
  bool is_pending() const;

  // The earlier of `at` and the deadlines here.
  Time earliest(Time at) const;
  // Fails what has waited too long. A late answer is ignored, once.
  void expire();

 private:
  enum class Step : std::uint8_t {
    kWaiting,  // for the end of negotiation
    kKey,      // the owner was asked for a key
    kAsked,    // the element is written
    kReady,    // pairs only
    kFailed,
    kTimedOut,  // failed, but its answer may still come, and would be no forgery
  };
  struct PairState {
    Pair pair;
    Step step;
    Time deadline;
  };
  struct Question {
    Pair pair;
    std::string id;
    std::string key;
    Step step;  // kWaiting, kAsked, kTimedOut
    Time deadline;
  };
  static bool waits(Step step) {
    return step == Step::kWaiting || step == Step::kKey || step == Step::kAsked;
  }

  Result<PeerProof> prove_peer(const Pair& pair) const;
  Result<void> make_room(const Pair& pair);
  void start_pair(PairState& state);
  void handle_result(const DialbackElement& answer);
  void make_ready(PairState& state);
  void fail_pair(PairState& state, Error error, Step step = Step::kFailed);
  // Ends a stream that can be of no more use; `ours`: the peer learns our reason.
  void close_if_useless(const Error& error, bool ours);
  void ask(Question& question);
  void handle_verify_answer(const DialbackElement& answer);
  void answer_question(const Question& question, Result<VerifyAnswer> answer);
  void write_request(const DialbackElement& request);
  auto find(const Pair& pair) { return std::ranges::find(pairs_, pair, &PairState::pair); }
  auto find(const Pair& pair) const { return std::ranges::find(pairs_, pair, &PairState::pair); }

  Stream& stream_;
  const StreamPolicy& policy_;
  Session& session_;
  InitiatingOutputs& outputs_;
  const Pair first_;
  std::optional<Negotiated> negotiated_;  // unset until negotiation has ended
  std::vector<PairState> pairs_;
  std::vector<Question> questions_;
};

}  // namespace sallyport::s2s
