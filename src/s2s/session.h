// A stream after negotiation: a lane for the stanzas that come and one for those that go. Stanzas of one
// stream go one way (RFC 6120 4.5), from the initiating to the receiving entity: a session has one lane open,
// and no pair is ever proved in the other.
//
// Bidirectional streams (XEP-0288): the features and `<bidi/>` belong to the two negotiations; with it, both
// lanes are open, a pair proved to us may be added to `sending` and one that we proved to `receiving`, and
// Outbound gives the stanzas of `proof_of` as Inbound does. Nothing else decides about directions.
//
// Acknowledgements (XEP-0198) are a part beside the lanes (stream_management.h): stanzas that go are in
// flight in the sending lane until they are acknowledged.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "s2s/receive_lane.h"
#include "s2s/send_lane.h"
#include "s2s/stream.h"

namespace sallyport::s2s {

class Session {
 public:
  enum class Entity : std::uint8_t { kReceiving, kInitiating };

  // `stream` outlives the session. `us`: which end of it we are.
  Session(Stream& stream, Entity us)
      : stream_(stream), sending_(stream.now()), receives_(us == Entity::kReceiving) {}

  ReceiveLane& receiving() { return receiving_; }
  const ReceiveLane& receiving() const { return receiving_; }
  SendLane& sending() { return sending_; }
  const SendLane& sending() const { return sending_; }

  // The proof that a stanza which came belongs to; without one, nullptr, and `reject` is to be called.
  const PeerProof* proof_of(const xmpp::Stanza& stanza) const { return receiving_.proof_of(stanza); }
  // As ReceiveLane's. Error besides, where the peer may send no stanza on this stream at all: kStreamOrder.
  template <class AnyStanza>
  Result<StanzaRejected> reject(AnyStanza&& stanza) const {
    if (!receives_) return Error{Code::kStreamOrder, "stanza"};
    return receiving_.reject(std::forward<AnyStanza>(stanza));
  }

  // Writes the stanza as it stands. False, and nothing written, where the pair is not (or no longer) proved
  // for sending, the stream is over or full, or the stanza is too large for the peer (SendLane::takes).
  bool send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
    if (stream_.is_over() || sending_.is_full() || !sending_.takes(stanza) || !sending_.has(proof.pair()))
      return false;
    stream_.set_moved(now);
    sending_.note_traffic(now);
    StreamOutput& output = stream_.output();
    output.write_large(stanza.xml());
    sending_.add(output.end(), stanza.xml().size());
    return true;
  }
  // Ends the sending lane, when its last pair or the stream has ended: `peer_error` as SendLane::end. Stanzas
  // that nobody has taken yet may be sent elsewhere, and are therefore not written here. Nothing where none
  // was in flight and none that was delivered became uncertain.
  std::optional<SendEnded> end_sending(std::optional<Error> peer_error);

 private:
  Stream& stream_;
  ReceiveLane receiving_;
  SendLane sending_;
  const bool receives_;
};

}  // namespace sallyport::s2s
