#include "link/frame.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::link::frame {
namespace {

using namespace std::string_literals;

std::string encoded(const Frame& f) {
  std::string out;
  append(out, f);
  return out;
}

std::string with_header(std::uint8_t type, std::string_view payload) {
  std::string out;
  Appender(out).u32(static_cast<std::uint32_t>(type) << 24 | static_cast<std::uint32_t>(payload.size()));
  return out.append(payload);
}

// Returns all frames of a stream given in two pieces, as text: the views end with the reader's next step.
std::vector<std::string> cut_apart(std::string_view first, std::string_view second) {
  Reader reader;
  std::vector<std::string> frames;
  for (std::string_view piece : {first, second}) {
    while (const auto raw = reader.next(piece, limits::kFrameBytesMax)) {
      if (!*raw) return {raw->error().text};
      frames.push_back(with_header(static_cast<std::uint8_t>((*raw)->type), (*raw)->payload));
    }
    EXPECT_TRUE(piece.empty());
  }
  return frames;
}

const std::string kLongText(limits::kLinkTextBytesMax, 't');
const std::string kLongName(limits::kLinkStringBytesMax, 'n');

struct Row {
  const char* name;
  Frame frame;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {"hello", Hello{1, 3, 0, "core-1", "0.1.0", "c0ffee", "", 0, 0}},
      {"hello that resumes", Hello{1, 1, 1, "e", "v", "i", "decaf", 7, 1ULL << 40}},
      {"welcome", Welcome{1, "vcse.example.com", "0.1.0", "decaf", 1, false, 0}},
      {"welcome that resumes", Welcome{1, "", "", "decaf", ~0ULL, true, ~0ULL}},
      {"refuse", Refuse{{"link.version", "we speak 1"}}},
      {"refuse with the longest text", Refuse{{kLongName, kLongText}}},
      {"ping", Ping{1}},
      {"pong", Pong{~0ULL}},
      {"ack", Ack{300}},
      {"open", Open{1, "example.com", "partner.example", "dialback", "198.51.100.7:5269"}},
      {"open without provenance", Open{70'000, "a", "b", "", ""}},
      {"close", Close{128}},
      {"stanza", Stanza{1, 2, "a@b/c", "d", "id1", "get", "en", "<iq/>"}},
      {"empty stanza", Stanza{}},
      {"message of an attempt", Stanza{1, 0, "a@b", "c@d", "i", "", "", "<message/>", 2}},
      {"drain", Drain{}},
      {"heard", Heard{~0ULL, "example.com", "partner.example"}},
      {"void", Void{127}},
      {"settle", Settle{{{1, 5, {}}, {1, 1, {"dns.no-name", "no such name"}}, {9, 1, {}}}}},
      {"settle ahead", SettleAhead{1, 300, 2, {}}},
      {"settle ahead as refused", SettleAhead{~0ULL, ~0ULL, ~0ULL, {kLongName, kLongText}}},
      {"window", Window{1, 1 << 20}},
      {"ask key", Ask{1, Question::kKey, "a", "b", "stream", "", ""}},
      {"ask verdict", Ask{2, Question::kVerdict, "a", "b", "stream", "0f0f", ""}},
      {"ask admit", Ask{4, Question::kAdmit, "a", "b", "", "", ""}},
      {"ask control", Ask{3, Question::kControl, "", "", "", "", "{}"}},
      {"answer", Answer{1, {"", "0f0f"}}},
      {"answer that refuses", Answer{1, {"policy.denied", "no"}}},
      {"push", Push{12, limits::kPushBytesMax}},
      {"push chunk", PushChunk{"secret"}},
      {"push done", PushDone{12, {}}},
      {"push refused", PushDone{12, {"link.domain", "example.org"}}},
  };
  return kRows;
}

TEST(Frame, what_is_encoded_is_decoded_again) {
  for (const Row& row : rows()) {
    const std::string bytes = encoded(row.frame);
    Reader reader;
    std::string_view rest = bytes;
    const auto raw = reader.next(rest, limits::kFrameBytesMax);
    ASSERT_TRUE(raw && *raw) << row.name;
    EXPECT_TRUE(rest.empty()) << row.name;
    const auto decoded = decode(**raw);
    ASSERT_TRUE(decoded) << row.name << ": " << decoded.error().text;
    EXPECT_TRUE(*decoded == row.frame) << row.name;
  }
}

TEST(Frame, a_stream_is_the_same_however_it_is_split) {
  std::string stream;
  std::vector<std::string> expected;
  for (const Row& row : rows()) {
    expected.push_back(encoded(row.frame));
    stream += expected.back();
  }
  for (std::size_t at = 0; at <= stream.size(); ++at) {
    ASSERT_EQ(cut_apart(std::string_view(stream).substr(0, at), std::string_view(stream).substr(at)),
              expected)
        << at;
  }
}

TEST(Frame, a_stream_is_the_same_byte_by_byte) {
  for (const Row& row : rows()) {
    const std::string bytes = encoded(row.frame) + encoded(Ping{7});
    Reader reader;
    std::vector<std::string> frames;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string_view piece = std::string_view(bytes).substr(i, 1);
      while (const auto raw = reader.next(piece, limits::kFrameBytesMax)) {
        ASSERT_TRUE(*raw);
        frames.push_back(with_header(static_cast<std::uint8_t>((*raw)->type), (*raw)->payload));
      }
    }
    EXPECT_EQ(frames, (std::vector{encoded(row.frame), encoded(Ping{7})})) << row.name;
  }
}

TEST(Frame, a_payload_cut_short_is_refused_at_each_byte) {
  for (const Row& row : rows()) {
    const std::string bytes = encoded(row.frame);
    const std::string_view payload = std::string_view(bytes).substr(kHeaderBytes);
    for (std::size_t size = 0; size < payload.size(); ++size) {
      const auto decoded = decode({type_of(row.frame), payload.substr(0, size)});
      // A chunk may be any bytes; a settlement may end after any run.
      if (decoded && (type_of(row.frame) == Type::kPushChunk || type_of(row.frame) == Type::kSettle))
        continue;
      ASSERT_FALSE(decoded) << row.name << " cut to " << size;
      EXPECT_EQ(decoded.error().code, Code::kLinkFrame);
    }
  }
}

TEST(Frame, bytes_left_over_are_refused_except_where_later_versions_put_some) {
  for (const Row& row : rows()) {
    const std::string payload = encoded(row.frame).substr(kHeaderBytes) + "\1";
    const Type type = type_of(row.frame);
    const bool open_ended = type == Type::kHello || type == Type::kWelcome || type == Type::kPushChunk;
    EXPECT_EQ(decode({type, payload}).has_value(), open_ended) << row.name;
  }
}

TEST(Frame, malformed_payloads_are_refused) {
  const struct {
    const char* name;
    Type type;
    std::string payload;
  } kCases[] = {
      {"varint not in shortest form", Type::kAck, "\x80\x00"s},
      {"varint of eleven bytes", Type::kAck, std::string(10, '\xFF') + "\1"},
      {"string length not in shortest form", Type::kRefuse, "\x81\x00x\x00"s},
      {"string longer than the payload", Type::kRefuse, "\x05link"s},
      {"refusal without a code", Type::kRefuse, "\0"s},
      {"versions the wrong way round", Type::kHello, "\0\2\0\1\0\0\0\1i\0\0\0"s},
      {"role unknown", Type::kHello, "\0\1\0\1\2\0\0\1i\0\0\0"s},
      {"hello without an instance", Type::kHello, "\0\1\0\1\0\0\0\0\0\0\0"s},
      {"welcome without a session", Type::kWelcome, "\0\1\0\0\1i\0\0\0"s},
      {"resumed neither yes nor no", Type::kWelcome, "\0\1\0\0\1i\1\2\0"s},
      {"stanza of an unknown kind", Type::kStanza, "\1\3\0\0\0\0\0\0"s},
      {"no settlement", Type::kSettle, ""},
      {"settlement of nothing", Type::kSettle, "\1\0\0"s},
      {"settlement of nothing, ahead", Type::kSettleAhead, "\1\2\0\0"s},
      {"question unknown", Type::kAsk, "\1\5\0\0\0"s},
      {"question zero", Type::kAsk, "\1\0\0\0\0"s},
      {"empty chunk", Type::kPushChunk, ""},
      {"reserved: sign", Type::kSign, ""},
      {"reserved: signed", Type::kSigned, ""},
  };
  for (const auto& c : kCases) {
    const auto decoded = decode({c.type, c.payload});
    ASSERT_FALSE(decoded) << c.name;
    EXPECT_EQ(decoded.error().code, Code::kLinkFrame) << c.name;
  }
}

TEST(Frame, strings_are_taken_up_to_their_bound) {
  const auto times = [](std::size_t n) { return std::string(n, 'x'); };
  const auto payload = [](Type, auto... fields) {
    std::string out;
    Appender a(out);
    (a.string(fields), ...);
    return out;
  };
  const auto stanza = [&](std::size_t from, std::size_t to, std::size_t id, std::size_t type,
                          std::size_t lang, std::size_t xml) {
    return "\1\0"s +
           payload(Type::kStanza, times(from), times(to), times(id), times(type), times(lang), times(xml));
  };
  constexpr std::size_t kAddress = 3 * limits::kJidPartBytesMax + 2;
  const struct {
    const char* name;
    Type type;
    std::string payload;
    bool good;
  } kCases[] = {
      {"text at the bound", Type::kRefuse, payload(Type::kRefuse, "c"s, times(limits::kLinkTextBytesMax)),
       true},
      {"text above", Type::kRefuse, payload(Type::kRefuse, "c"s, times(limits::kLinkTextBytesMax + 1)),
       false},
      {"code at the bound", Type::kRefuse, payload(Type::kRefuse, times(limits::kLinkStringBytesMax), ""s),
       true},
      {"code above", Type::kRefuse, payload(Type::kRefuse, times(limits::kLinkStringBytesMax + 1), ""s),
       false},
      {"domain at the bound", Type::kOpen, "\1"s + payload(Type::kOpen, times(253), "b"s, ""s, ""s), true},
      {"domain above", Type::kOpen, "\1"s + payload(Type::kOpen, times(254), "b"s, ""s, ""s), false},
      {"method at the bound", Type::kOpen, "\1"s + payload(Type::kOpen, "a"s, "b"s, times(256), ""s), true},
      {"method above", Type::kOpen, "\1"s + payload(Type::kOpen, "a"s, "b"s, times(257), ""s), false},
      {"addresses at the bound", Type::kStanza, stanza(kAddress, kAddress, 0, 0, 0, 0), true},
      {"from above", Type::kStanza, stanza(kAddress + 1, 0, 0, 0, 0, 0), false},
      {"to above", Type::kStanza, stanza(0, kAddress + 1, 0, 0, 0, 0), false},
      {"id, type, lang at the bound", Type::kStanza, stanza(0, 0, 1024, 256, 256, 0), true},
      {"id above", Type::kStanza, stanza(0, 0, 1025, 0, 0, 0), false},
      {"type above", Type::kStanza, stanza(0, 0, 0, 257, 0, 0), false},
      {"lang above", Type::kStanza, stanza(0, 0, 0, 0, 257, 0), false},
      {"bytes at the bound", Type::kStanza, stanza(0, 0, 0, 0, 0, limits::kCanonicalBytesMax), true},
      {"bytes above", Type::kStanza, stanza(0, 0, 0, 0, 0, limits::kCanonicalBytesMax + 1), false},
      {"answer at the bound", Type::kAnswer, "\1"s + payload(Type::kAnswer, ""s, times(1 << 20)), true},
      {"answer above", Type::kAnswer, "\1"s + payload(Type::kAnswer, ""s, times((1 << 20) + 1)), false},
  };
  for (const auto& c : kCases) EXPECT_EQ(decode({c.type, c.payload}).has_value(), c.good) << c.name;
  std::string push;
  Appender(push).varint(1);
  Appender(push).varint(limits::kPushBytesMax + 1);
  EXPECT_FALSE(decode({Type::kPush, push}));
}

TEST(Frame, the_largest_stanza_fits) {
  const std::string address(3 * limits::kJidPartBytesMax + 2, 'a');
  const std::string id(limits::kStanzaIdBytesMax, 'i');
  const std::string xml(limits::kCanonicalBytesMax, 'x');
  const Frame largest = Stanza{~0ULL, 2, address, address, id, kLongName, kLongName, xml};
  EXPECT_LE(encoded(largest).size(), kHeaderBytes + limits::kFrameBytesMax);
}

TEST(FrameReader, a_type_that_this_version_does_not_know_is_refused) {
  for (int type = 0; type < 256; ++type) {
    Reader reader;
    const std::string bytes = with_header(static_cast<std::uint8_t>(type), "");
    std::string_view rest = bytes;
    const auto raw = reader.next(rest, limits::kFrameBytesMax);
    ASSERT_TRUE(raw);
    const bool known = payload_bytes_max(static_cast<std::uint8_t>(type)).has_value();
    EXPECT_EQ(raw->has_value(), known) << type;
    if (!known) {
      EXPECT_EQ(raw->error().code, Code::kLinkFrame);
    }
  }
  EXPECT_FALSE(payload_bytes_max(0x00));
  EXPECT_FALSE(payload_bytes_max(0x30));
  EXPECT_FALSE(payload_bytes_max(0x31));
  EXPECT_FALSE(payload_bytes_max(0xFF));
}

TEST(FrameReader, a_length_is_checked_before_the_payload_comes) {
  for (int type = 0; type < 256; ++type) {
    const auto bytes_max = payload_bytes_max(static_cast<std::uint8_t>(type));
    if (!bytes_max) continue;
    for (const bool above : {false, true}) {
      std::string header;
      Appender(header).u32(static_cast<std::uint32_t>(type) << 24 |
                           static_cast<std::uint32_t>(*bytes_max + above));
      Reader reader;
      std::string_view rest = header;
      const auto raw = reader.next(rest, limits::kFrameBytesMax);
      // A frame without a payload is complete.
      ASSERT_EQ(raw.has_value(), above || *bytes_max == 0) << type;
      if (above) {
        EXPECT_EQ(raw->error().code, Code::kLinkFrame) << type;
      }
    }
  }
}

TEST(FrameReader, before_the_greeting_the_bound_is_tighter) {
  for (const bool above : {false, true}) {
    std::string header;
    Appender(header).u32(0x12'000000U | static_cast<std::uint32_t>(limits::kGreetingBytesMax + above));
    Reader reader;
    std::string_view rest = header;
    EXPECT_EQ(reader.next(rest, limits::kGreetingBytesMax).has_value(), above);
  }
}

TEST(FrameReader, reset_forgets_half_a_frame) {
  const std::string bytes = encoded(Ping{1});
  Reader reader;
  std::string_view half = std::string_view(bytes).substr(0, 6);
  EXPECT_FALSE(reader.next(half, limits::kFrameBytesMax));
  reader.reset();
  std::string_view whole = bytes;
  const auto raw = reader.next(whole, limits::kFrameBytesMax);
  ASSERT_TRUE(raw && *raw);
  EXPECT_TRUE(*decode(**raw) == Frame(Ping{1}));
}

TEST(FrameCut, ends_on_a_character) {
  EXPECT_EQ(cut("abc", 3), "abc");
  EXPECT_EQ(cut("abcd", 3), "abc");
  EXPECT_EQ(cut("ab\xC3\xA9", 3), "ab");
  EXPECT_EQ(cut("ab\xC3\xA9", 4), "ab\xC3\xA9");
  EXPECT_EQ(cut("\xF0\x9F\x98\x80x", 4), "\xF0\x9F\x98\x80");
  EXPECT_EQ(cut("\xF0\x9F\x98\x80x", 3), "");
}

TEST(FrameSettle, a_frame_that_is_not_full_takes_the_longest_run) {
  std::string out;
  SettleWriter writer(out);
  std::size_t runs = 0;
  while (!writer.is_full()) {
    writer.add({~0ULL, ~0ULL, {kLongName, kLongText}});
    ++runs;
  }
  writer.finish();
  EXPECT_GT(runs, 40U);
  EXPECT_LE(out.size(), kHeaderBytes + limits::kSettleBytesMax);
  const auto decoded = decode({Type::kSettle, std::string_view(out).substr(kHeaderBytes)});
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<Settle>(*decoded).runs.size(), runs);
}

}  // namespace
}  // namespace sallyport::link::frame
