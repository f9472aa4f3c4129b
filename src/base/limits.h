// Every bound in the program, each with its reason (those of delivery: base/delivery_limits.h). Everything
// that a peer can make grow has one; each is tested at the bound and one past it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/delivery_limits.h"

namespace sallyport::limits {

using namespace std::chrono_literals;

// --- XML (THREATS A6, A7)

// A stanza on the wire, from `<` to `>`: as Prosody and ejabberd by default. RFC 6120 13.12 asks for 10,000.
inline constexpr std::size_t kStanzaBytesMax = 512 * 1024;
// A first-level element before authentication. RFC 6120 13.12: at least 10,000.
inline constexpr std::size_t kElementBytesUnauthenticatedMax = 12 * 1024;
// The stream header, with every namespace that it declares.
inline constexpr std::size_t kStreamHeaderBytesMax = 4 * 1024;
// White space without an element in it: keep-alives are one byte each, an xmppbomb is gigabytes.
inline constexpr std::size_t kWhitespaceRunBytesMax = 64 * 1024;
// Nesting below the stream element. Real payloads (XHTML-IM, PubSub, MAM) stay below 32.
inline constexpr std::size_t kDepthMax = 64;
inline constexpr std::size_t kDepthUnauthenticatedMax = 8;
// Attributes of one element, namespace declarations included.
inline constexpr std::size_t kAttributesMax = 64;
// Elements in one stanza, at any depth: large disco#items and rosters have thousands.
inline constexpr std::size_t kChildrenMax = 16 * 1024;
inline constexpr std::size_t kChildrenUnauthenticatedMax = 128;
// The canonical bytes of a stanza, in which namespaces are written out at each use.
inline constexpr std::size_t kCanonicalBytesMax = 2 * kStanzaBytesMax;

// A namespace name. Real ones stay below 100; canonical bytes and negotiation elements repeat it at each use.
inline constexpr std::size_t kNamespaceBytesMax = 256;
// A stream header's xml:lang, which is copied into every stanza that has none. RFC 5646 4.4.1 asks for 35.
inline constexpr std::size_t kHeaderLangBytesMax = 64;
// A reference between `&` and `;`: `#x10FFFF` has eight bytes, `quot` four.
inline constexpr std::size_t kReferenceBytesMax = 12;
// An Expat parser keeps every name that it ever saw: after this many bytes a new one replaces it.
inline constexpr std::size_t kParserReuseBytesMax = 256 * 1024;
// A stream keeps its Expat parser (12 kB) this long after the last use; most stanzas do not need it.
inline constexpr auto kParserKept = 2s;

// --- addresses (RFC 7622 3.1: each part at most 1023 octets after preparation)
inline constexpr std::size_t kJidPartBytesMax = 1023;
// DNS limits (RFC 1035 2.3.4) bound what can be federated.
inline constexpr std::size_t kDomainBytesMax = 253;
inline constexpr std::size_t kDomainLabelBytesMax = 63;
// A stanza id is echoed in bounces and kept while the stanza waits.
inline constexpr std::size_t kStanzaIdBytesMax = 1024;

// --- strings that a peer chose, where they are shown (THREATS C9)
inline constexpr std::size_t kShownBytesMax = 256;

// --- streams (RFC 6120 4.6, THREATS C3)

// From accept to the first proved pair: dialback needs a connection back.
inline constexpr auto kNegotiationTimeout = 30s;
// Part of it: from accept to the end of the TLS handshake.
inline constexpr auto kTlsTimeout = 15s;
// An authenticated stream without traffic. Cisco closes after 10 minutes.
inline constexpr auto kStreamIdleTimeout = 10min;
// From our `</stream:stream>` to the peer's (RFC 6120 4.4).
inline constexpr auto kCloseTimeout = 5s;
// Domain pairs on one stream: jabberd2 multiplexes, an attacker multiplies (THREATS C2).
inline constexpr std::size_t kPairsPerStreamMax = 64;
// Dialback verifications in flight for one stream.
inline constexpr std::size_t kVerificationsPerStreamMax = 8;
// Dialback verifications in flight in one node: each takes one outgoing connection at most.
inline constexpr std::size_t kVerificationsMax = 256;
inline constexpr auto kDialbackTimeout = 20s;
// Questions to one authoritative server on one stream, including abandoned ones that may still be answered.
// The shares of an endpoint's verifications are smaller, so that no peer reaches this bound.
inline constexpr std::size_t kQuestionsPerStreamMax = 4'096;
// Keys shown to peers in our name that an edge asks its core about at once; half of kLinkAsksMax, so that
// abandoned questions without an answer fit too.
inline constexpr std::size_t kVerdictsMax = 512;
// A dialback key and a stream id that a peer chose: XEP-0185 makes 64 bytes, ids are shorter.
inline constexpr std::size_t kDialbackKeyBytesMax = 1024;
inline constexpr std::size_t kStreamIdBytesMax = 256;
// Failed SASL attempts on one stream (RFC 6120 6.4.5: between two and five).
inline constexpr std::size_t kSaslAttemptsMax = 3;
// Names in one certificate that are checked: public authorities sign a hundred.
inline constexpr std::size_t kCertificateNamesMax = 512;
// Streams of one node.
inline constexpr std::size_t kStreamsMax = 50'000;
// Unauthenticated connections, from one address and in all.
inline constexpr std::size_t kUnauthenticatedPerAddressMax = 64;
inline constexpr std::size_t kUnauthenticatedMax = 4'000;
// One internal server opens a stream for each pair of its domains after a restart, so that on a core one
// address may hold this part (1/N) of all unauthenticated connections.
inline constexpr std::size_t kUnauthenticatedPerServerPart = 2;
// One address may hold this part (1/N) of the streams: of an edge, where an address serves many domains at
// most; of a core, which serves a few internal servers.
inline constexpr std::size_t kStreamsPerAddressPart = 4;
inline constexpr std::size_t kStreamsPerServerPart = 2;
// Bytes that wait for one stream's socket before the node stops feeding it.
inline constexpr std::size_t kWriteQueueBytesMax = 1024 * 1024;
// Stanzas that the socket took within this many bytes before a stream was lost count as unacknowledged.
inline constexpr std::size_t kWriteWindowBytes = 64 * 1024;
// RFC 6120 13.12: the least `max-bytes` (XEP-0478) to be announced; a smaller one is obeyed and logged.
inline constexpr std::size_t kPeerStanzaBytesMin = 10'000;
// Digits of a number in a peer's stream limits: nine are a gigabyte, or thirty years.
inline constexpr std::size_t kStreamLimitDigitsMax = 9;
// A stream is closed this long before it is idle for the peer, or after three quarters of that time.
inline constexpr auto kPeerIdleMargin = 5s;
// Attempts to open a stream for waiting stanzas, when a server accepts the connection and then fails.
inline constexpr std::size_t kOpenAttemptsMax = 4;
// Pairs of which a node remembers something though no stanza waits or flows for them, as kChannelsMax.
inline constexpr std::size_t kPairsRememberedMax = 65'536;
// Streams that are evaluated again in one turn after a change of policy: a stream that ends by it costs some
// ten microseconds, and stanzas do not wait longer than a few milliseconds for them.
inline constexpr std::size_t kCheckedPerTurn = 256;
// Bytes read from one socket in one turn; in TLS up to a record more, which began in an earlier turn.
inline constexpr std::size_t kReadBytes = 16 * 1024;
// Bytes encrypted for one socket at a time: four full TLS records in one system call.
inline constexpr std::size_t kWriteBytes = 64 * 1024;

// --- shards (docs/shards.md)

// Threads of one node, each with a loop, links and limits of its own, and one more copy of the policy and the
// public keys: more shards than CPUs do not help.
inline constexpr std::size_t kShardsMax = 16;
// For the rest of a stream's first header; after this time any shard carries the stream.
inline constexpr auto kHeaderHintTimeout = 2s;
// Accepted connections that wait while every shard is asked which connections are authenticated by now.
inline constexpr std::size_t kAcceptedUndecidedMax = 64;
// Those of one address among them.
inline constexpr std::size_t kAcceptedUndecidedPerAddressMax = 16;

// --- finding servers
inline constexpr std::size_t kSrvRecordsMax = 32;
inline constexpr std::size_t kAddressesPerTargetMax = 8;
inline constexpr std::size_t kTargetsMax = 16;
inline constexpr auto kDnsTimeout = 8s;
// Questions in progress in one resolver, two for each verification and some for dials, as in libunbound.
inline constexpr std::size_t kDnsQuestionsMax = 1'024;
// Part of them: those for one remote domain and its siblings (the names below the same last two labels). A
// dial has four (two SRV, two addresses), so that 32 domains of one zone are dialled at once.
inline constexpr std::size_t kDnsQuestionsPerZoneMax = 128;
// A DNS message over TCP (RFC 1035 4.2.2), and a datagram that is not fragmented anywhere (RFC 9715).
inline constexpr std::size_t kDnsMessageBytesMax = 65'535;
inline constexpr std::size_t kDnsDatagramBytesMax = 1'232;
// How long "there is no such name" is cached: a peer that was just set up should not wait longer.
inline constexpr auto kDnsNegativeTtlMax = 60s;
// The answering resolver: one upstream server, then the next; an internal server's idle TCP connection.
inline constexpr auto kDnsUpstreamTimeout = 3s;
inline constexpr auto kDnsStreamIdle = 20s;
// Questions of internal servers at once: each may hold a socket of ours. One client may have this part (1/N)
// of them open: one internal server is often the only client.
inline constexpr std::size_t kDnsInFlightMax = 512;
inline constexpr std::size_t kDnsInFlightPerClientPart = 2;
// TCP connections of internal servers at once, in all and from one client. They do not count as questions:
// an idle connection must not keep a question from being answered.
inline constexpr std::size_t kDnsConnectionsMax = 256;
inline constexpr std::size_t kDnsConnectionsPerClientMax = 64;
// One address, then the whole plan of a dial. An unknown domain is answered within 30 s.
inline constexpr auto kConnectTimeout = 8s;
inline constexpr auto kDialTimeout = 20s;
// RFC 8305 5: the next address starts this much later.
inline constexpr auto kConnectStagger = 250ms;
// RFC 8305 3: how long the addresses of one family wait for those of the other.
inline constexpr auto kResolutionDelay = 50ms;
// Outgoing streams of one endpoint that dial or negotiate at once: with two questions to the resolver for
// each, and two for each verification, they fill kDnsQuestionsMax. More wait their turn.
inline constexpr std::size_t kDialsMax = 256;
// How long a server is not dialled again, by the number of failures in a row (THREATS C2); stanzas are
// refused meanwhile with the error of the last attempt. The first failure costs nothing, so that a server
// that was just restarted is found at once; the last entry is how long a repaired one may go unnoticed.
inline constexpr std::chrono::seconds kDialBackoff[] = {0s, 1s, 2s, 4s, 8s, 15s};
// The last of these for a server that is expected back: stanzas wait for it, and not much longer than needed.
inline constexpr std::size_t kReturnBackoffStep = 3;

// --- the link (docs/link-protocol.md)

// A frame's payload: a canonical stanza of maximum size and its addresses.
inline constexpr std::size_t kFrameBytesMax = kCanonicalBytesMax + 16 * 1024;
// A frame before the greeting is answered, and a refusal at any time.
inline constexpr std::size_t kGreetingBytesMax = 4 * 1024;
// Names, versions, instances, methods and addresses that one node tells the other.
inline constexpr std::size_t kLinkStringBytesMax = 256;
// The text of a refusal; its code carries most of the information.
inline constexpr std::size_t kLinkTextBytesMax = 1024;
// The first window of a channel; one stanza of any legal size is always allowed, alone. Small, so that 65,536
// channels without any grant cannot claim much.
inline constexpr std::uint32_t kChannelWindowInitialBytes = 64 * 1024;
// The largest window that a receiver grants: 1 MiB at 100 ms round trip is 10 MB/s for one pair.
inline constexpr std::uint32_t kChannelWindowMaxBytes = 1024 * 1024;
// The cost of one stanza beside its bytes (addresses, queues), so that empty ones are not free.
inline constexpr std::uint32_t kStanzaOverheadBytes = 256;
// Credit of the whole link in each direction: the memory bound of stanzas in flight.
inline constexpr std::uint32_t kLinkCreditBytes = 64 * 1024 * 1024;
// A channel without unsettled stanzas is closed after this, like an idle stream.
inline constexpr auto kChannelIdle = 10min;
inline constexpr std::size_t kChannelsMax = 65'536;
// A settlement waits this long at most to share a frame with others.
inline constexpr auto kSettleDelay = 50ms;
// A settlement behind a stanza that is not settled waits this long for that one, then it is told ahead of it.
inline constexpr auto kSettleAheadDelay = 200ms;
// The settlements of one frame; more go in the next.
inline constexpr std::size_t kSettleBytesMax = 64 * 1024;
// Settlements kept for replay until they are acknowledged; more wait.
inline constexpr std::size_t kSettleLogBytesMax = 1024 * 1024;
// An acknowledgement that no other frame carries is sent alone after this, or when as many bytes wait for it.
inline constexpr auto kAckDelay = 1s;
inline constexpr std::size_t kAckAfterBytes = 64 * 1024;
// Questions that wait for the other node's answer: a few for each verification in flight.
inline constexpr std::size_t kLinkAsksMax = 1'024;
// The part of them that only questions for a key may use, for our own outgoing streams.
inline constexpr std::size_t kLinkAsksForKeys = 256;
// The questions about pairs (ADMIT) that are on the link at once: a quarter of kLinkAsksMax, so that a flood
// of names leaves room for keys and verdicts.
inline constexpr std::size_t kAdmissionQuestionsMax = 256;
// Streams and pairs that wait for an answer about a pair, in all and for one source (an IPv4 address, an IPv6
// /64): an answer takes one round trip of the link, and a stream has up to kVerificationsPerStreamMax.
inline constexpr std::size_t kAdmissionAskersMax = 1'024;
inline constexpr std::size_t kAdmissionAskersPerSourceMax = 128;
// Answers about pairs that an edge remembers: some 400 bytes each, 6 MiB in all.
inline constexpr std::size_t kAdmissionsRememberedMax = 16'384;
// A question or an answer as JSON text.
inline constexpr std::size_t kLinkAnswerBytesMax = 1024 * 1024;
// A lost link is noticed within 10 s: a ping after 3 s without a frame, lost at 9 s.
inline constexpr auto kLinkPingAfter = 3s;
inline constexpr auto kLinkDeadAfter = 9s;
inline constexpr auto kLinkReconnectMin = 250ms;
inline constexpr auto kLinkReconnectMax = 10s;
// Instances of a core that an edge remembers as replaced: a link from one of them is not a restart.
inline constexpr std::size_t kReplacedInstancesMax = 16;
// How long an edge's `status` shows a second core of the same identity after its last attempt.
inline constexpr auto kSameIdentityShown = 30s;
// An edge keeps a core's session state this long after the link was lost.
inline constexpr auto kLinkSessionKept = 60s;
// A whole push: 100,000 list rows and a thousand certificates fit.
inline constexpr std::size_t kPushBytesMax = 64 * 1024 * 1024;
// One frame of a push, and the part of a push sent between two checks for waiting stanzas.
inline constexpr std::size_t kPushChunkBytes = 64 * 1024;
inline constexpr std::size_t kPushTurnBytes = 4 * kPushChunkBytes;
// Between two such turns: the next turn of the loop would always find room in the socket, so that megabytes
// of a push would go out in one piece. 256 MB/s are enough.
inline constexpr auto kPushTurnEvery = 1ms;

// --- what a core remembers for one-way rules (docs/security.md "One-way rules"), only of pairs whose rule is
// one-way. A row takes at most 400 bytes, whatever a peer wrote: 80 MB when both tables are full, which takes
// eight pairs at their bounds.

// An answer to an IQ: a person may have to decide first (file transfer), but clients do not wait longer.
inline constexpr auto kIqAnswerTime = 10min;
// An error that answers a message: servers abandon an undeliverable message within minutes.
inline constexpr auto kMessageErrorTime = 5min;
// The last presence after a subscription was cancelled, or directed presence or a room was left.
inline constexpr auto kPresenceEndTime = 5min;
// Questions (IQs and messages) of one bare address, of one pair, and in all. A client has some tens of them
// open; a program that sends more loses the error for its oldest message.
inline constexpr std::size_t kQuestionsPerAddressMax = 256;
inline constexpr std::size_t kQuestionsPerPairMax = 4'096;
inline constexpr std::size_t kQuestionsMax = 65'536;
// Subscriptions and directed presence, rooms included: the contacts of one user in one domain, a few for each
// of some thousand users of two organisations, and eight such pairs.
inline constexpr std::size_t kPresencesPerAddressMax = 2'048;
inline constexpr std::size_t kPresencesPerPairMax = 16'384;
inline constexpr std::size_t kPresencesMax = 131'072;

// --- fair shares (base/shares.h, docs/limits.md)

// An address, or /64 network, of the public side may hold 1/N of a budget: enough for a host of many domains,
// and it takes eight hostile ones to fill it.
inline constexpr std::size_t kAddressShareOf = 8;
// A remote domain and all that share its parent may hold 1/N: in some countries the parent of two labels is
// shared by all domains, so that the share must not be small.
inline constexpr std::size_t kPeerShareOf = 4;
// An internal server may hold all but 1/N: there may be only one.
inline constexpr std::size_t kInternalRestOf = 4;
constexpr std::size_t address_share(std::size_t total) {
  return (total + kAddressShareOf - 1) / kAddressShareOf;
}
constexpr std::size_t peer_share(std::size_t total) { return (total + kPeerShareOf - 1) / kPeerShareOf; }
constexpr std::size_t internal_share(std::size_t total) { return total - total / kInternalRestOf; }
// The same for budgets of waiting bytes: one stanza of any size fits in every share.
constexpr std::size_t waiting_share(std::size_t total) {
  constexpr std::size_t kOne = kCanonicalBytesMax + kStanzaOverheadBytes;
  return peer_share(total) < kOne ? kOne : peer_share(total);
}

// --- configuration
inline constexpr std::size_t kConfigFileBytesMax = 64 * 1024 * 1024;
// Dotted keys nest as deep as their line is long, and the TOML library frees a tree by recursion.
inline constexpr std::size_t kConfigLineBytesMax = 8 * 1024;
// Rows of one kind in policy.toml, and in a push.
inline constexpr std::size_t kPolicyRowsMax = 200'000;
// Certificates in a push.
inline constexpr std::size_t kCertificatesMax = 4'096;
// Pairs for which it is remembered which of several aliases of a chat node the remote domain uses.
inline constexpr std::size_t kAliasesKnownMax = 16'384;
// Characters outside ASCII that are looked up in Unicode's tables to find the end of names in one sentence of
// a room service; each costs about a microsecond. Every later one ends a name, so that too much is translated
// rather than too little. Sentences of real servers have fewer than 200 of them.
inline constexpr std::size_t kSentenceLookupsMax = 4'096;

// --- the control socket
// A question: a command with a few words.
inline constexpr std::size_t kControlQuestionBytesMax = 64 * 1024;
// A question to a core, which may carry a whole policy to compare or apply.
inline constexpr std::size_t kControlPolicyBytesMax = kConfigFileBytesMax;
// An answer: `connections` of a node with kStreamsMax streams.
inline constexpr std::size_t kControlAnswerBytesMax = 64 * 1024 * 1024;
// Clients at once: a person, a console, monitoring, and room for repairs.
inline constexpr std::size_t kControlClientsMax = 16;
// For a client to send its question, and to take the answer.
inline constexpr auto kControlIdleTimeout = 30s;
// Checks of remote domains that an edge runs at once, each in a thread of its own: a person and a monitor.
inline constexpr std::size_t kChecksMax = 4;
// One check, from the first DNS question to the end of the stream: below kControlIdleTimeout.
inline constexpr auto kCheckTimeout = 25s;
// How long a check waits until the core has said whether the name is an internal one, and how often it looks.
inline constexpr auto kCheckAdmissionWait = 5s;
inline constexpr auto kCheckAdmissionPoll = 20ms;
// How soon a check notices that nobody waits for it any more.
inline constexpr auto kCheckStopLook = 100ms;

// --- the metrics listener: a monitor or two, each with a short request
inline constexpr std::size_t kMetricsClientsMax = 16;
inline constexpr std::size_t kMetricsClientsPerAddressMax = 8;
inline constexpr std::size_t kMetricsRequestBytesMax = 8 * 1024;
inline constexpr auto kMetricsTimeout = 10s;

// --- the log
// Lines that wait for the reader of the log: some thousand; further lines are counted and lost.
inline constexpr std::size_t kLogBacklogBytesMax = 512 * 1024;
// A failure that persists is logged again after the first, then at doubled intervals, up to the second.
inline constexpr auto kRepeatAgainMin = 1min;
inline constexpr auto kRepeatAgainMax = 1h;
// Failures that one place tells apart; the one that was logged longest ago is forgotten first.
inline constexpr std::size_t kRepeatsMax = 64;

// --- the process
// A changed certificate directory is read when it has been quiet for this long: a chain and its key are
// written one after the other.
inline constexpr auto kDirectoryQuiet = 1s;
// It is read again after this even if unchanged: certificates expire by themselves.
inline constexpr auto kCertificatesLookAgain = 24h;
// How far the background thread yields to the loops (nice(2)): enough that a loop runs as soon as it has
// something to do, not so much that a busy machine never reloads.
inline constexpr int kWorkerNice = 5;
// Findings of a reload that are logged; the rest are counted, and stand in the answer to the command.
inline constexpr std::size_t kFindingsLoggedMax = 100;
// A public listener of an edge that could not be opened is tried again after the first of these, then after
// twice the time before, up to the second: the other holder of the port is usually gone within seconds, and
// one line in the log each half minute does not flood it.
inline constexpr auto kListenRetryFirst = 1s;
inline constexpr auto kListenRetryMax = 30s;
// From SIGTERM to the end: streams are closed cleanly within it (kCloseTimeout each, all at once).
inline constexpr auto kDrainTimeout = 6s;
// Then for connections that were cut off to end.
inline constexpr auto kStopTimeout = 500ms;

// --- minting (a private CA signs one certificate per remote domain)
inline constexpr auto kMintedLifetime = 24h * 7;
inline constexpr std::size_t kMintedCacheMax = 4'096;
// A certificate takes 0.3 ms with a P-256 authority, 0.6 ms with RSA-2048: 6 to 12 % of a CPU. An authority
// with a key of more than 3072 bits, which signs in 5 ms, mints a quarter of these.
inline constexpr std::size_t kMintsPerSecondMax = 200;
inline constexpr std::size_t kMintsSlowKeyPart = 4;

// --- TLS and sockets
// A certificate chain on the wire (THREATS C3): four RSA-4096 certificates with a hundred names each are
// less.
inline constexpr std::size_t kCertificateChainBytesMax = 32 * 1024;
// Certificates between a peer's and its root; public chains have two or three.
inline constexpr int kCertificateDepthMax = 8;
// A trust bundle: the whole Mozilla list is 220 kB.
inline constexpr std::size_t kTrustBytesMax = 4 * 1024 * 1024;
// A certificate that expires within this time causes a warning; automatic renewal happens well before.
inline constexpr auto kCertificateExpiryWarning = 24h * 14;
// A connection without traffic is probed after this part (1/N) of [limits] dead_peer_seconds, and lost after
// three probes without an answer, one after each half of that part.
inline constexpr std::size_t kProbeAfterPart = 3;
inline constexpr std::size_t kProbeEveryPart = 6;
inline constexpr int kProbesMax = 3;
// From our last byte to the peer's end of the connection: closing at once could destroy unread bytes.
inline constexpr auto kLingerTimeout = 2s;
// Bytes that are read and discarded meanwhile.
inline constexpr std::size_t kLingerBytesMax = 256 * 1024;
// At the bound of unauthenticated connections, they are counted again at most this often.
inline constexpr auto kCountAgainAfter = 100ms;
// TLS handshakes in progress on the traversal listener: few cores dial it, anybody may connect (THREATS C7).
inline constexpr std::size_t kTraversalHandshakesMax = 64;
inline constexpr std::size_t kTraversalHandshakesPerAddressMax = 8;
// The whole of a link's TLS handshake.
inline constexpr auto kLinkTlsTimeout = 5s;
// Connections that the kernel accepts before we take them.
inline constexpr int kListenBacklog = 511;
// Ciphertext that waits for one socket: one write, and the answers to key updates (RFC 8446 4.6.3).
inline constexpr std::size_t kSealedBytesMax = 2 * kWriteBytes;
// A node that has been idle for this long handles the next event at once: no other could share its write.
inline constexpr auto kQuietAfter = 200us;
// When no file descriptor is left, the listeners do not accept for this long.
inline constexpr auto kAcceptRest = 100ms;
// Log lines that unauthenticated peers can cause per second; the rest are counted.
inline constexpr std::size_t kStrangerLinesPerSecondMax = 20;
// The heap for private keys: two thousand RSA-2048 keys.
inline constexpr std::size_t kSecretHeapBytes = 8 * 1024 * 1024;

// The bounds that an administrator may set in [limits] of edge.toml and core.toml (docs/limits.md). A member
// has the name of its key; the constant above is its default.
struct Configured {
  std::size_t streams = kStreamsMax;
  std::size_t unauthenticated = kUnauthenticatedMax;
  std::size_t unauthenticated_per_address = kUnauthenticatedPerAddressMax;
  std::size_t verifications = kVerificationsMax;
  std::size_t pair_queue_bytes = kPairQueueBytesMax;
  std::size_t waiting_bytes = kWaitingBytesMax;
  std::size_t mints_per_second = kMintsPerSecondMax;  // core only
  std::size_t resolver_questions = kDnsInFlightMax;   // core only: the answering resolver
  std::size_t dead_peer_seconds = kDeadPeerSeconds;
  bool operator==(const Configured&) const = default;
};

}  // namespace sallyport::limits
