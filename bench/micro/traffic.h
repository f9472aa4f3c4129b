// The stanzas of the load generator, for benchmarks of single parts.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <vector>

#include "../load/stanza.h"
#include "xmpp/xml_stream.h"

namespace bench {

inline constexpr std::size_t kStanzaBytes = 290;
inline constexpr std::string_view kHeader =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
    "xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns:db='jabber:server:dialback' from='r0.outside.example' to='l0.inside.example' version='1.0'>";

inline std::string batch(std::size_t count) {
  Stanzas source(0, "r0.outside.example", "l0.inside.example", kStanzaBytes);
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) source.append(bytes, static_cast<std::uint32_t>(i));
  return bytes;
}

inline std::vector<sallyport::xmpp::Stanza> stanzas(std::size_t count) {
  sallyport::xmpp::XmlStream stream(sallyport::xmpp::ParseLimits::authenticated());
  stream.handle_bytes(kHeader);
  stream.handle_bytes(batch(count));
  std::vector<sallyport::xmpp::Stanza> found;
  while (auto event = stream.poll()) {
    if (auto* stanza = *event ? std::get_if<sallyport::xmpp::Stanza>(&**event) : nullptr)
      found.push_back(*stanza);
  }
  return found;
}

// Of each iteration.
inline void count(benchmark::State& state, std::size_t stanzas_each, std::size_t bytes_each) {
  auto iterations = static_cast<std::size_t>(state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(iterations * stanzas_each));
  state.SetBytesProcessed(static_cast<std::int64_t>(iterations * bytes_each));
}

}  // namespace bench
