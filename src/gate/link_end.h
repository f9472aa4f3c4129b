// One end of a link: a session and the connection that carries it now. The session outlives connections.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/limits.h"
#include "gate/event.h"
#include "link/session.h"

namespace sallyport::gate {

class LinkEnd {
 public:
  explicit LinkEnd(link::SessionConfig config) : session_(std::move(config)) {}

  link::LinkSession& session() { return session_; }
  const link::LinkSession& session() const { return session_; }
  const std::optional<ConnId>& conn() const { return conn_; }
  const dns::SocketAddress& peer() const { return peer_; }
  UnixTime since() const { return since_; }
  bool carries(ConnId conn) const { return conn_ == conn; }

  void handle_link(ConnId conn, const dns::SocketAddress& peer, Now now) {
    conn_ = conn;
    peer_ = peer;
    since_ = now.civil;
    buffer_.clear();
    flush_due_ = false;
    session_.handle_connected(now.mono);
  }
  // The connection is gone, or is given up.
  void handle_disconnected(Now now) {
    if (!conn_) return;
    conn_.reset();
    session_.handle_disconnected(now.mono);
  }
  // False while so much waits for a connection that is not read that what can be lost is not added.
  bool has_room() const { return buffer_.size() < limits::kWriteQueueBytesMax; }
  // Collects the output of the session; true when the driver must be told to flush.
  bool collect(Now now) {
    if (!conn_ || !session_.take_output(buffer_, now.mono) || flush_due_) return false;
    return flush_due_ = true;
  }
  bool take_output(std::string& out) {
    flush_due_ = false;
    if (buffer_.empty()) return false;
    std::swap(out, buffer_);
    return true;
  }

 private:
  link::LinkSession session_;
  std::optional<ConnId> conn_;
  dns::SocketAddress peer_;
  UnixTime since_{};
  std::string buffer_;
  bool flush_due_ = false;
};

}  // namespace sallyport::gate
