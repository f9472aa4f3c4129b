#include "gate/redial.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/limits.h"

namespace sallyport::gate {
namespace {

constexpr std::size_t kLastStep = std::size(limits::kDialBackoff) - 1;

}  // namespace

Redial::Next Redial::handle_end(const End& end, bool waits, Now now) {
  if (end.carried) begin_anew();
  if (end.ready) was_ready_ = now.mono;
  note_acknowledgements(end, now);
  // A failed dial after a server that could not be used is less telling than the failure of that server.
  const bool says_less = !avoid_.empty() && !end.connected && last_error_ && !has_no_way_;
  // That an idle stream was closed is not an error.
  const bool was_idle = end.ready && end.error && end.error->code == Code::kStreamIdle;
  if (end.error && !was_idle && !says_less) {
    last_error_ = end.error;
    has_no_way_ = end.error->code == Code::kPolicyDisabled;
  }

  if (!waits) {
    begin_anew();
    if (!end.ready) back_off(kLastStep, now);
    return Next::kWait;
  }
  if (end.carried || may_retry(end, end.error.value_or(reason()))) {
    ++attempts_;
    return Next::kOpen;
  }
  begin_anew();
  const bool returns = expects_return(end.patience, now);
  back_off(returns ? limits::kReturnBackoffStep : kLastStep, now);
  return returns ? Next::kRetry : Next::kGiveUp;
}

void Redial::handle_ready(Now now) {
  was_ready_ = now.mono;
  last_error_.reset();
  has_no_way_ = false;
  failures_ = 0;
}

// Otherwise such a peer gets a copy of each stanza for each stream, and confirms none.
void Redial::note_acknowledgements(const End& end, Now now) {
  if (!end.acknowledged) return;
  if (*end.acknowledged) unacknowledged_ = 0;
  if (*end.acknowledged || !end.error || end.error->code != Code::kStreamAckTimeout) return;
  if (++unacknowledged_ < limits::kPingTries) return;
  unacknowledged_ = 0;
  no_acknowledgements_until_ = now.mono + limits::kPingRetry;
}

void Redial::begin_anew() {
  attempts_ = 0;
  avoid_.clear();
}

// Until a stream becomes ready, each failure in a row keeps the pair from dialling for longer (THREATS C2).
void Redial::back_off(std::size_t step_most, Now now) {
  back_off_until_ = now.mono + limits::kDialBackoff[std::min(failures_, step_most)];
  ++failures_;
}

// Whether another attempt may go better: without EXTERNAL where our certificate was refused, at the next
// target where a server accepted the connection but could not be used.
bool Redial::may_retry(const End& end, const Error& error) {
  if (attempts_ + 1 >= limits::kOpenAttemptsMax) return false;
  if (error.code == Code::kSaslRefused) return !std::exchange(external_refused_, true);
  if (!end.connected) return false;  // no target of the plan was left
  switch (error.code) {
    case Code::kStreamLost:
    case Code::kStreamClosedByPeer:
    case Code::kStreamErrorByPeer:
    case Code::kStreamNegotiationTimeout:
    case Code::kTlsHandshake:
    case Code::kTlsRequired:
    case Code::kTlsNoCertificate:
    case Code::kTlsUntrusted:
    case Code::kTlsNameMismatch:
      avoid_.push_back(end.peer);
      return true;
    default:
      return false;
  }
}

}  // namespace sallyport::gate
