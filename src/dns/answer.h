// The answering resolver's decision: which questions of an internal server it answers itself, and how
// (DESIGN "How a message travels"). The rest goes upstream.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dns/address.h"
#include "dns/message.h"
#include "xmpp/jid.h"

namespace sallyport::dns {

enum class NameKind : std::uint8_t {
  kOutside,       // the core is its server, as far as the inside is concerned
  kInside,        // upstream knows
  kRenamedAlias,  // an alias whose node has another name: nobody inside serves it but the core
};

struct Answering {
  xmpp::Domain core_name;
  std::uint16_t s2s_port = 5269;
  // Of the core's s2s listeners; empty: upstream is asked for [core] name.
  std::vector<Ip> addresses;
  std::function<NameKind(const xmpp::Domain&)> kind;
};

// How long an answer may be kept: a policy that changes must not be hidden by caches for long.
inline constexpr std::uint32_t kAnswerTtlSeconds = 30;

// The answer, or nothing: ask upstream. Policy makes no difference here: it is applied on the stream, where a
// refusal has a reason.
//  - no query, or not one question: FORMERR; another opcode: NOTIMP; an unknown EDNS version: BADVERS;
//  - SRV _xmpp-server._tcp.NAME, NAME outside or a renamed alias: one record, to the core;
//  - SRV _xmpps-server._tcp.NAME, the same names: no such record (the core speaks STARTTLS there);
//  - A and AAAA of the core's name: its addresses.
// A message that is itself a response is the caller's to drop; nothing comes back for it.
std::optional<Message> answer(const Message& query, const Answering& answering);

// A response with that code and nothing in it, also to a query that could be read only in part.
Message refusal(const Head& query, Rcode code);

// The message as a datagram of at most `bytes_max`: when it does not fit, truncated to its question and OPT
// (RFC 2181 9).
std::string build_datagram(const Message& message, std::size_t bytes_max);

}  // namespace sallyport::dns
