// Both nodes in one process, joined by a link in memory, with servers at the far ends: the whole cost of a
// stanza except sockets and TLS, the same in each run.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "far_end.h"
#include "gate/core.h"
#include "gate/edge.h"

namespace bench {

class Nodes : private sallyport::Random, private sallyport::LogSink {
 public:
  Nodes();

  // Opens an authenticated stream for stanzas: inward from the remote server, outward from the internal one.
  using Line = std::pair<int, sallyport::gate::ConnId>;
  Line open(bool inward);
  // Passes a node the bytes of one read on that stream, and runs both nodes until they are idle.
  void feed(const Line& line, std::string_view bytes);
  // All delivered stanzas.
  std::uint64_t delivered() const;
  void advance(sallyport::Duration by);

 private:
  static constexpr int kEdge = 0;
  static constexpr int kCore = 1;
  struct Wire {
    std::unique_ptr<FarEnd> far;  // none: the link
    std::uint64_t written = 0;
  };

  void fill(std::uint8_t* out, std::size_t size) override;
  void log(sallyport::LogEvent event) override;
  sallyport::gate::Role& role(int node);
  void run();
  bool drain(int node);
  void obey(int node, sallyport::gate::Output output);
  void write(int node, sallyport::gate::ConnId conn);
  void secure(int node, const sallyport::gate::BeginTls& order);
  void reply(int node, sallyport::gate::ConnId conn);

  sallyport::Now now_{};
  std::uint64_t seed_ = 1;
  std::map<Line, Wire> wires_;
  sallyport::gate::ConnId link_[2] = {1, 0};
  sallyport::gate::ConnId last_accepted_ = 1;
  std::string bytes_;
  std::unique_ptr<sallyport::gate::Edge> edge_;
  std::unique_ptr<sallyport::gate::Core> core_;
};

}  // namespace bench
