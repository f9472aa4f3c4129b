// A role's ends of links, one for each node on the other side that has been linked: their connections, the
// events and the output of their sessions, and the closing of connections.
//
// The role decides which node may have a link, and which of several carries a pair; the set decides nothing.
// Pure; one owner.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gate/event.h"
#include "gate/link_end.h"
#include "link/session.h"

namespace sallyport::gate {

class LinkSet {
 public:
  // Nodes are numbered as in the configuration, from 0. `outputs`, the role's, outlives the set.
  LinkSet(std::size_t nodes, std::deque<Output>& outputs) : ends_(nodes), outputs_(outputs) {}

  // A new session with the node, in the place of the one before. The reference is valid until the next call
  // for the same node.
  LinkEnd& make(std::size_t node, link::SessionConfig config);
  // Precondition: made.
  LinkEnd& at(std::size_t node) { return *ends_[node]; }
  const LinkEnd& at(std::size_t node) const { return *ends_[node]; }
  std::size_t size() const { return ends_.size(); }
  // The node whose link that connection carries.
  std::optional<std::size_t> node_of(ConnId conn) const;

  // The next event of a session; those of the node with the lowest number come first.
  struct Told {
    std::size_t node;
    link::Event event;
  };
  std::optional<Told> poll();
  // Tells the driver that there is output, and closes connections that their session wants closed. True when
  // it closed one, since more may follow from it.
  bool flush(Now now);
  // Closes the node's connection behind what its session has written. Precondition: it has one.
  void close(std::size_t node, Now now);
  // Closes a connection that is not to become a link, and tells the other node why.
  void refuse(ConnId conn, link::SessionConfig config, Error error, Now now);
  // As Role::take_output; nothing where the connection is not a link's.
  std::optional<bool> take_output(ConnId conn, std::string& out);

  void handle_timeout(Now now);
  std::optional<Time> poll_timeout() const;

 private:
  void finish(ConnId conn, std::string bytes);

  std::vector<std::unique_ptr<LinkEnd>> ends_;
  std::map<ConnId, std::string> final_bytes_;  // of connections that are closed when these are written
  std::deque<Output>& outputs_;
};

}  // namespace sallyport::gate
