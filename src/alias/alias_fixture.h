// For tests: a chat node, its alias, and stanzas read from XML.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

#include "xmpp/xml_stream.h"

namespace sallyport::alias {

inline constexpr std::string_view kNode = "conference-2.corp.example";
inline constexpr std::string_view kAlias = "chatroom1.example.com";

inline xmpp::Domain domain(std::string_view text) { return xmpp::Domain::parse(text).value(); }

inline xmpp::Stanza stanza(std::string_view xml) {
  xmpp::StanzaReader reader;
  auto read = reader.read(xml);
  EXPECT_TRUE(read) << xml << ": " << (read ? "" : read.error().text);
  return std::move(read).value();
}

}  // namespace sallyport::alias
