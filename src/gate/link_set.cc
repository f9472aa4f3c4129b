#include "gate/link_set.h"

#include <utility>

namespace sallyport::gate {

LinkEnd& LinkSet::make(std::size_t node, link::SessionConfig config) {
  ends_[node] = std::make_unique<LinkEnd>(std::move(config));
  return *ends_[node];
}

std::optional<std::size_t> LinkSet::node_of(ConnId conn) const {
  for (std::size_t node = 0; node < ends_.size(); ++node)
    if (ends_[node] && ends_[node]->carries(conn)) return node;
  return std::nullopt;
}

std::optional<LinkSet::Told> LinkSet::poll() {
  for (std::size_t node = 0; node < ends_.size(); ++node) {
    if (!ends_[node]) continue;
    if (auto event = ends_[node]->session().poll()) return Told{node, std::move(*event)};
  }
  return std::nullopt;
}

bool LinkSet::flush(Now now) {
  bool closed = false;
  for (std::size_t node = 0; node < ends_.size(); ++node) {
    if (!ends_[node]) continue;
    LinkEnd& end = *ends_[node];
    if (end.collect(now)) outputs_.push_back(Flush{*end.conn()});
    if (!end.conn() || !end.session().wants_close()) continue;
    close(node, now);
    closed = true;
  }
  return closed;
}

void LinkSet::close(std::size_t node, Now now) {
  LinkEnd& end = *ends_[node];
  std::string last;
  end.take_output(last);
  finish(*end.conn(), std::move(last));
  end.handle_disconnected(now);
}

void LinkSet::refuse(ConnId conn, link::SessionConfig config, Error error, Now now) {
  link::LinkSession session(std::move(config));
  session.handle_connected(now.mono);
  session.refuse(std::move(error));
  std::string bytes;
  session.take_output(bytes, now.mono);
  finish(conn, std::move(bytes));
}

void LinkSet::finish(ConnId conn, std::string bytes) {
  if (!bytes.empty()) {
    final_bytes_.emplace(conn, std::move(bytes));
    outputs_.push_back(Flush{conn});
  }
  outputs_.push_back(Disconnect{conn});
}

std::optional<bool> LinkSet::take_output(ConnId conn, std::string& out) {
  if (const auto node = node_of(conn)) return ends_[*node]->take_output(out);
  const auto last = final_bytes_.find(conn);
  if (last == final_bytes_.end()) return std::nullopt;
  out = std::move(last->second);
  final_bytes_.erase(last);
  return !out.empty();
}

void LinkSet::handle_timeout(Now now) {
  for (auto& end : ends_)
    if (end) end->session().handle_timeout(now.mono);
}

std::optional<Time> LinkSet::poll_timeout() const {
  std::optional<Time> first;
  for (const auto& end : ends_) {
    const auto next = end ? end->session().poll_timeout() : std::nullopt;
    if (next && (!first || *next < *first)) first = next;
  }
  return first;
}

}  // namespace sallyport::gate
