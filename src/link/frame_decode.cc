// Decodes the payload of one frame, whose type and length Reader has checked (link/frame.cc).
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "link/frame.h"

namespace sallyport::link::frame {
namespace {

// Reads fields one after the other. After the first absent or too long field it has failed for good, and
// every later field is empty.
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

// One function for each frame, in the order of the table in docs/link-protocol.md.

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
void read(Fields&, Drain&) {}
void read(Fields& in, Heard& f) {
  f.ping = in.u64();
  f.local = in.string(limits::kDomainBytesMax);
  f.remote = in.string(limits::kDomainBytesMax);
}
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
  const std::uint8_t kind = in.u8();
  f.kind = kind & 0x0F;
  f.attempt = kind >> 4;
  in.require(f.kind <= 2 && f.attempt <= 2);
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
void read(Fields& in, SettleAhead& f) {
  f.channel = in.varint();
  f.first = in.varint();
  f.count = in.varint();
  f.outcome = in.verdict(kText);
  in.require(f.count != 0);
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

template <typename F, typename As = Frame>
Result<As> decode_as(const Raw& raw) {
  Fields in(raw.payload);
  F frame;
  read(in, frame);
  if (!in.at_end()) return {Code::kLinkFrame, std::string(type_name(raw.type)) + ": malformed"};
  return As(std::move(frame));
}

}  // namespace

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
    case Type::kDrain:
      return decode_as<Drain>(raw);
    case Type::kHeard:
      return decode_as<Heard>(raw);
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
    case Type::kSettleAhead:
      return decode_as<SettleAhead>(raw);
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

}  // namespace sallyport::link::frame
