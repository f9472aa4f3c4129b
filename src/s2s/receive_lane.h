// The receiving half of a session: which pairs the peer has proved on this stream, and which of them a stanza
// belongs to. A pair that policy ends while others live is remembered, so that its stanzas can be answered
// instead of ending the stream.
//
// Pure; one owner. A lane without proofs accepts nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "s2s/identity.h"
#include "xmpp/stanza.h"

namespace sallyport::s2s {

// A stanza of a proved pair.
struct StanzaReceived {
  StanzaReceived(PeerProof by, xmpp::Stanza what, std::optional<std::uint32_t> count)
      : proof(std::move(by)), stanza(std::move(what)), number(count) {}
  PeerProof proof;
  xmpp::Stanza stanza;
  // Where the peer awaits an acknowledgement: then Inbound::acknowledge, once somebody is responsible for the
  // stanza whom its loss here does not concern.
  std::optional<std::uint32_t> number;
};
// A stanza of a proved pair that cannot be moved: it has no valid sender or recipient, or check_again ended
// its pair while others live on this stream. To be answered with stanza.error, where its sender can be, and
// never on this stream.
struct StanzaRejected {
  PeerProof proof;
  xmpp::BadStanza stanza;
};

class ReceiveLane {
 public:
  // --- pairs

  // Stanzas of the pair are accepted from now on. Precondition: it has no proof here.
  void add(PeerProof proof);
  // Ends each pair for which `check(proof)`, a Result<void>, is an error; the error is kept with it.
  template <class Check>
  void end_unless(Check check) {
    std::vector<PeerProof> kept;
    for (PeerProof& proof : proofs_) {
      Result<void> good = check(std::as_const(proof));
      if (good) {
        kept.push_back(std::move(proof));
      } else {
        ended_.push_back({std::move(proof), std::move(good).error()});
      }
    }
    proofs_ = std::move(kept);
  }
  bool has(const Pair& pair) const {
    return std::ranges::find(proofs_, pair, &PeerProof::pair) != proofs_.end();
  }
  const std::vector<PeerProof>& proofs() const { return proofs_; }
  // Proved pairs, and those that were ended.
  std::size_t pairs() const { return proofs_.size() + ended_.size(); }

  // --- stanzas

  // The proof that the stanza belongs to, nullptr without; valid until the pairs change.
  const PeerProof* proof_of(const xmpp::Stanza& stanza) const {
    for (const PeerProof& proof : proofs_)
      if (stanza.is_between(proof.pair().remote, proof.pair().local)) return &proof;
    return nullptr;
  }
  // Rejects a stanza that has no proof, or one that cannot be moved, where its pair was ended or (a
  // BadStanza) is proved. Errors, which end the stream: kStreamNotAuthorized before any
  // proof; kStanzaFromInvalid where no pair has its sender's domain (RFC 6120 8.1.2.2, invalid-from);
  // kStanzaToInvalid for the domain that it is sent to (RFC 6120 8.1.1.2, improper-addressing, whether the
  // domain is served here or not: host-unknown is for headers, 4.9.3.6).
  Result<StanzaRejected> reject(const xmpp::Stanza& stanza) const;
  Result<StanzaRejected> reject(xmpp::BadStanza stanza) const;

 private:
  struct Ended {
    PeerProof proof;
    Error error;
  };
  Error stray_error(const xmpp::Domain& from, const xmpp::Domain& to) const;

  std::vector<PeerProof> proofs_;
  std::vector<Ended> ended_;
};

}  // namespace sallyport::s2s
