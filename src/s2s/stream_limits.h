// Stream limits advertisement (XEP-0478): in its features the receiving entity of a stream announces its
// limits for the size of a stanza and for idle streams. We announce ours on streams that we accept, and obey
// the peer's on streams that we open.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/time.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

// `<limits/>` for `<stream:features/>`: the limits of a proved peer, since features are not sent again after
// dialback.
std::string limits_feature_xml();

// The limits of a peer. A value that is absent, zero, not a decimal number, or longer than
// limits::kStreamLimitDigitsMax digits is unset: the peer announces no limit of that kind.
struct StreamLimits {
  // Of a first-level element, as it is on the wire. Below limits::kPeerStanzaBytesMin it is against RFC 6120
  // 13.12; it is obeyed all the same, because the peer would end the stream on a larger stanza.
  std::optional<std::size_t> max_bytes;
  // Without traffic from us, after which the peer may end the stream (RFC 6120 4.6).
  std::optional<Duration> idle;

  bool operator==(const StreamLimits&) const = default;
};

// The limits in the peer's `<stream:features/>`. XEP-0478 4: each new set of features may change them.
StreamLimits stream_limits(const xmpp::Element& features);

// After how long without traffic from us a stream to that peer is closed. The peer may end an idle
// stream or check whether we live; we end it ourselves somewhat earlier, so that no stanza is written to a
// stream which the peer is about to end. At most limits::kStreamIdleTimeout.
Duration idle_timeout(const StreamLimits& limits);

}  // namespace sallyport::s2s
