// From bytes on a stream to canonical stanzas, and the validation of a canonical stanza (as in a core).
#include <benchmark/benchmark.h>

#include "traffic.h"
#include "xmpp/xml_stream.h"

namespace {

using sallyport::xmpp::ParseLimits;
using sallyport::xmpp::Stanza;
using sallyport::xmpp::StanzaReader;
using sallyport::xmpp::XmlStream;

constexpr std::size_t kStanzas = 54;  // a full TLS record of them

XmlStream opened() {
  XmlStream stream(ParseLimits::authenticated());
  stream.handle_bytes(bench::kHeader);
  while (stream.poll()) {
  }
  return stream;
}

std::size_t stanzas_of(XmlStream& stream) {
  std::size_t count = 0;
  while (auto event = stream.poll()) {
    if (*event && std::holds_alternative<Stanza>(**event)) ++count;
  }
  return count;
}

void parse(benchmark::State& state, const std::string& batch, std::size_t piece) {
  XmlStream stream = opened();
  for (auto _ : state) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < batch.size(); at += piece) {
      stream.handle_bytes(std::string_view(batch).substr(at, piece));
      count += stanzas_of(stream);
    }
    if (count != kStanzas) state.SkipWithError("stanzas are missing");
  }
  bench::count(state, kStanzas, batch.size());
}

void canonical_input(benchmark::State& state) { parse(state, bench::batch(kStanzas), 1 << 16); }
BENCHMARK(canonical_input);

void canonical_input_one_stanza_at_a_time(benchmark::State& state) {
  parse(state, bench::batch(kStanzas), bench::kStanzaBytes);
}
BENCHMARK(canonical_input_one_stanza_at_a_time);

// As some servers write: the fast path cannot take it unchanged.
void double_quoted_input(benchmark::State& state) {
  std::string batch = bench::batch(kStanzas);
  for (char& c : batch) {
    if (c == '\'') c = '"';
  }
  parse(state, batch, 1 << 16);
}
BENCHMARK(double_quoted_input);

void canonical_stanza_parsed_again(benchmark::State& state) {
  std::vector<Stanza> stanzas = bench::stanzas(kStanzas);
  StanzaReader reader;
  for (auto _ : state) {
    for (const Stanza& stanza : stanzas) {
      auto again = reader.read(stanza.xml());
      if (!again) state.SkipWithError("it is refused");
      benchmark::DoNotOptimize(again);
    }
  }
  bench::count(state, kStanzas, kStanzas * bench::kStanzaBytes);
}
BENCHMARK(canonical_stanza_parsed_again);

}  // namespace
