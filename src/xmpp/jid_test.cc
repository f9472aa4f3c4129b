#include "xmpp/jid.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport::xmpp {
namespace {

struct Row {
  std::string_view name;
  std::string text;
  std::optional<std::string> expected;  // nothing: rejected
};

std::string repeated(std::size_t times, std::string_view what) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += what;
  return out;
}

void expect_domains(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    const auto domain = Domain::parse(row.text);
    ASSERT_EQ(domain.has_value(), row.expected.has_value())
        << row.name << (domain ? " became " + domain->ascii() : ": " + domain.error().text);
    if (!domain) {
      EXPECT_EQ(domain.error().code, Code::kJidInvalid) << row.name;
      continue;
    }
    EXPECT_EQ(domain->ascii(), *row.expected) << row.name;
    // Every form of a name is the same identity.
    EXPECT_EQ(Domain::parse(domain->ascii()).value(), *domain) << row.name;
    EXPECT_EQ(Domain::parse(domain->unicode()).value(), *domain) << row.name;
  }
}

void expect_jids(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    const auto jid = Jid::parse(row.text);
    ASSERT_EQ(jid.has_value(), row.expected.has_value())
        << row.name << (jid ? " became " + jid->text() : ": " + jid.error().text);
    if (!jid) continue;
    EXPECT_EQ(jid->text(), *row.expected) << row.name;
    const auto again = Jid::parse(jid->text());
    ASSERT_TRUE(again) << row.name;
    EXPECT_EQ(*again, *jid) << row.name;
  }
}

TEST(Domain, a_name_of_letters_digits_and_hyphens_is_lower_case_without_its_root_dot) {
  const std::string label63(limits::kDomainLabelBytesMax, 'a');
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
  expect_domains({
      {"plain", "example.com", "example.com"},
      {"upper case", "EXAMPLE.Com", "example.com"},
      {"root dot", "example.com.", "example.com"},
      {"one label", "localhost", "localhost"},
      {"digits first", "3com.example", "3com.example"},
      {"a label of digits inside", "1.2.example", "1.2.example"},
      {"a hyphen inside", "a-b.example", "a-b.example"},
      {"the longest label", label63 + ".example", label63 + ".example"},
      {"one longer", label63 + "a.example", {}},
      {"the longest name", longest, longest},
      {"one longer", longest + "b", {}},
      {"empty", "", {}},
      {"only a dot", ".", {}},
      {"two root dots", "example.com..", {}},
      {"empty label", "a..b", {}},
      {"leading dot", ".example", {}},
      {"leading hyphen", "-a.example", {}},
      {"trailing hyphen", "a-.example", {}},
      {"hyphens like an A-label's", "ab--c.example", {}},
      {"underscore", "a_b.example", {}},
      {"space", "a b.example", {}},
      {"at-sign", "b@c.example", {}},
      {"colon", "example.com:5269", {}},
      {"control", std::string("a\0b.example", 11), {}},
      {"IPv4", "192.0.2.1", {}},
      {"short IPv4", "10.1", {}},
      {"IPv6", "[2001:db8::1]", {}},
      {"bare IPv6", "2001:db8::1", {}},
  });
}

TEST(Domain, a_name_in_another_script_is_one_identity_in_both_spellings) {
  expect_domains({
      {"U-label", "bücher.example", "xn--bcher-kva.example"},
      {"A-label", "xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"upper-case A-label", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
      {"upper case", "BÜCHER.example", "xn--bcher-kva.example"},
      {"decomposed",
       "bu\xcc\x88"
       "cher.example",
       "xn--bcher-kva.example"},
      {"root dot", "bücher.example.", "xn--bcher-kva.example"},
      {"sharp s is kept", "faß.example", "xn--fa-hia.example"},
      {"final sigma is kept", "βόλος.example", "xn--nxasmm1c.example"},
      {"full width", "ｅｘａｍｐｌｅ.com", "example.com"},
      {"Chinese", "例え.テスト", "xn--r8jz45g.xn--zckzah"},
      {"Hebrew", "דוגמה.example", "xn--6dbbec0c.example"},
      {"zero width non-joiner in its place", "نامه\xe2\x80\x8cای.example", "xn--mgba3gch31f060k.example"},
      {"zero width non-joiner elsewhere",
       "a\xe2\x80\x8c"
       "b.example",
       {}},
      {"middle dot in its place", "col·lecció.example", "xn--collecci-ioa91d.example"},
      {"middle dot elsewhere", "a·b.example", {}},
      {"katakana dot alone", "・.example", {}},
      {"mixed directions", "a\xd7\x90.example", {}},
      {"Cherokee, whose capitals are the stable ones", "Ꮻ.example", "xn--bce.example"},
      {"a small Cherokee letter", "\xea\xae\xbb.example", {}},
      {"a symbol", "☃.example", {}},
      {"the same, spelt as A-label", "xn--n3h.example", {}},
      {"emoji", "i❤.example", {}},
      {"a ligature that stands for two letters", "ﬁn.example", {}},
      {"a circled letter", "ⓔxample.example", {}},
      {"full-width at-sign", "a＠b.example", {}},
      {"ideographic full stop", "a。example", {}},
      {"full-width full stop", "a．example", {}},
      {"soft hyphen",
       "a\xc2\xad"
       "b.example",
       {}},
      {"bidi control",
       "a\xe2\x80\xae"
       "b.example",
       {}},
      {"leading combining mark",
       "\xcc\x88"
       "a.example",
       {}},
      {"old Hangul", "\xe1\x84\x80.example", {}},
      {"a fake A-label of ASCII", "xn--abc-.example", {}},
      {"a fake A-label", "xn--999999999.example", {}},
      {"an A-label of upper case", "xn--BCHER-KVa.example", "xn--bcher-kva.example"},
      {"an A-label that hides a full stop", "xn--a-0hc.example", {}},
      {"invalid UTF-8", "a\xc0\xae.example", {}},
      {"a surrogate", "a\xed\xa0\x80.example", {}},
      {"too long as A-label", repeated(60, "ü") + ".example", {}},
  });
}

TEST(Domain, a_look_alike_is_another_identity) {
  const auto latin = Domain::parse("apple.example").value();
  const auto cyrillic = Domain::parse("\xd0\xb0pple.example");
  ASSERT_TRUE(cyrillic);
  EXPECT_NE(*cyrillic, latin);
  EXPECT_EQ(cyrillic->ascii(), "xn--pple-43d.example");
}

TEST(Domain, below_means_by_whole_labels) {
  const auto parent = Domain::parse("example.com").value();
  const std::pair<std::string_view, bool> cases[] = {
      {"a.example.com", true}, {"a.b.example.com", true},   {"example.com", false}, {"badexample.com", false},
      {"com", false},          {"example.com.evil", false},
  };
  for (const auto& [name, below] : cases)
    EXPECT_EQ(Domain::parse(name).value().is_below(parent), below) << name;
}

TEST(Jid, parts_are_cut_at_the_first_slash_and_the_first_at_sign_before_it) {
  expect_jids({
      {"domain", "example.com", "example.com"},
      {"bare", "a@b.example", "a@b.example"},
      {"full", "a@b.example/r", "a@b.example/r"},
      {"domain and resource", "b.example/r", "b.example/r"},
      {"case and root dot", "a@B.EXAMPLE.", "a@b.example"},
      {"root dot before a resource", "A@B.EXAMPLE./R", "a@b.example/R"},
      {"slash in the resource", "a@b.example/r/s", "a@b.example/r/s"},
      {"at-sign in the resource", "b.example/r@s", "b.example/r@s"},
      {"U-label", "a@BÜCHER.example/r", "a@bücher.example/r"},
      {"A-label", "a@xn--bcher-kva.example", "a@bücher.example"},
      {"two at-signs", "a@b@c.example", {}},
      {"no localpart", "@b.example", {}},
      {"no domain", "a@", {}},
      {"no domain but a resource", "a@/r", {}},
      {"empty resource", "a@b.example/", {}},
      {"empty", "", {}},
      {"only a slash", "/", {}},
      {"space in front", " a@b.example", {}},
      {"a space at the end", "a@b.example ", {}},
      {"full-width at-sign", "a＠b.example", {}},
  });
}

// RFC 7622 3.5, tables 1 and 2.
TEST(Jid, the_examples_of_rfc_7622_hold) {
  expect_jids({
      {"1", "juliet@example.com", "juliet@example.com"},
      {"2", "juliet@example.com/foo", "juliet@example.com/foo"},
      {"3", "juliet@example.com/foo bar", "juliet@example.com/foo bar"},
      {"4", "juliet@example.com/foo@bar", "juliet@example.com/foo@bar"},
      {"5", "foo\\20bar@example.com", "foo\\20bar@example.com"},
      {"6", "fussball@example.com", "fussball@example.com"},
      {"7", "fußball@example.com", "fußball@example.com"},
      {"8", "π@example.com", "π@example.com"},
      {"9", "Σ@example.com/foo", "σ@example.com/foo"},
      {"10", "ς@example.com", "ς@example.com"},
      {"11", "king@example.com/♚", "king@example.com/♚"},
      {"12", "example.com", "example.com"},
      {"13", "example.com/foobar", "example.com/foobar"},
      {"14", "a.example.com/b@example.net", "a.example.com/b@example.net"},
      {"15: quotes", "\"juliet\"@example.com", {}},
      {"16: space", "foo bar@example.com", {}},
      {"17: leading space in the domain", "juliet@ example.com", {}},
      {"18: no localpart", "@example.com/", {}},
      {"19: Roman numeral four", "henry\xe2\x85\xa3@example.com", {}},
      {"20: chess king", "♚@example.com", {}},
      {"21: no domain", "juliet@", {}},
      {"22: only a resource", "/foobar", {}},
  });
}

TEST(Jid, a_localpart_is_username_case_mapped) {
  expect_jids({
      {"upper case", "JULIET@b.example", "juliet@b.example"},
      {"full width", "ＪＵＬＩＥＴ@b.example", "juliet@b.example"},
      {"decomposed", "e\xcc\x81@b.example", "é@b.example"},
      {"final sigma by its place", "ΟΔΟΣ@b.example", "οδος@b.example"},
      {"every ASCII character that is allowed", "!#$%()*+,-.;=?[\\]^_`{|}~@b.example",
       "!#$%()*+,-.;=?[\\]^_`{|}~@b.example"},
      {"ampersand", "a&b@b.example", {}},
      {"apostrophe", "a'b@b.example", {}},
      {"colon", "a:b@b.example", {}},
      {"less", "a<b@b.example", {}},
      {"greater", "a>b@b.example", {}},
      {"quote", "a\"b@b.example", {}},
      {"full-width apostrophe", "a＇b@b.example", {}},
      {"full-width colon", "a：b@b.example", {}},
      {"space", "a b@b.example", {}},
      {"no-break space",
       "a\xc2\xa0"
       "b@b.example",
       {}},
      {"delete", "a\x7f@b.example", {}},
      {"control", "a\xc2\x85@b.example", {}},
      {"zero width joiner",
       "a\xe2\x80\x8d"
       "b@b.example",
       {}},
      {"zero width joiner after a virama", "क्\xe2\x80\x8dष@b.example", "क्\xe2\x80\x8dष@b.example"},
      {"byte order mark",
       "\xef\xbb\xbf"
       "a@b.example",
       {}},
      {"unassigned", "\xf3\xb0\x80\x80@b.example", {}},
      {"noncharacter", "\xef\xbf\xbe@b.example", {}},
      {"Hebrew", "שלום@b.example", "שלום@b.example"},
      {"Hebrew and Latin", "שלוםa@b.example", {}},
      {"Latin and Hebrew", "aשלום@b.example", {}},
      {"Hebrew ending in a digit", "שלום1@b.example", "שלום1@b.example"},
      {"both kinds of digits", "ا1٢@b.example", {}},
      {"Arabic and Persian digits", "ا٢۲@b.example", {}},
      {"Hebrew geresh in its place", "א׳@b.example", "א׳@b.example"},
      {"Hebrew geresh alone", "׳@b.example", {}},
      {"Greek numeral sign", "͵α@b.example", "͵α@b.example"},
      {"Greek numeral sign alone", "α͵@b.example", {}},
      {"katakana dot", "カ・カ@b.example", "カ・カ@b.example"},
      {"tatweel", "اـا@b.example", {}},
      {"invalid UTF-8", "a\xff@b.example", {}},
  });
}

TEST(Jid, a_resourcepart_is_an_opaque_string) {
  expect_jids({
      {"case is kept", "b.example/Work", "b.example/Work"},
      {"spaces", "b.example/ a  b ", "b.example/ a  b "},
      {"other spaces",
       "b.example/a\xe3\x80\x80"
       "b\xc2\xa0"
       "c",
       "b.example/a b c"},
      {"emoji", "b.example/🎉", "b.example/🎉"},
      {"decomposed", "b.example/e\xcc\x81", "b.example/é"},
      {"full width is kept", "b.example/Ａ", "b.example/Ａ"},
      {"ligature is kept", "b.example/ﬁ", "b.example/ﬁ"},
      {"mixed directions", "b.example/aא", "b.example/aא"},
      {"quotes", "b.example/<\"'&>", "b.example/<\"'&>"},
      {"tab", "b.example/a\tb", {}},
      {"line feed", "b.example/a\nb", {}},
      {"delete", "b.example/\x7f", {}},
      {"control", "b.example/\xc2\x9b", {}},
      {"bidi control", "b.example/\xe2\x80\xae", {}},
      {"zero width joiner",
       "b.example/a\xe2\x80\x8d"
       "b",
       {}},
      {"invalid UTF-8", "b.example/\xc3", {}},
  });
}

TEST(Jid, each_part_is_bounded_after_its_preparation) {
  const std::string full(limits::kJidPartBytesMax, 'x');
  // 511 characters of two bytes and one of one byte: exactly the bound.
  const std::string accents = repeated(511, "é") + "x";
  // Composition makes this fit: three bytes become two.
  const std::string decomposed = repeated(511, "e\xcc\x81") + "x";
  expect_jids({
      {"localpart at the bound", full + "@b.example", full + "@b.example"},
      {"localpart one past it", full + "x@b.example", {}},
      {"accents at the bound", accents + "@b.example", accents + "@b.example"},
      {"accents one past it", accents + "x@b.example", {}},
      {"decomposed at the bound", decomposed + "@b.example", accents + "@b.example"},
      {"resourcepart at the bound", "b.example/" + full, "b.example/" + full},
      {"resourcepart one past it", "b.example/" + full + "x", {}},
      {"resource accents at the bound", "b.example/" + accents, "b.example/" + accents},
      {"resource accents one past it", "b.example/" + accents + "x", {}},
      {"very long", std::string(100'000, 'x') + "@b.example", {}},
      {"very long, not ASCII", repeated(100'000, "é") + "@b.example", {}},
      {"very long domain", std::string(100'000, 'x'), {}},
  });
}

TEST(Jid, the_same_parts_in_another_domain) {
  const auto alias = Domain::parse("rooms.example").value();
  EXPECT_EQ(Jid::parse("room@conference.corp.example/Nick").value().in(alias).text(),
            "room@rooms.example/Nick");
  EXPECT_EQ(Jid::of(alias).text(), "rooms.example");
  EXPECT_FALSE(Jid::of(alias).has_local());
  EXPECT_FALSE(Jid::of(alias).has_resource());
}

TEST(Jid, the_domain_of_a_plain_address_is_found_known_or_not) {
  const std::string full(limits::kJidPartBytesMax, 'x');
  struct Address {
    const char* name;
    std::string text;
    std::string domain;  // empty: not plain
  };
  for (const Address& row : {Address{"domain alone", "a.example", "a.example"},
                             Address{"bare", "b@a.example", "a.example"},
                             Address{"full", "b@a.example/r", "a.example"},
                             Address{"resource alone", "a.example/r", "a.example"},
                             Address{"at sign in the resource", "a.example/r@x", "a.example"},
                             Address{"slash in the resource", "b@a.example/r/s", "a.example"},
                             Address{"below the known one", "b@x.a.example", "x.a.example"},
                             Address{"begins as the known one", "b@a.examples/r", "a.examples"},
                             Address{"the known one as a label", "b@a.example.org", "a.example.org"},
                             Address{"empty", "", ""},
                             Address{"no domain", "b@", ""},
                             Address{"no domain but a resource", "b@/r", ""},
                             Address{"no localpart", "@a.example", ""},
                             Address{"no resource", "a.example/", ""},
                             Address{"two at signs", "b@c@a.example", ""},
                             Address{"capital localpart", "B@a.example", ""},
                             Address{"capital domain", "b@A.example", ""},
                             Address{"space", "b c@a.example", ""},
                             Address{"quote", "b'c@a.example", ""},
                             Address{"not ASCII", "b@b\xc3\xbc.example", ""},
                             Address{"control in the resource", "a.example/\x01", ""},
                             Address{"localpart at the bound", full + "@a.example", "a.example"},
                             Address{"localpart one past it", full + "x@a.example", ""},
                             Address{"resource at the bound", "a.example/" + full, "a.example"},
                             Address{"resource one past it", "a.example/" + full + "x", ""}}) {
    SCOPED_TRACE(row.name);
    for (const std::string_view known : {"", "a.example", "other.example"})
      EXPECT_EQ(std::string(Jid::plain_domain_of(row.text, known).value_or("")), row.domain) << known;
  }
}

TEST(Jid, an_error_names_the_part_that_is_wrong) {
  EXPECT_EQ(Jid::parse("a b@c.example").error().text.substr(0, 9), "localpart");
  EXPECT_EQ(Jid::parse("a@c_d.example").error().text.substr(0, 10), "domainpart");
  EXPECT_EQ(Jid::parse("a@c.example/\x01").error().text.substr(0, 12), "resourcepart");
}

}  // namespace
}  // namespace sallyport::xmpp
