#include "s2s/receive_lane.h"

#include <string>

namespace sallyport::s2s {

void ReceiveLane::add(PeerProof proof) {
  std::erase_if(ended_, [&proof](const Ended& ended) { return ended.proof.pair() == proof.pair(); });
  proofs_.push_back(std::move(proof));
}

Result<StanzaRejected> ReceiveLane::reject(const xmpp::Stanza& stanza) const {
  const xmpp::Jid from = stanza.from();
  const xmpp::Jid to = stanza.to();
  const auto ended = std::ranges::find_if(ended_, [&stanza](const Ended& each) {
    return stanza.is_between(each.proof.pair().remote, each.proof.pair().local);
  });
  if (ended == ended_.end()) return stray_error(from.domain(), to.domain());
  return StanzaRejected{ended->proof,
                        {ended->error, stanza.kind(), from.domain(), from, to.domain(), to.text(),
                         std::string(stanza.id()), std::string(stanza.type())}};
}

Result<StanzaRejected> ReceiveLane::reject(xmpp::BadStanza stanza) const {
  const Pair pair{stanza.to_domain, stanza.from_domain};
  if (const auto proof = std::ranges::find(proofs_, pair, &PeerProof::pair); proof != proofs_.end())
    return StanzaRejected{*proof, std::move(stanza)};
  const auto ended = std::ranges::find(ended_, pair, [](const Ended& each) { return each.proof.pair(); });
  if (ended == ended_.end()) return stray_error(stanza.from_domain, stanza.to_domain);
  stanza.error = ended->error;
  return StanzaRejected{ended->proof, std::move(stanza)};
}

Error ReceiveLane::stray_error(const xmpp::Domain& from, const xmpp::Domain& to) const {
  if (proofs_.empty()) return {Code::kStreamNotAuthorized, from.ascii()};
  const auto speaks = [&from](const PeerProof& proof) { return proof.pair().remote == from; };
  if (std::ranges::none_of(proofs_, speaks)) return {Code::kStanzaFromInvalid, from.ascii()};
  return {Code::kStanzaToInvalid, to.ascii() + " was not proved on this stream"};
}

}  // namespace sallyport::s2s
