// The types of frames, encoding, and cutting a byte stream into frames. Decoding is in link/frame_decode.cc.
#include "link/frame.h"

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::link::frame {
namespace {

constexpr std::size_t kVarintBytesMax = 10;

void write(Appender& out, const Verdict& f) {
  out.string(f.code);
  if (!f.code.empty()) out.string(f.text);
}
void write(Appender& out, const Hello& f) {
  out.u16(f.version_lowest);
  out.u16(f.version_highest);
  out.u8(f.role);
  for (const auto& text : {f.name, f.program_version, f.instance, f.edge_instance}) out.string(text);
  out.varint(f.session);
  out.varint(f.position);
}
void write(Appender& out, const Welcome& f) {
  out.u16(f.version);
  for (const auto& text : {f.name, f.program_version, f.instance}) out.string(text);
  out.varint(f.session);
  out.u8(f.resumed ? 1 : 0);
  out.varint(f.position);
}
void write(Appender& out, const Refuse& f) { write(out, f.reason); }
void write(Appender& out, const Ping& f) { out.u64(f.number); }
void write(Appender& out, const Pong& f) { out.u64(f.number); }
void write(Appender& out, const Ack& f) { out.varint(f.position); }
void write(Appender& out, const Open& f) {
  out.varint(f.channel);
  for (const auto& text : {f.local, f.remote, f.method, f.peer_address}) out.string(text);
}
void write(Appender& out, const Close& f) { out.varint(f.channel); }
// Appender's functions for a buffer that is large enough: no byte checks the capacity again.
class UncheckedWriter {
 public:
  explicit UncheckedWriter(char* at) : at_(at) {}
  void u8(std::uint8_t v) { *at_++ = static_cast<char>(v); }
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8(static_cast<std::uint8_t>(v | 0x80));
    u8(static_cast<std::uint8_t>(v));
  }
  void string(std::string_view bytes) {
    varint(bytes.size());
    at_ = std::copy(bytes.begin(), bytes.end(), at_);
  }
  const char* place() const { return at_; }

 private:
  char* at_;
};

template <typename Out>
void write(Out& out, const Stanza& f) {
  out.varint(f.channel);
  out.u8(static_cast<std::uint8_t>(f.kind | f.attempt << 4));
  for (const auto& text : {f.from, f.to, f.id, f.type, f.lang, f.xml}) out.string(text);
}
void write(Appender& out, const Void& f) { out.varint(f.channel); }
void write(Appender& out, const Run& f) {
  out.varint(f.channel);
  out.varint(f.count);
  write(out, f.outcome);
}
void write(Appender& out, const Settle& f) {
  for (const Run& run : f.runs) write(out, run);
}
void write(Appender& out, const SettleAhead& f) {
  for (const std::uint64_t number : {f.channel, f.first, f.count}) out.varint(number);
  write(out, f.outcome);
}
void write(Appender& out, const Window& f) {
  out.varint(f.channel);
  out.varint(f.bytes);
}
void write(Appender& out, const Ask& f) {
  out.varint(f.id);
  out.u8(static_cast<std::uint8_t>(f.question));
  if (f.question == Question::kControl) return out.string(f.json);
  out.string(f.local);
  out.string(f.remote);
  if (f.question == Question::kAdmit) return;
  out.string(f.stream_id);
  if (f.question == Question::kVerdict) out.string(f.key);
}
void write(Appender& out, const Answer& f) {
  out.varint(f.id);
  out.string(f.answer.code);
  out.string(f.answer.text);
}
void write(Appender&, const Drain&) {}
void write(Appender& out, const Heard& f) {
  out.u64(f.ping);
  out.string(f.local);
  out.string(f.remote);
}
void write(Appender& out, const Push& f) {
  out.varint(f.generation);
  out.varint(f.size);
}
void write(Appender& out, const PushChunk& f) { out.raw(f.bytes); }
void write(Appender& out, const PushDone& f) {
  out.varint(f.generation);
  write(out, f.result);
}

std::size_t begin_frame(std::string& out) {
  const std::size_t start = out.size();
  out.append(kHeaderBytes, '\0');
  return start;
}

void end_frame(std::string& out, std::size_t start, Type type) {
  const std::size_t size = out.size() - start - kHeaderBytes;
  // Too long for its type is a bug of ours, for which the other node would close the link.
  if (size > *payload_bytes_max(static_cast<std::uint8_t>(type))) std::abort();
  out[start] = static_cast<char>(type);
  out[start + 1] = static_cast<char>(size >> 16);
  out[start + 2] = static_cast<char>(size >> 8);
  out[start + 3] = static_cast<char>(size);
}

}  // namespace

std::optional<std::size_t> payload_bytes_max(std::uint8_t type) {
  switch (static_cast<Type>(type)) {
    case Type::kHello:
    case Type::kWelcome:
    case Type::kRefuse:
    case Type::kSettleAhead:
    case Type::kPushDone:
      return limits::kGreetingBytesMax;
    case Type::kDrain:
      return 0;
    case Type::kPing:
    case Type::kPong:
      return 8;
    case Type::kAck:
    case Type::kClose:
    case Type::kVoid:
      return kVarintBytesMax;
    case Type::kHeard:
    case Type::kOpen:
      return 2048;
    case Type::kStanza:
      return limits::kFrameBytesMax;
    case Type::kSettle:
      return limits::kSettleBytesMax;
    case Type::kWindow:
    case Type::kPush:
      return 2 * kVarintBytesMax;
    case Type::kAsk:
    case Type::kAnswer:
      return limits::kLinkAnswerBytesMax + 1024;
    case Type::kPushChunk:
      return limits::kPushChunkBytes;
    case Type::kSign:
    case Type::kSigned:
      break;
  }
  return std::nullopt;
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kHello:
      return "HELLO";
    case Type::kWelcome:
      return "WELCOME";
    case Type::kRefuse:
      return "REFUSE";
    case Type::kPing:
      return "PING";
    case Type::kPong:
      return "PONG";
    case Type::kAck:
      return "ACK";
    case Type::kDrain:
      return "DRAIN";
    case Type::kHeard:
      return "HEARD";
    case Type::kOpen:
      return "OPEN";
    case Type::kClose:
      return "CLOSE";
    case Type::kStanza:
      return "STANZA";
    case Type::kVoid:
      return "VOID";
    case Type::kSettle:
      return "SETTLE";
    case Type::kWindow:
      return "WINDOW";
    case Type::kSettleAhead:
      return "SETTLE_AHEAD";
    case Type::kAsk:
      return "ASK";
    case Type::kAnswer:
      return "ANSWER";
    case Type::kPush:
      return "PUSH";
    case Type::kPushChunk:
      return "PUSH_CHUNK";
    case Type::kPushDone:
      return "PUSH_DONE";
    case Type::kSign:
      return "SIGN";
    case Type::kSigned:
      return "SIGNED";
  }
  return "a frame";
}

Type type_of(const Frame& frame) {
  return std::visit([](const auto& f) { return f.kType; }, frame);
}

void append(std::string& out, const Frame& frame) {
  const std::size_t start = begin_frame(out);
  Appender appender(out);
  std::visit([&appender](const auto& f) { write(appender, f); }, frame);
  end_frame(out, start, type_of(frame));
}

// Most frames are stanzas: encoded without a variant, and with one allocation.
void append(std::string& out, const Stanza& stanza) {
  const std::size_t most = kHeaderBytes + 7 * kVarintBytesMax + 1 + stanza.from.size() + stanza.to.size() +
                           stanza.id.size() + stanza.type.size() + stanza.lang.size() + stanza.xml.size();
  make_room(out, most);
  const std::size_t start = begin_frame(out);
  const std::size_t begin = out.size();
  out.resize(begin + most);
  UncheckedWriter writer(out.data() + begin);
  write(writer, stanza);
  out.resize(static_cast<std::size_t>(writer.place() - out.data()));
  end_frame(out, start, Type::kStanza);
}

SettleWriter::SettleWriter(std::string& out) : out_(out), start_(begin_frame(out)) {}

void SettleWriter::add(const Run& run) {
  Appender appender(out_);
  write(appender, run);
}

bool SettleWriter::is_full() const {
  constexpr std::size_t kRunBytesMax =
      4 * kVarintBytesMax + limits::kLinkStringBytesMax + limits::kLinkTextBytesMax;
  return out_.size() - start_ - kHeaderBytes + kRunBytesMax > limits::kSettleBytesMax;
}

void SettleWriter::finish() { end_frame(out_, start_, Type::kSettle); }

std::string_view cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::optional<Result<Raw>> Reader::next(std::string_view& bytes, std::size_t bytes_max) {
  drop_taken();
  if (!held_.empty() && !hold(bytes, kHeaderBytes)) return std::nullopt;
  const std::string_view start = held_.empty() ? bytes : std::string_view(held_);
  if (start.size() < kHeaderBytes) {
    hold(bytes, kHeaderBytes);
    return std::nullopt;
  }
  const auto octet = [start](std::size_t i) { return static_cast<std::uint8_t>(start[i]); };
  const std::size_t size = std::size_t{octet(1)} << 16 | std::size_t{octet(2)} << 8 | octet(3);
  const auto row_bytes_max = payload_bytes_max(octet(0));
  if (!row_bytes_max) return Result<Raw>(Code::kLinkFrame, "a frame of unknown type");
  const Type type{octet(0)};
  if (size > std::min(*row_bytes_max, bytes_max))
    return Result<Raw>(Code::kLinkFrame, std::string(type_name(type)) + ": too long");

  if (held_.empty() && bytes.size() >= kHeaderBytes + size) {
    const std::string_view payload = bytes.substr(kHeaderBytes, size);
    bytes.remove_prefix(kHeaderBytes + size);
    return Result<Raw>(Raw{type, payload});
  }
  // Reserved at once: a growing string would leave copies of possible key material in freed memory.
  held_.reserve(kHeaderBytes + size);
  if (!hold(bytes, kHeaderBytes + size)) return std::nullopt;
  taken_ = true;
  return Result<Raw>(Raw{type, std::string_view(held_).substr(kHeaderBytes)});
}

// Appends from `bytes` until `size` bytes are held; returns false if there are not enough.
bool Reader::hold(std::string_view& bytes, std::size_t size) {
  if (held_.size() >= size) return true;
  const std::size_t missing = std::min(size - held_.size(), bytes.size());
  held_.append(bytes.substr(0, missing));
  bytes.remove_prefix(missing);
  return held_.size() == size;
}

void Reader::drop_taken() {
  if (!taken_) return;
  const bool secret = static_cast<Type>(held_[0]) == Type::kPushChunk;
  secret ? wipe(held_) : held_.clear();
  taken_ = false;
}

void Reader::reset() {
  wipe(held_);
  taken_ = false;
}

}  // namespace sallyport::link::frame
