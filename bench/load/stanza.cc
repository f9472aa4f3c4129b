#include "stanza.h"

#include <cstdio>
#include <cstdlib>

namespace bench {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

std::string mark_of(std::size_t flow) {
  char text[kMarkBytes + 1];
  std::snprintf(text, sizeof text, "~%04zx00000000", flow);
  return text;
}

// Words, not one repeated letter, so that they are not easier to process than real text.
std::string prose(std::size_t bytes) {
  static constexpr std::string_view kWords =
      " the quick brown fox jumps over a lazy dog and is seen by nobody at all,";
  std::string text;
  while (text.size() < bytes) text.append(kWords.substr(0, bytes - text.size()));
  return text;
}

}  // namespace

Stanzas::Stanzas(std::size_t flow, const std::string& from, const std::string& to, std::size_t bytes) {
  std::string addresses = " from='juliet@" + from + "/balcony' to='romeo@" + to + "'";
  auto fit = [&](std::string head, const std::string& tail) {
    head += mark_of(flow);
    if (head.size() + tail.size() > bytes) {
      std::fprintf(stderr, "sallyport-load: a stanza has at least %zu bytes\n", head.size() + tail.size());
      std::exit(2);
    }
    Template made{head, head.size() - kNumberDigits};
    made.xml += prose(bytes - head.size() - tail.size()) + tail;
    return made;
  };
  message_ = fit("<message" + addresses + " id='ktx72v49' type='chat' xml:lang='en'><body>",
                 "</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>");
  presence_ = fit("<presence" + addresses + " xml:lang='en'><show>away</show><status>",
                  "</status><priority>5</priority></presence>");
}

void Stanzas::append(std::string& out, std::uint32_t number) {
  Template& from = number % 10 == 9 ? presence_ : message_;
  for (std::size_t i = 0; i < kNumberDigits; ++i)
    from.xml[from.number_at + i] = kDigits[number >> (4 * (kNumberDigits - 1 - i)) & 15];
  out += from.xml;
}

}  // namespace bench
