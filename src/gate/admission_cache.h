// An edge's memory of its core's answers about pairs (link ADMIT): one answer for each pair, valid while the
// policy is in use under which the pair was asked about.
//
// Names cost a peer nothing, so the memory is bounded and shared fairly: each answer is charged to the source
// whose stream caused the question. When the memory is full, the source that holds the most answers loses the
// one that it has not used for the longest time. A lost answer costs one more question.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "base/limits.h"
#include "base/result.h"
#include "dns/address.h"
#include "xmpp/jid.h"

namespace sallyport::gate {

// Is charged for a question: an IPv4 address or an IPv6 /64 network. Nothing: this edge itself.
using AdmissionSource = std::optional<dns::Ip>;
AdmissionSource admission_source(const dns::Ip& peer);

class AdmissionCache {
 public:
  explicit AdmissionCache(std::size_t most = limits::kAdmissionsRememberedMax) : most_(most) {}

  // Nothing: the answer is not known. Otherwise the core's refusal, or none where it admits the pair. The
  // pointer is valid until the next change. A look-up counts as a use.
  const std::optional<Error>* find(const xmpp::Pair& pair);
  // Replaces what was known of the pair.
  void note(const xmpp::Pair& pair, const AdmissionSource& source, std::optional<Error> refusal);
  void clear();
  std::size_t size() const { return answers_.size(); }

 private:
  using Order = std::list<xmpp::Pair>;  // of one source: the most recently used pair first
  struct Answer {
    std::optional<Error> refusal;
    AdmissionSource source;
    Order::iterator place;
  };
  void count(const AdmissionSource& source, const Order& held, std::size_t before);
  void erase(std::map<xmpp::Pair, Answer>::iterator at);

  const std::size_t most_;
  std::map<xmpp::Pair, Answer> answers_;
  std::map<AdmissionSource, Order> held_;
  std::set<std::pair<std::size_t, AdmissionSource>> by_size_;  // of `held_`
};

}  // namespace sallyport::gate
