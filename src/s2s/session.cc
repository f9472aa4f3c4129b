#include "s2s/session.h"

namespace sallyport::s2s {

bool Session::send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
  if (stream_.is_over() || !sending_.has(proof.pair())) return false;
  stream_.set_moved(now);
  sending_.note_traffic(now);
  StreamOutput& output = stream_.output();
  output.write_large(stanza.xml());
  sending_.add(output.end(), stanza.xml().size());
  return true;
}

std::optional<SendEnded> Session::end_sending(std::optional<Error> peer_error) {
  if (sending_.in_flight() == 0) return std::nullopt;
  StreamOutput& output = stream_.output();
  SendEnded ended = sending_.end(output.taken(), output.is_broken(), std::move(peer_error));
  if (ended.unsent > 0) output.drop();
  return ended;
}

}  // namespace sallyport::s2s
