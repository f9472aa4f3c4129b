// The frames of the link protocol (docs/link-protocol.md): decoding bytes to values and encoding values to
// bytes.
//
// A frame is a value of views: into the payload it was decoded from, or into memory of the encoder's caller.
// It copies nothing, and checks nothing that depends on the session. Decoding errors are kLinkFrame.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace sallyport::link::frame {

// Increase when a type is added, or when the layout or meaning of a frame changes.
inline constexpr std::uint16_t kVersionLowest = 1;
inline constexpr std::uint16_t kVersionHighest = 5;
// The first version in which an edge may ask ADMIT.
inline constexpr std::uint16_t kVersionAdmit = 2;
// The first version with DRAIN, and with an attempt in STANZA.
inline constexpr std::uint16_t kVersionAttempts = 3;
// The first version with SETTLE_AHEAD.
inline constexpr std::uint16_t kVersionAhead = 4;
// The first version with HEARD.
inline constexpr std::uint16_t kVersionHeard = 5;

enum class Type : std::uint8_t {
  kHello = 0x01,
  kWelcome = 0x02,
  kRefuse = 0x03,
  kPing = 0x04,
  kPong = 0x05,
  kAck = 0x06,
  kDrain = 0x07,
  kHeard = 0x08,
  // Numbered frames: kept until acknowledged, replayed after a reconnect.
  kOpen = 0x10,
  kClose = 0x11,
  kStanza = 0x12,
  kVoid = 0x13,
  kSettle = 0x14,
  kWindow = 0x15,
  kSettleAhead = 0x16,
  kAsk = 0x20,
  kAnswer = 0x21,
  kPush = 0x22,
  kPushChunk = 0x23,
  kPushDone = 0x24,
  kSign = 0x30,    // reserved, rejected in this version: a signature by a key that stays on the core
  kSigned = 0x31,  // reserved, rejected in this version
};

inline constexpr std::size_t kHeaderBytes = 4;
// Returns the largest payload of a frame of that type; nothing if this version has no such type.
std::optional<std::size_t> payload_bytes_max(std::uint8_t type);
constexpr bool is_numbered(Type type) { return type >= Type::kOpen && type <= Type::kSettleAhead; }
std::string_view type_name(Type type);  // "HELLO", for messages

struct Hello {
  static constexpr Type kType = Type::kHello;
  std::uint16_t version_lowest = kVersionLowest;
  std::uint16_t version_highest = kVersionHighest;
  std::uint8_t role = 0;  // 0 core, 1 edge
  std::string_view name = {};
  std::string_view program_version = {};
  std::string_view instance = {};
  std::string_view edge_instance = {};  // of the session to resume; empty: none
  std::uint64_t session = 0;            // 0: none
  std::uint64_t position = 0;           // numbered frames received in it
  bool operator==(const Hello&) const = default;
};
struct Welcome {
  static constexpr Type kType = Type::kWelcome;
  std::uint16_t version = kVersionHighest;
  std::string_view name = {};
  std::string_view program_version = {};
  std::string_view instance = {};
  std::uint64_t session = 0;
  bool resumed = false;
  std::uint64_t position = 0;
  bool operator==(const Welcome&) const = default;
};
// A code by its stable name, and a text. An empty code means success where success is possible.
struct Verdict {
  std::string_view code = {};
  std::string_view text = {};
  bool operator==(const Verdict&) const = default;
};
struct Refuse {
  static constexpr Type kType = Type::kRefuse;
  Verdict reason = {};
  bool operator==(const Refuse&) const = default;
};
struct Ping {
  static constexpr Type kType = Type::kPing;
  std::uint64_t number = 0;
  bool operator==(const Ping&) const = default;
};
struct Pong {
  static constexpr Type kType = Type::kPong;
  std::uint64_t number = 0;
  bool operator==(const Pong&) const = default;
};
struct Ack {
  static constexpr Type kType = Type::kAck;
  std::uint64_t position = 0;
  bool operator==(const Ack&) const = default;
};
// The sender is being drained: it takes no stanza any more.
struct Drain {
  static constexpr Type kType = Type::kDrain;
  bool operator==(const Drain&) const = default;
};
// The pair's remote server was heard at another edge: it answered the ping of that number, which the edge
// sent, or (0) opened a stream there.
struct Heard {
  static constexpr Type kType = Type::kHeard;
  std::uint64_t ping = 0;
  std::string_view local = {};
  std::string_view remote = {};
  bool operator==(const Heard&) const = default;
};
struct Open {
  static constexpr Type kType = Type::kOpen;
  std::uint64_t channel = 0;
  std::string_view local = {};
  std::string_view remote = {};
  std::string_view method = {};
  std::string_view peer_address = {};
  bool operator==(const Open&) const = default;
};
struct Close {
  static constexpr Type kType = Type::kClose;
  std::uint64_t channel = 0;
  bool operator==(const Close&) const = default;
};
struct Stanza {
  static constexpr Type kType = Type::kStanza;
  std::uint64_t channel = 0;
  std::uint8_t kind = 0;  // as xmpp::StanzaKind
  std::string_view from = {};
  std::string_view to = {};
  std::string_view id = {};
  std::string_view type = {};
  std::string_view lang = {};
  std::string_view xml = {};
  std::uint8_t attempt = 0;  // 0, 1 or 2: docs/link-protocol.md "Attempts"
  bool operator==(const Stanza&) const = default;
};
struct Void {
  static constexpr Type kType = Type::kVoid;
  std::uint64_t channel = 0;
  bool operator==(const Void&) const = default;
};
// The outcome of the next `count` unsettled stanzas of the channel.
struct Run {
  std::uint64_t channel = 0;
  std::uint64_t count = 0;
  Verdict outcome = {};
  bool operator==(const Run&) const = default;
};
struct Settle {
  static constexpr Type kType = Type::kSettle;
  std::vector<Run> runs;
  bool operator==(const Settle&) const = default;
};
// The outcome of `count` stanzas of the channel, from number `first` on, before those in front of them are
// settled. A run of SETTLE still counts them, and says nothing new of them.
struct SettleAhead {
  static constexpr Type kType = Type::kSettleAhead;
  std::uint64_t channel = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  Verdict outcome = {};
  bool operator==(const SettleAhead&) const = default;
};
struct Window {
  static constexpr Type kType = Type::kWindow;
  std::uint64_t channel = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Window&) const = default;
};
enum class Question : std::uint8_t { kKey = 1, kVerdict = 2, kControl = 3, kAdmit = 4 };
struct Ask {
  static constexpr Type kType = Type::kAsk;
  std::uint64_t id = 0;
  Question question = Question::kKey;
  std::string_view local = {};      // all but kControl
  std::string_view remote = {};     // all but kControl
  std::string_view stream_id = {};  // kKey, kVerdict
  std::string_view key = {};        // kVerdict
  std::string_view json = {};       // kControl
  bool operator==(const Ask&) const = default;
};
struct Answer {
  static constexpr Type kType = Type::kAnswer;
  std::uint64_t id = 0;
  Verdict answer = {};  // an empty code: `text` is the answer
  bool operator==(const Answer&) const = default;
};
struct Push {
  static constexpr Type kType = Type::kPush;
  std::uint64_t generation = 0;
  std::uint64_t size = 0;
  bool operator==(const Push&) const = default;
};
struct PushChunk {
  static constexpr Type kType = Type::kPushChunk;
  std::string_view bytes = {};
  bool operator==(const PushChunk&) const = default;
};
struct PushDone {
  static constexpr Type kType = Type::kPushDone;
  std::uint64_t generation = 0;
  Verdict result = {};
  bool operator==(const PushDone&) const = default;
};

using Frame = std::variant<Hello, Welcome, Refuse, Ping, Pong, Ack, Drain, Heard, Open, Close, Stanza, Void,
                           Settle, Window, SettleAhead, Ask, Answer, Push, PushChunk, PushDone>;
Type type_of(const Frame& frame);

// A frame as cut out of the byte stream.
struct Raw {
  Type type;
  std::string_view payload;
};

// Errors: kLinkFrame, with the type's name.
Result<Frame> decode(const Raw& raw);
// The same for the most frequent frame, without a variant. Precondition: its type is kStanza.
Result<Stanza> decode_stanza(const Raw& raw);

// Appends the whole frame, header included. Precondition: the payload is within payload_bytes_max, and
// `decode` accepts the length of each string.
void append(std::string& out, const Frame& frame);
void append(std::string& out, const Stanza& stanza);

// Writes one SETTLE frame run by run, without a vector: the constructor begins it, `finish` ends it.
class SettleWriter {
 public:
  // `out` outlives the writer.
  explicit SettleWriter(std::string& out);
  void add(const Run& run);
  bool is_full() const;  // one more run of any kind might not fit
  // Completes the header.
  void finish();

 private:
  std::string& out_;
  std::size_t start_;
};

// Returns `text`, cut to `bytes_max` on a UTF-8 character boundary.
std::string_view cut(std::string_view text, std::size_t bytes_max);

// Cuts the byte stream into frames.
class Reader {
 public:
  // Takes the next frame off the front of `bytes`, or all of `bytes` if that holds no whole frame. The
  // payload is a view into `bytes` or into the reader, valid until the next call. Errors: kLinkFrame for an
  // unknown type or too long a payload; then the reader must not be used until `reset`. A payload longer than
  // `bytes_max` is too long whatever its type allows.
  std::optional<Result<Raw>> next(std::string_view& bytes, std::size_t bytes_max);
  // Drops incomplete input, and overwrites it: it may be key material.
  void reset();

 private:
  void drop_taken();
  bool hold(std::string_view& bytes, std::size_t size);

  std::string held_;    // the beginning of an incomplete frame
  bool taken_ = false;  // `held_` was a whole frame and was returned
};

}  // namespace sallyport::link::frame
