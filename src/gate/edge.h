// The edge role: public streams on one side, link channels on the other. Decides nothing that
// the core has not pushed; holds nothing when the last link has been gone for a minute.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/log.h"
#include "config/edge_config.h"
#include "gate/event.h"

namespace sallyport::gate {

struct EdgeSetup {
  config::EdgeConfig config;
  std::string version;   // of the program
  std::string instance;  // random, new for each process
};

class Edge : public Role {
 public:
  // `random` and `log` outlive the role.
  Edge(EdgeSetup setup, Random& random, LogSink& log, Now now);
  ~Edge() override;

  void handle_accepted(ConnId conn, const Accepted& accepted, Now now) override;
  void handle_connected(ConnId conn, const Connected& connected, Now now) override;
  void handle_dial_failed(ConnId conn, Error error, Now now) override;
  void handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) override;
  void handle_link_refused(const dns::SocketAddress& address, const Error& error, Now now) override;
  void handle_bytes(ConnId conn, std::string_view bytes, Now now) override;
  void handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) override;
  void handle_written(ConnId conn, std::uint64_t bytes_total, Now now) override;
  void handle_disconnected(ConnId conn, Error error, Now now) override;
  void handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now now) override;
  void handle_listening(Result<void> opened, Now now) override;
  void handle_timeout(Now now) override;
  std::optional<Time> poll_timeout() const override;
  std::optional<Output> poll() override;
  bool take_output(ConnId conn, std::string& out, Now now) override;
  std::string control(std::string_view question, Now now) override;
  void drain(Now now) override;
  bool is_drained() const override;
  bool is_proved(ConnId conn) const override;

  // The policy in force; null before the first push, and after the last link is forgotten.
  std::shared_ptr<const config::PushedPolicy> policy() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::gate
