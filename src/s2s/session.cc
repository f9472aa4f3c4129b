#include "s2s/session.h"

namespace sallyport::s2s {

std::optional<SendEnded> Session::end_sending(std::optional<Error> peer_error) {
  StreamOutput& output = stream_.output();
  const bool none_in_flight = sending_.in_flight() == 0;
  SendEnded ended = sending_.end(output.taken(), output.is_broken(), std::move(peer_error));
  if (none_in_flight && ended.uncertain == 0) return std::nullopt;
  if (ended.unsent > 0) output.drop();
  return ended;
}

}  // namespace sallyport::s2s
