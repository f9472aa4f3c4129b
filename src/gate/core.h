// The core role: internal servers on one side, links to edges on the other. Owns the policy, the
// dialback secret and what waits; makes every bounce; checks again all that an edge asserts.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/log.h"
#include "config/core_config.h"
#include "config/prepared_policy.h"
#include "gate/event.h"

namespace sallyport::gate {

struct CoreSetup {
  config::CoreConfig config;
  std::shared_ptr<const config::PreparedPolicy> policy;
  std::string dialback_secret;
  std::string version;
  std::string instance;
  // What the spool holds for this shard. Nothing: there is no spool, and policy's "durable" means "memory".
  std::optional<store::SpoolContents> spool{};
  std::size_t shard = 0;
};

class Core : public Role {
 public:
  // `random` and `log` outlive the role.
  Core(CoreSetup setup, Random& random, LogSink& log, Now now);
  ~Core() override;

  // Takes a new policy into use, whole and at once: pushes it to every edge, ends exactly the pairs it no
  // longer admits. Every other stream goes on. The old one leaves as a Discard.
  void apply(std::shared_ptr<const config::PreparedPolicy> policy, Now now);

  void handle_accepted(ConnId conn, const Accepted& accepted, Now now) override;
  void handle_connected(ConnId conn, const Connected& connected, Now now) override;
  void handle_dial_failed(ConnId conn, Error error, Now now) override;
  void handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) override;
  void handle_bytes(ConnId conn, std::string_view bytes, Now now) override;
  void handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) override;
  void handle_written(ConnId conn, std::uint64_t bytes_total, Now now) override;
  void handle_disconnected(ConnId conn, Error error, Now now) override;
  void handle_spooled(store::SpoolAnswer answer, Now now) override;
  void handle_timeout(Now now) override;
  std::optional<Time> poll_timeout() const override;
  std::optional<Output> poll() override;
  bool take_output(ConnId conn, std::string& out, Now now) override;
  std::string control(std::string_view question, Now now) override;
  void drain(Now now) override;
  bool is_drained() const override;
  bool is_proved(ConnId conn) const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::gate
