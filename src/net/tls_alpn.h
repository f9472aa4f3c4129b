// The ALPN protocol of Direct TLS between servers.
#pragma once

namespace sallyport::net {

// XEP-0368 2, in the form of RFC 7301 3.1: a length, then the name.
inline constexpr unsigned char kAlpn[] = "\x0bxmpp-server";
inline constexpr unsigned kAlpnSize = sizeof kAlpn - 1;

}  // namespace sallyport::net
