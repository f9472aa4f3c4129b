#include "s2s/session.h"

namespace sallyport::s2s {

std::optional<SendEnded> Session::end_sending(std::optional<Error> peer_error) {
  if (sending_.in_flight() == 0) return std::nullopt;
  StreamOutput& output = stream_.output();
  SendEnded ended = sending_.end(output.taken(), output.is_broken(), std::move(peer_error));
  if (ended.unsent > 0) output.drop();
  return ended;
}

}  // namespace sallyport::s2s
