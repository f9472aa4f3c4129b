#include "base/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace sallyport {
namespace {

// Counts up: every byte differs from the one before.
class Counting : public Random {
 public:
  explicit Counting(std::uint8_t first) : next_(first) {}
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_++;
  }

 private:
  std::uint8_t next_;
};

// Returns the 64-bit values of a list, then zeros.
class Listed : public Random {
 public:
  explicit Listed(std::vector<std::uint64_t> values) : values_(std::move(values)) {}
  void fill(std::uint8_t* out, std::size_t size) override {
    const std::uint64_t v = at_ < values_.size() ? values_[at_] : 0;
    ++at_;
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(v >> (8 * (size - 1 - i)));
  }
  std::size_t drawn() const { return at_; }

 private:
  std::vector<std::uint64_t> values_;
  std::size_t at_ = 0;
};

TEST(Bytes, integers_are_written_in_network_order) {
  std::string out;
  Appender a(out);
  a.u8(0x01);
  a.u16(0x0203);
  a.u32(0x04050607);
  a.u64(0x08090a0b0c0d0e0f);
  EXPECT_EQ(to_hex(out), "0102030405060708090a0b0c0d0e0f");
}

TEST(Bytes, a_cursor_reads_what_an_appender_wrote) {
  std::string out;
  Appender a(out);
  a.u8(7);
  a.u16(65535);
  a.u32(0xdeadbeef);
  a.u64(std::numeric_limits<std::uint64_t>::max());
  a.varint(300);
  a.string("hello");
  a.raw("x");
  Cursor c(out);
  EXPECT_EQ(c.u8(), 7);
  EXPECT_EQ(c.u16(), 65535);
  EXPECT_EQ(c.u32(), 0xdeadbeef);
  EXPECT_EQ(c.u64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(c.varint(), 300U);
  EXPECT_EQ(c.string(), "hello");
  EXPECT_FALSE(c.at_end());
  EXPECT_EQ(c.raw(1), "x");
  EXPECT_TRUE(c.at_end());
}

TEST(Bytes, a_varint_has_one_spelling_only) {
  struct Case {
    std::string_view name;
    std::uint64_t value;
    std::string_view bytes;
  };
  const Case cases[] = {
      {"zero", 0, std::string_view("\x00", 1)},
      {"one group", 127, "\x7f"},
      {"two groups", 128, "\x80\x01"},
      {"the largest", std::numeric_limits<std::uint64_t>::max(), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
  };
  for (const auto& c : cases) {
    std::string out;
    Appender(out).varint(c.value);
    EXPECT_EQ(out, c.bytes) << c.name;
    Cursor cursor(out);
    EXPECT_EQ(cursor.varint(), c.value) << c.name;
    EXPECT_TRUE(cursor.at_end()) << c.name;
  }
  const std::string_view refused[] = {
      std::string_view("\x80\x00", 2),                                   // a zero group more than needed
      std::string_view("\xff\x80\x00", 3),                               //
      std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),      // 65 bits
      std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),  // eleven bytes
      std::string_view("\x80"),                                          // cut
      std::string_view(""),
  };
  for (const auto bytes : refused) {
    Cursor cursor(bytes);
    EXPECT_FALSE(cursor.varint()) << to_hex(bytes);
    EXPECT_TRUE(cursor.failed()) << to_hex(bytes);
  }
}

TEST(Bytes, a_read_past_the_end_fails_for_good) {
  Cursor c("ab");
  EXPECT_FALSE(c.u32());
  EXPECT_TRUE(c.failed());
  EXPECT_FALSE(c.u8());
  EXPECT_FALSE(c.at_end());
}

TEST(Bytes, a_string_longer_than_its_input_fails) {
  for (const auto bytes : {std::string_view("\x03xy"), std::string_view("\xff\xff\xff\xff\x0f")}) {
    Cursor c(bytes);
    EXPECT_FALSE(c.string());
    EXPECT_TRUE(c.failed());
  }
}

TEST(Bytes, base64_is_that_of_rfc_4648) {
  // RFC 4648 10.
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {"\xfb\xff\xfe", "+//+"},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), std::string(bytes));
  }
}

TEST(Bytes, base64_in_another_spelling_is_refused) {
  for (const auto text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "=", "Zg==Zg==", "Zm 9v",
                          "Zm9v\n", "Zm-_", "Z=g="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Bytes, digests_are_those_of_the_standards) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231 4.3.
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Bytes, comparison_in_constant_time_still_compares) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

TEST(Bytes, a_wiped_secret_is_empty_and_its_room_is_zero) {
  std::string secret(100, 's');
  const char* room = secret.data();
  const auto size = secret.size();
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  // The string keeps its buffer: none of the secret is left in it.
  ASSERT_EQ(secret.data(), room);
  EXPECT_TRUE(std::all_of(room, room + size, [](char c) { return c == 0; }));
}

TEST(Random, hex_is_two_digits_a_byte) {
  Counting random(0xfe);
  EXPECT_EQ(random.hex(3), "feff00");
  EXPECT_EQ(random.hex(0), "");
}

TEST(Random, below_draws_again_instead_of_favouring_small_numbers) {
  // 2^64 mod 3 = 1: only the value 0 is rejected.
  Listed random({0, 5});
  EXPECT_EQ(random.below(3), 2U);
  EXPECT_EQ(random.drawn(), 2U);
  Listed one({9});
  EXPECT_EQ(one.below(1), 0U);
}

}  // namespace
}  // namespace sallyport
