#include "link/frame.h"

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::link::frame {
namespace {

constexpr std::size_t kVarintBytesMax = 10;

// Reads fields one after the other; the first that is not there or too long fails it for good, and whatever
// is read behind it is empty.
class Fields {
 public:
  explicit Fields(std::string_view payload) : at_(payload.data()), end_(at_ + payload.size()) {}

  std::uint8_t u8() { return at_ == end_ ? static_cast<std::uint8_t>(fail()) : octet(*at_++); }
  std::uint16_t u16() { return take(&Cursor::u16); }
  std::uint64_t u64() { return take(&Cursor::u64); }
  std::uint64_t varint() {
    // Nearly all are lengths below 128.
    if (at_ != end_ && octet(*at_) < 0x80) return octet(*at_++);
    return take(&Cursor::varint);
  }
  std::string_view string(std::size_t bytes_max) {
    const std::uint64_t size = varint();
    if (size > bytes_max || size > left()) fail();
    if (!good_) return {};
    const std::string_view text(at_, size);
    at_ += size;
    return text;
  }
  std::string_view rest() {
    const std::string_view all(at_, left());
    at_ = end_;
    return all;
  }
  Verdict verdict(std::size_t text_bytes_max) {
    Verdict verdict{string(limits::kLinkStringBytesMax), {}};
    if (!verdict.code.empty()) verdict.text = string(text_bytes_max);
    return verdict;
  }
  void require(bool condition) {
    if (!condition) fail();
  }

  bool good() const { return good_; }
  bool at_end() const { return good_ && at_ == end_; }

 private:
  static std::uint8_t octet(char c) { return static_cast<std::uint8_t>(c); }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  int fail() {
    good_ = false;
    at_ = end_;
    return 0;
  }
  template <typename T>
  T take(std::optional<T> (Cursor::*what)()) {
    Cursor cursor({at_, left()});
    const std::optional<T> value = (cursor.*what)();
    if (!value) return static_cast<T>(fail());
    at_ = end_ - cursor.rest().size();
    return *value;
  }

  const char* at_;
  const char* end_;
  bool good_ = true;
};

constexpr std::size_t kName = limits::kLinkStringBytesMax;
constexpr std::size_t kText = limits::kLinkTextBytesMax;

// One reader for each frame, in the order of the table in docs/link-protocol.md.

void read(Fields& in, Hello& f) {
  f.version_lowest = in.u16();
  f.version_highest = in.u16();
  in.require(f.version_lowest <= f.version_highest);
  f.role = in.u8();
  in.require(f.role <= 1);
  f.name = in.string(kName);
  f.program_version = in.string(kName);
  f.instance = in.string(kName);
  in.require(!f.instance.empty());
  f.edge_instance = in.string(kName);
  f.session = in.varint();
  f.position = in.varint();
  if (in.good()) in.rest();  // fields of later versions
}
void read(Fields& in, Welcome& f) {
  f.version = in.u16();
  f.name = in.string(kName);
  f.program_version = in.string(kName);
  f.instance = in.string(kName);
  f.session = in.varint();
  in.require(!f.instance.empty() && f.session != 0);
  const std::uint8_t resumed = in.u8();
  in.require(resumed <= 1);
  f.resumed = resumed == 1;
  f.position = in.varint();
  if (in.good()) in.rest();  // fields of later versions
}
void read(Fields& in, Refuse& f) {
  f.reason = in.verdict(kText);
  in.require(!f.reason.code.empty());
}
void read(Fields& in, Ping& f) { f.number = in.u64(); }
void read(Fields& in, Pong& f) { f.number = in.u64(); }
void read(Fields& in, Ack& f) { f.position = in.varint(); }
void read(Fields& in, Open& f) {
  f.channel = in.varint();
  f.local = in.string(limits::kDomainBytesMax);
  f.remote = in.string(limits::kDomainBytesMax);
  f.method = in.string(kName);
  f.peer_address = in.string(kName);
}
void read(Fields& in, Close& f) { f.channel = in.varint(); }
void read(Fields& in, Stanza& f) {
  constexpr std::size_t kAddress = 3 * limits::kJidPartBytesMax + 2;
  f.channel = in.varint();
  f.kind = in.u8();
  in.require(f.kind <= 2);
  f.from = in.string(kAddress);
  f.to = in.string(kAddress);
  f.id = in.string(limits::kStanzaIdBytesMax);
  f.type = in.string(kName);
  f.lang = in.string(kName);
  f.xml = in.string(limits::kCanonicalBytesMax);
}
void read(Fields& in, Void& f) { f.channel = in.varint(); }
void read(Fields& in, Settle& f) {
  do {
    Run run{in.varint(), in.varint(), in.verdict(kText)};
    in.require(run.count != 0);
    f.runs.push_back(run);
  } while (in.good() && !in.at_end());
}
void read(Fields& in, Window& f) {
  f.channel = in.varint();
  f.bytes = in.varint();
}
void read(Fields& in, Ask& f) {
  f.id = in.varint();
  const std::uint8_t question = in.u8();
  in.require(question >= 1 && question <= 4);
  f.question = static_cast<Question>(question);
  if (f.question == Question::kControl) {
    f.json = in.string(limits::kLinkAnswerBytesMax);
    return;
  }
  f.local = in.string(limits::kDomainBytesMax);
  f.remote = in.string(limits::kDomainBytesMax);
  if (f.question == Question::kAdmit) return;
  f.stream_id = in.string(kText);
  if (f.question == Question::kVerdict) f.key = in.string(kText);
}
void read(Fields& in, Answer& f) {
  f.id = in.varint();
  f.answer.code = in.string(kName);
  f.answer.text = in.string(f.answer.code.empty() ? limits::kLinkAnswerBytesMax : kText);
}
void read(Fields& in, Push& f) {
  f.generation = in.varint();
  f.size = in.varint();
  in.require(f.size <= limits::kPushBytesMax);
}
void read(Fields& in, PushChunk& f) {
  f.bytes = in.rest();
  in.require(!f.bytes.empty());
}
void read(Fields& in, PushDone& f) {
  f.generation = in.varint();
  f.result = in.verdict(kText);
}

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
// Appender's words for where there is room: no byte asks again whether there is.
class RoomyWriter {
 public:
  explicit RoomyWriter(char* at) : at_(at) {}
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
  out.u8(f.kind);
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
  // Longer than its row allows: our bug, and the other side would close the link for it.
  if (size > *payload_bytes_max(static_cast<std::uint8_t>(type))) std::abort();
  out[start] = static_cast<char>(type);
  out[start + 1] = static_cast<char>(size >> 16);
  out[start + 2] = static_cast<char>(size >> 8);
  out[start + 3] = static_cast<char>(size);
}

template <typename F, typename As = Frame>
Result<As> decode_as(const Raw& raw) {
  Fields in(raw.payload);
  F frame;
  read(in, frame);
  if (!in.at_end()) return {Code::kLinkFrame, std::string(type_name(raw.type)) + ": malformed"};
  return As(std::move(frame));
}

}  // namespace

std::optional<std::size_t> payload_bytes_max(std::uint8_t type) {
  switch (static_cast<Type>(type)) {
    case Type::kHello:
    case Type::kWelcome:
    case Type::kRefuse:
    case Type::kPushDone:
      return limits::kGreetingBytesMax;
    case Type::kPing:
    case Type::kPong:
      return 8;
    case Type::kAck:
    case Type::kClose:
    case Type::kVoid:
      return kVarintBytesMax;
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

Result<Stanza> decode_stanza(const Raw& raw) { return decode_as<Stanza, Stanza>(raw); }

Result<Frame> decode(const Raw& raw) {
  switch (raw.type) {
    case Type::kHello:
      return decode_as<Hello>(raw);
    case Type::kWelcome:
      return decode_as<Welcome>(raw);
    case Type::kRefuse:
      return decode_as<Refuse>(raw);
    case Type::kPing:
      return decode_as<Ping>(raw);
    case Type::kPong:
      return decode_as<Pong>(raw);
    case Type::kAck:
      return decode_as<Ack>(raw);
    case Type::kOpen:
      return decode_as<Open>(raw);
    case Type::kClose:
      return decode_as<Close>(raw);
    case Type::kStanza:
      return decode_as<Stanza>(raw);
    case Type::kVoid:
      return decode_as<Void>(raw);
    case Type::kSettle:
      return decode_as<Settle>(raw);
    case Type::kWindow:
      return decode_as<Window>(raw);
    case Type::kAsk:
      return decode_as<Ask>(raw);
    case Type::kAnswer:
      return decode_as<Answer>(raw);
    case Type::kPush:
      return decode_as<Push>(raw);
    case Type::kPushChunk:
      return decode_as<PushChunk>(raw);
    case Type::kPushDone:
      return decode_as<PushDone>(raw);
    case Type::kSign:
    case Type::kSigned:
      break;
  }
  return {Code::kLinkFrame, "a frame of unknown type"};
}

void append(std::string& out, const Frame& frame) {
  const std::size_t start = begin_frame(out);
  Appender appender(out);
  std::visit([&appender](const auto& f) { write(appender, f); }, frame);
  end_frame(out, start, type_of(frame));
}

// Most frames are stanzas: without the detour of a variant, and with room made once.
void append(std::string& out, const Stanza& stanza) {
  const std::size_t most = kHeaderBytes + 7 * kVarintBytesMax + 1 + stanza.from.size() + stanza.to.size() +
                           stanza.id.size() + stanza.type.size() + stanza.lang.size() + stanza.xml.size();
  make_room(out, most);
  const std::size_t start = begin_frame(out);
  const std::size_t begin = out.size();
  out.resize(begin + most);
  RoomyWriter writer(out.data() + begin);
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
  constexpr std::size_t kRunBytesMax = 4 * kVarintBytesMax + kName + kText;
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
  // Reserved at once: growing would leave copies of what may be key material behind.
  held_.reserve(kHeaderBytes + size);
  if (!hold(bytes, kHeaderBytes + size)) return std::nullopt;
  taken_ = true;
  return Result<Raw>(Raw{type, std::string_view(held_).substr(kHeaderBytes)});
}

// Adds from `bytes` until `size` bytes are held; false when there are not enough.
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
