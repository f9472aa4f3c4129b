#include "dns/message.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::dns {
namespace {

// RFC 1035 2.3.4: including every length and the empty label at the end.
constexpr std::size_t kNameBytesMax = 255;
constexpr std::uint8_t kPointer = 0xc0;
constexpr std::uint16_t kPointerToQuestion = 0xc00c;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }

struct Counts {
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  std::uint16_t authority = 0;
  std::uint16_t additional = 0;
};

// Reads a message from its beginning; `at` is the offset of the next field.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : bytes_(bytes) {}

  std::optional<std::uint16_t> u16() {
    Cursor in(bytes_.substr(at_));
    const auto value = in.u16();
    if (value) at_ += 2;
    return value;
  }
  std::optional<std::uint32_t> u32() {
    Cursor in(bytes_.substr(at_));
    const auto value = in.u32();
    if (value) at_ += 4;
    return value;
  }
  std::optional<Question> question() {
    auto name = Name::read(bytes_, at_);
    if (!name) return std::nullopt;
    const auto type = u16();
    const auto class_ = u16();
    if (!type || !class_) return std::nullopt;
    return Question{*std::move(name), *type, *class_};
  }
  std::optional<Record> record() {
    auto name = Name::read(bytes_, at_);
    if (!name) return std::nullopt;
    const auto type = u16();
    const auto class_ = u16();
    const auto ttl_s = u32();
    const auto size = u16();
    if (!type || !class_ || !ttl_s || !size || bytes_.size() - at_ < *size) return std::nullopt;
    Record out{*std::move(name), *type, *class_, *ttl_s, std::string(bytes_.substr(at_, *size))};
    at_ += *size;
    return out;
  }
  bool records(std::size_t count, std::vector<Record>& out) {
    for (std::size_t i = 0; i < count; ++i) {
      auto next = record();
      if (!next) return false;
      out.push_back(*std::move(next));
    }
    return true;
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

Error malformed(const char* what) { return {Code::kDnsMalformed, what}; }

// Reads the header: five counts and flags.
std::optional<Counts> read_header(MessageReader& in, std::uint16_t& id, std::uint16_t& flags) {
  const auto id_read = in.u16();
  const auto flags_read = in.u16();
  const auto questions = in.u16();
  const auto answers = in.u16();
  const auto authority = in.u16();
  const auto additional = in.u16();
  if (!additional) return std::nullopt;
  id = *id_read;
  flags = *flags_read;
  return Counts{*questions, *answers, *authority, *additional};
}

void write_records(Appender& out, const std::vector<Record>& records, const Name* first_question) {
  for (const auto& record : records) {
    if (first_question != nullptr && record.name == *first_question && record.name.wire().size() > 2) {
      out.u16(kPointerToQuestion);
    } else {
      out.raw(record.name.wire());
    }
    out.u16(record.type);
    out.u16(record.class_);
    out.u32(record.ttl_s);
    out.u16(static_cast<std::uint16_t>(record.rdata.size()));
    out.raw(record.rdata);
  }
}

}  // namespace

Result<Name> Name::parse(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string wire;
  while (!text.empty()) {
    const auto dot = text.find('.');
    const auto label = text.substr(0, dot);
    if (label.empty() || label.size() > limits::kDomainLabelBytesMax)
      return malformed("a label of a wrong size");
    wire.push_back(static_cast<char>(label.size()));
    wire.append(label);
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
    if (text.empty()) return malformed("an empty label");
  }
  wire.push_back('\0');
  if (wire.size() > kNameBytesMax) return malformed("a name is too long");
  return Name(std::move(wire));
}

Result<Name> Name::read(std::string_view message, std::size_t& at) {
  std::string wire;
  std::size_t here = at;
  // The beginning of the current part: the next pointer must lead before it.
  std::size_t part = at;
  bool jumped = false;
  for (;;) {
    if (here >= message.size()) return malformed("a name ends early");
    const auto length = byte_at(message, here);
    if ((length & kPointer) == kPointer) {
      if (here + 1 >= message.size()) return malformed("a pointer ends early");
      const std::size_t to = static_cast<std::size_t>(length & ~kPointer) << 8 | byte_at(message, here + 1);
      if (to >= part) return malformed("a pointer that does not lead back");
      if (!jumped) at = here + 2;
      jumped = true;
      here = part = to;
      continue;
    }
    if (length > limits::kDomainLabelBytesMax) return malformed("a label of an unknown type");
    if (message.size() - here - 1 < length) return malformed("a label ends early");
    wire.append(message.substr(here, length + 1U));
    if (wire.size() > kNameBytesMax) return malformed("a name is too long");
    here += length + 1U;
    if (length == 0) break;
  }
  if (!jumped) at = here;
  return Name(std::move(wire));
}

std::string Name::text() const {
  std::string out;
  for (std::size_t at = 0; wire_[at] != '\0'; at += byte_at(wire_, at) + 1U) {
    if (!out.empty()) out += '.';
    for (const char c : std::string_view(wire_).substr(at + 1, byte_at(wire_, at))) {
      if (c == '.' || c == '\\') {
        out += {'\\', c};
      } else if (c > ' ' && c <= '~') {
        out += c;
      } else {
        out += fmt::format("\\{:03}", static_cast<std::uint8_t>(c));
      }
    }
  }
  return out.empty() ? "." : out;
}

bool Name::is_same(const Name& other) const {
  // Lengths are smaller than any letter, so lower-casing does not change them.
  return std::ranges::equal(wire_, other.wire_, {}, lower, lower);
}

Result<Message> Message::parse(std::string_view bytes) {
  if (bytes.size() > limits::kDnsMessageBytesMax) return malformed("a message is too long");
  MessageReader in(bytes);
  Message out;
  const auto counts = read_header(in, out.id, out.flags);
  if (!counts) return malformed("a header ends early");
  for (std::size_t i = 0; i < counts->questions; ++i) {
    auto question = in.question();
    if (!question) return malformed("a question cannot be read");
    out.questions.push_back(*std::move(question));
  }
  if (!in.records(counts->answers, out.answers) || !in.records(counts->authority, out.authority) ||
      !in.records(counts->additional, out.additional)) {
    return malformed("a record cannot be read");
  }
  if (!in.at_end()) return malformed("bytes after the last record");
  return out;
}

std::string Message::build() const {
  std::string bytes;
  Appender out(bytes);
  out.u16(id);
  out.u16(flags);
  for (const std::size_t count : {questions.size(), answers.size(), authority.size(), additional.size()}) {
    out.u16(static_cast<std::uint16_t>(count));
  }
  for (const auto& question : questions) {
    out.raw(question.name.wire());
    out.u16(question.type);
    out.u16(question.class_);
  }
  const Name* first_question = questions.empty() ? nullptr : &questions.front().name;
  write_records(out, answers, first_question);
  write_records(out, authority, first_question);
  write_records(out, additional, first_question);
  return bytes;
}

Result<std::optional<Edns>> edns_of(const Message& query) {
  std::optional<Edns> out;
  for (const auto& record : query.additional) {
    if (record.type != static_cast<std::uint16_t>(RecordType::kOpt)) continue;
    if (out) return malformed("two OPT records");
    if (record.name != Name()) return malformed("an OPT record that is not the root's");
    out = Edns{record.class_, static_cast<std::uint8_t>(record.ttl_s >> 16), (record.ttl_s & 0x8000U) != 0};
  }
  return out;
}

std::size_t datagram_bytes_max(const std::optional<Edns>& edns) {
  if (!edns) return 512;
  return std::clamp<std::size_t>(edns->udp_bytes_max, 512, limits::kDnsDatagramBytesMax);
}

Result<Head> parse_head(std::string_view bytes) {
  MessageReader in(bytes);
  Head out;
  const auto counts = read_header(in, out.id, out.flags);
  if (!counts) return malformed("a header ends early");
  if (counts->questions > 0) {
    out.question = in.question();
    if (!out.question) return malformed("a question cannot be read");
  }
  return out;
}

}  // namespace sallyport::dns
