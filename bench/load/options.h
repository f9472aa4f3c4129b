// The options of one run of the generator (docs/performance.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "turns.h"

namespace bench {

enum class Mode : std::uint8_t {
  kSaturate,  // as many stanzas as possible, with a window in flight
  kRate,      // a fixed number of stanzas a second; latency
  kSetup,     // opens streams and closes them: the cost of one
  kIdle,      // opens streams and holds them: the memory of one
  kPki,       // writes the CA and certificates that the systems under test need
};

enum class Transport : std::uint8_t {
  kStartTls,   // s2s, RFC 6120 5
  kDirectTls,  // s2s, XEP-0368
  kBareTls,    // a TLS handshake alone: set-up without any data
  kComponent,  // XEP-0114, plain TCP, to Prosody and ejabberd
};

enum class Direction : std::uint8_t { kIn, kOut, kBoth };

struct Options {
  Mode mode = Mode::kSaturate;
  Transport transport = Transport::kStartTls;
  Direction direction = Direction::kBoth;
  // Where stanzas enter: an inward one (remote domain to local domain) and an outward one.
  std::string entry_in;
  std::string entry_out;
  // Where the internal and the remote servers that we play listen (s2s only).
  std::string listen_inside;
  std::string listen_world;
  // Domains are l<N>.<local_suffix> and r<N>.<remote_suffix>.
  std::string local_suffix = "inside.example";
  std::string remote_suffix = "outside.example";
  std::size_t pairs = 8;
  std::size_t locals = 0;  // 0: as many as there are pairs
  std::size_t remotes = 0;
  bool acks = true;            // our servers offer stream management (XEP-0198)
  std::size_t window = 540;    // stanzas in flight for each pair and direction
  std::size_t per_record = 1;  // stanzas written together, in one TLS record
  std::size_t stanza_bytes = 290;
  double rate = 1000;  // stanzas a second, all pairs together
  double warm_s = 2;
  double measure_s = 5;
  double setup_s = 60;           // until every stream is open and every pair has passed a stanza
  Turns turns;                   // with other generators: when this one sends, or opens streams
  bool waits = false;            // prints "ready" when it can begin, and begins when standard input ends
  std::size_t count = 500;       // set-up, idle: streams
  std::string to;                // set-up, idle: the domain that they are opened to; else l0
  std::size_t at_once = 1;       // set-up, idle: streams being opened at a time
  double hold_s = 0;             // idle: after it was measured
  std::string secret = "bench";  // of components
  // One component on each side for all its domains. ejabberd registers every domain of a listener for each of
  // its components, and would distribute stanzas over them without order.
  bool one_component = false;
  std::string folder;              // pki: written there; otherwise the CA is read from there
  std::vector<std::string> names;  // pki: certificates, each "stem=name,name"
  std::vector<int> watch;          // processes whose CPU and memory are reported

  std::string local(std::size_t i) const { return "l" + std::to_string(i) + "." + local_suffix; }
  std::string remote(std::size_t i) const { return "r" + std::to_string(i) + "." + remote_suffix; }
};

// Ends the program with a usage text if the arguments are not valid.
Options parse_options(int argc, char** argv);

}  // namespace bench
