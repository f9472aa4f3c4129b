// For tests with many stanzas: the outcome of each follows from its id.
#pragma once

#include <string>

#include "link/session.h"

namespace sallyport::link {

// The outcome of the stanza with that id: every third is refused.
inline Outcome outcome_of(const std::string& id) {
  if (std::stoi(id) % 3 != 0) return std::nullopt;
  return Error{Code::kDialTimeout, "stanza " + id};
}
// The outcome that the sender receives: a core sends an edge codes without texts.
inline Outcome outcome_at_sender(const std::string& id, NodeRole sender) {
  Outcome outcome = outcome_of(id);
  if (outcome && sender == NodeRole::kEdge) outcome->text.clear();
  return outcome;
}

}  // namespace sallyport::link
