// Every bound of the stream parser, at the bound and one past it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kStream =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
constexpr std::string_view kOpen = "<message from='a' to='b'>";
constexpr std::string_view kClose = "</message>";

std::string times(std::size_t n, std::string_view what) {
  std::string out;
  out.reserve(n * what.size());
  for (std::size_t i = 0; i < n; ++i) out += what;
  return out;
}

// The error, or "" if there is none, and the number of events.
struct Outcome {
  std::string code;
  std::size_t events = 0;
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << "'" << o.code << "' after " << o.events << " events";
}

void drain(XmlStream& stream, Outcome& outcome) {
  while (auto event = stream.poll()) {
    if (*event) {
      ++outcome.events;
    } else {
      outcome.code = code_row(event->error().code).name;
    }
  }
}

Outcome outcome_of(std::string_view in, std::size_t piece, const ParseLimits& limits) {
  XmlStream stream(limits);
  Outcome outcome;
  for (std::size_t at = 0; at < in.size(); at += piece) {
    stream.handle_bytes(in.substr(at, piece));
    drain(stream, outcome);
  }
  return outcome;
}

// In one piece, in pieces of the size of a socket read, in odd sizes and byte by byte.
void expect_outcome(std::string_view name, std::string_view in, const Outcome& expected,
                    const ParseLimits& limits = ParseLimits::authenticated()) {
  for (const std::size_t piece : {in.size(), std::size_t{16 * 1024}, std::size_t{1009}, std::size_t{1}}) {
    EXPECT_EQ(outcome_of(in, piece, limits), expected) << name << " in pieces of " << piece;
  }
}

// Returns a stanza of exactly so many bytes, most of them text or one attribute's value.
std::string stanza_of_text(std::size_t bytes) {
  return fmt::format("{}{}{}", kOpen, std::string(bytes - kOpen.size() - kClose.size(), 'x'), kClose);
}
std::string stanza_of_tag(std::size_t bytes) {
  const std::string_view begin = "<message from='a' to='b' x='";
  const std::string_view end = "'/>";
  return fmt::format("{}{}{}", begin, std::string(bytes - begin.size() - end.size(), 'x'), end);
}

TEST(XmlLimits, a_stanza_has_so_many_bytes_and_no_more) {
  const std::string head(kStream);
  for (const auto& [limits, bytes] :
       {std::pair{ParseLimits::authenticated(), limits::kStanzaBytesMax},
        std::pair{ParseLimits::unauthenticated(), limits::kElementBytesUnauthenticatedMax}}) {
    expect_outcome("text at the bound", head + stanza_of_text(bytes), {"", 2}, limits);
    expect_outcome("text past it", head + stanza_of_text(bytes + 1), {"xml.too-large", 1}, limits);
    expect_outcome("tag at the bound", head + stanza_of_tag(bytes), {"", 2}, limits);
    expect_outcome("tag past it", head + stanza_of_tag(bytes + 1), {"xml.too-large", 1}, limits);
  }
  EXPECT_GE(limits::kElementBytesUnauthenticatedMax, 10'000U);  // RFC 6120 13.12
}

TEST(XmlLimits, a_huge_start_tag_costs_no_more_than_its_bound) {
  // THREATS A6: five megabytes, a byte at a time.
  XmlStream stream(ParseLimits::authenticated());
  stream.handle_bytes(kStream);
  stream.handle_bytes("<message x='");
  std::size_t most = 0;
  for (std::size_t i = 0; i < 5'000'000; ++i) {
    stream.handle_bytes(i % 2 == 0 ? ">" : "=");
    most = std::max(most, stream.pending_bytes());
  }
  Outcome outcome;
  drain(stream, outcome);
  EXPECT_EQ(outcome, (Outcome{"xml.too-large", 1}));
  EXPECT_EQ(most, limits::kStanzaBytesMax);
}

TEST(XmlLimits, references_and_cdata_cost_linear_time) {
  const std::size_t room = limits::kStanzaBytesMax - kOpen.size() - kClose.size();
  const std::string head(kStream);
  // Each `&amp;` takes as much in canonical form, and each `>` four times as much.
  expect_outcome("references", fmt::format("{}{}{}{}", head, kOpen, times(room / 5, "&amp;"), kClose),
                 {"", 2});
  expect_outcome("brackets", fmt::format("{}{}<![CDATA[{}]]>{}", head, kOpen, times(room - 12, "]"), kClose),
                 {"", 2});
}

TEST(XmlLimits, a_stanza_may_grow_to_so_many_canonical_bytes) {
  // A quote in an attribute is one byte in the input and six in canonical form.
  const std::string open = "<message from='a' to='b' x=\"";
  const std::size_t fixed = std::string_view("<message from='a' to='b' x=''/>").size();
  const std::size_t quotes = (limits::kCanonicalBytesMax - fixed) / 6;
  const std::size_t rest = limits::kCanonicalBytesMax - fixed - 6 * quotes;
  const auto in = [&](std::size_t more) {
    return fmt::format("{}{}{}{}\"/>", kStream, open, std::string(quotes, '\''),
                       std::string(rest + more, 'x'));
  };
  expect_outcome("at the bound", in(0), {"", 2});
  expect_outcome("past it", in(1), {"xml.too-large", 1});
}

TEST(XmlLimits, a_header_has_so_many_bytes_with_all_that_stands_before_it) {
  const std::string decl = "<?xml version='1.0'?>";
  const auto header = [&](std::size_t bytes) {
    const std::string begin(kStream.substr(0, kStream.size() - 1));
    return fmt::format("{}{} x='{}'>", decl, begin, std::string(bytes - decl.size() - begin.size() - 6, 'x'));
  };
  expect_outcome("at the bound", header(limits::kStreamHeaderBytesMax), {"", 1});
  expect_outcome("past it", header(limits::kStreamHeaderBytesMax + 1), {"xml.too-large", 0});
  const std::size_t space = limits::kStreamHeaderBytesMax - kStream.size();
  expect_outcome("white space at the bound", std::string(space, ' ') + std::string(kStream), {"", 1});
  expect_outcome("white space past it", std::string(space + 1, ' ') + std::string(kStream),
                 {"xml.too-large", 0});
  expect_outcome("declaration without end", "<?xml " + std::string(5000, '?'), {"xml.too-large", 0});
}

TEST(XmlLimits, white_space_between_elements_is_bounded) {
  // THREATS A9: an xmppbomb consists of this.
  const std::string space(limits::kWhitespaceRunBytesMax, ' ');
  const std::string stanza = stanza_of_text(50);
  const std::string head(kStream);
  expect_outcome("at the bound", head + space + stanza + space + stanza, {"", 3});
  expect_outcome("past it", head + stanza + space + " " + stanza, {"xml.too-large", 2});
  expect_outcome("at the bound, footer", head + space + "</stream:stream>" + space, {"", 2});
  expect_outcome("past it after the footer", head + "</stream:stream>" + space + " ", {"xml.too-large", 2});
}

TEST(XmlLimits, elements_nest_so_deep_and_no_deeper) {
  for (const auto& [limits, depth] :
       {std::pair{ParseLimits::authenticated(), limits::kDepthMax},
        std::pair{ParseLimits::unauthenticated(), limits::kDepthUnauthenticatedMax}}) {
    // The stanza itself is the first level.
    const auto nested = [&](std::size_t levels) {
      return fmt::format("{}{}{}{}{}", kStream, kOpen, times(levels - 1, "<a>"), times(levels - 1, "</a>"),
                         kClose);
    };
    expect_outcome("at the bound", nested(depth), {"", 2}, limits);
    expect_outcome("past it", nested(depth + 1), {"xml.too-deep", 1}, limits);
    // The depth of siblings does not add up.
    expect_outcome("siblings",
                   fmt::format("{}{}{}{}", kStream, kOpen, times(2 * depth, "<a/><b></b>"), kClose), {"", 2},
                   {limits.element_bytes, limits.depth, limits.attributes, 10'000});
  }
}

TEST(XmlLimits, a_stanza_has_so_many_elements_and_no_more) {
  for (const auto& [limits, children] :
       {std::pair{ParseLimits::authenticated(), limits::kChildrenMax},
        std::pair{ParseLimits::unauthenticated(), limits::kChildrenUnauthenticatedMax}}) {
    const auto with = [&](std::size_t elements) {
      return fmt::format("{}{}{}{}", kOpen, times(elements - 1, "<a/>"), kClose, "");
    };
    const std::string head(kStream);
    expect_outcome("at the bound", head + with(children) + with(children), {"", 3}, limits);
    expect_outcome("past it", head + with(children + 1), {"xml.too-many-children", 1}, limits);
    expect_outcome("never closed (THREATS A7)", head + "<outer>" + times(children, "<a>x</a>"),
                   {"xml.too-many-children", 1}, limits);
  }
}

TEST(XmlLimits, an_element_has_so_many_attributes_and_no_more) {
  const auto attributes = [](std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += fmt::format(" a{}='=&#61;'", i);
    return out;
  };
  const std::string head(kStream);
  const auto child = [&](std::size_t n) {
    return fmt::format("{}{}<x{}/>{}", head, kOpen, attributes(n), kClose);
  };
  expect_outcome("at the bound", child(limits::kAttributesMax), {"", 2});
  expect_outcome("past it", child(limits::kAttributesMax + 1), {"xml.too-many-attributes", 1});
  expect_outcome("far past it (THREATS A6)", child(20'000), {"xml.too-many-attributes", 1});
  // Namespace declarations count as attributes.
  const auto header = [&](std::size_t n) {
    return fmt::format("{}{}>", kStream.substr(0, kStream.size() - 1), attributes(n));
  };
  expect_outcome("header at the bound", header(limits::kAttributesMax - 2), {"", 1});
  expect_outcome("header past it", header(limits::kAttributesMax - 1), {"xml.too-many-attributes", 0});
}

TEST(XmlLimits, a_namespace_name_has_so_many_bytes_and_no_more) {
  const auto with = [](std::size_t n) {
    return fmt::format("{}{}<x xmlns:p='{}'/>{}", kStream, kOpen, std::string(n, 'u'), kClose);
  };
  expect_outcome("at the bound", with(limits::kNamespaceBytesMax), {"", 2});
  expect_outcome("past it", with(limits::kNamespaceBytesMax + 1), {"xml.too-large", 1});
}

TEST(XmlLimits, a_header_language_has_so_many_bytes_and_no_more) {
  const auto with = [](std::size_t n) {
    return fmt::format("{} xml:lang='{}'>", kStream.substr(0, kStream.size() - 1), std::string(n, 'd'));
  };
  expect_outcome("at the bound", with(limits::kHeaderLangBytesMax), {"", 1});
  expect_outcome("past it", with(limits::kHeaderLangBytesMax + 1), {"xml.too-large", 0});
}

TEST(XmlLimits, a_reference_has_so_many_bytes_and_no_more) {
  const auto with = [](std::size_t n) {
    return fmt::format("{}{}&#{}65;{}", kStream, kOpen, std::string(n - 3, '0'), kClose);
  };
  expect_outcome("at the bound", with(limits::kReferenceBytesMax), {"", 2});
  expect_outcome("past it", with(limits::kReferenceBytesMax + 1), {"xml.restricted", 1});
}

TEST(XmlLimits, an_id_has_so_many_bytes_and_no_more) {
  const auto with = [](std::size_t n) {
    XmlStream stream(ParseLimits::authenticated());
    stream.handle_bytes(fmt::format("{}<message from='a' to='b' id='{}'/>", kStream, std::string(n, 'i')));
    (void)stream.poll();
    return stream.poll()->value();
  };
  EXPECT_TRUE(std::holds_alternative<Stanza>(with(limits::kStanzaIdBytesMax)));
  const auto past = with(limits::kStanzaIdBytesMax + 1);
  ASSERT_TRUE(std::holds_alternative<BadStanza>(past));
  EXPECT_EQ(std::get<BadStanza>(past).error.code, Code::kStanzaIdInvalid);
  EXPECT_EQ(std::get<BadStanza>(past).id, "");
}

TEST(XmlLimits, a_type_has_so_many_bytes_and_no_more) {
  const auto with = [](std::size_t n) {
    XmlStream stream(ParseLimits::authenticated());
    stream.handle_bytes(fmt::format("{}<message from='a' to='b' type='{}'/>", kStream, std::string(n, 't')));
    (void)stream.poll();
    return stream.poll()->value();
  };
  EXPECT_TRUE(std::holds_alternative<Stanza>(with(limits::kLinkStringBytesMax)));
  const auto past = with(limits::kLinkStringBytesMax + 1);
  ASSERT_TRUE(std::holds_alternative<BadStanza>(past));
  EXPECT_EQ(std::get<BadStanza>(past).error.code, Code::kStanzaTypeInvalid);
}

TEST(XmlLimits, a_proved_peer_gets_more_room_from_the_next_element_on) {
  XmlStream stream(ParseLimits::unauthenticated());
  stream.handle_bytes(kStream);
  const std::string large = stanza_of_text(2 * limits::kElementBytesUnauthenticatedMax);
  stream.handle_bytes("<db");
  stream.raise_limits(ParseLimits::authenticated());
  stream.handle_bytes("/>");
  stream.handle_bytes(large);
  Outcome outcome;
  drain(stream, outcome);
  EXPECT_EQ(outcome, (Outcome{"", 3}));

  XmlStream early(ParseLimits::unauthenticated());
  early.handle_bytes(kStream);
  early.handle_bytes(large.substr(0, 10));
  early.raise_limits(ParseLimits::authenticated());
  early.handle_bytes(large.substr(10));
  Outcome refused;
  drain(early, refused);
  EXPECT_EQ(refused, (Outcome{"xml.too-large", 1}));
}

TEST(XmlLimits, a_parser_made_anew_on_the_way_changes_nothing) {
  // Much more than one parser reads, with prefixes and a language from the header.
  XmlStream stream(ParseLimits::authenticated());
  stream.handle_bytes(
      "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='urn:not-it' "
      "xmlns:j='jabber:server'>");
  EXPECT_EQ(stream.poll()->error().code, Code::kXmlNamespace);

  XmlStream good(ParseLimits::authenticated());
  good.handle_bytes(
      "<?xml version='1.0'?> <s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' "
      "xmlns:j='jabber:server' xmlns:p='urn:p' xml:lang='de'>");
  ASSERT_TRUE(good.poll()->has_value());
  const std::string expected_end = "<x xmlns='urn:p'/></message>";
  const std::size_t rounds = 4 * limits::kParserReuseBytesMax / 200;
  for (std::size_t i = 0; i < rounds; ++i) {
    good.handle_bytes(fmt::format("<j:message from='a' to='b'><e{} xmlns='urn:p'>{}</e{}><p:x/></j:message> ",
                                  i, std::string(150, 'x'), i));
    const auto event = good.poll();
    ASSERT_TRUE(event && event->has_value()) << i;
    const auto& stanza = std::get<Stanza>(event->value());
    ASSERT_EQ(stanza.lang(), "de");
    ASSERT_TRUE(stanza.xml().ends_with(expected_end)) << stanza.xml();
    ASSERT_FALSE(good.poll());
  }
}

}  // namespace
}  // namespace sallyport::xmpp
