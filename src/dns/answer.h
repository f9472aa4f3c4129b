// The answering resolver: which questions of an internal server it answers itself, and how. The rest goes
// upstream.
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
  kExternal,      // the core is its server on the internal side
  kInternal,      // upstream is asked
  kRenamedAlias,  // an alias whose node has another name: the core alone serves it on the internal side
};

struct Answering {
  xmpp::Domain core_name;
  std::uint16_t s2s_port = 5269;
  // The addresses of the core's s2s listeners; if empty, upstream is asked for [core] name.
  std::vector<Ip> addresses;
  std::function<NameKind(const xmpp::Domain&)> kind;
};

// The time for which an answer may be cached: caches must not hide a change of policy for long.
inline constexpr std::uint32_t kAnswerTtlSeconds = 30;

// Returns the answer; nothing if upstream is to be asked. Policy is not applied here but on the stream, where
// a refusal has a reason.
//  - not a query, or not one question: FORMERR; another opcode: NOTIMP; an unknown EDNS version: BADVERS;
//  - SRV _xmpp-server._tcp.NAME, where NAME is a remote domain or a renamed alias: one record, to the core;
//  - SRV _xmpps-server._tcp.NAME, the same names: no such record (the core speaks STARTTLS there);
//  - A and AAAA of the core's name: its addresses.
// The caller must drop a message that is itself a response: it gets no answer.
std::optional<Message> answer(const Message& query, const Answering& answering);

// Returns an empty response with that code, also to a query that could be read only in part.
Message refusal(const Head& query, Rcode code);

// Returns the message as a datagram of at most `bytes_max`: if it does not fit, truncated to its question and
// OPT (RFC 2181 9).
std::string build_datagram(const Message& message, std::size_t bytes_max);

}  // namespace sallyport::dns
