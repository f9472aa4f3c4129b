// Which of two connections with one link identity is the core's link.
//
// A core that was restarted, or whose connection broke unseen, dials while its old connection still looks
// alive. It must have the link at once. Two running cores with one identity do the same, and would take the
// link from each other for ever. They are told apart by the instance that HELLO names (random, new for each
// process):
//
// - the instance that is linked comes again: its old connection is dead; the new one is the link;
// - an instance that was never seen: a restart, as far as anybody can know. It takes the link, and the
// instance
//   that had it is remembered as replaced, and told so in case it lives;
// - an instance that was replaced comes back while the one that replaced it is linked: both run. It is
// refused
//   with kLinkSameIdentity as long as the link is up. A link whose core is gone is down after
//   limits::kLinkDeadAfter, and then the next attempt is admitted.
#include <algorithm>

#include <fmt/format.h>

#include "gate/edge_impl.h"
#include "link/hello.h"

namespace sallyport::gate {

void Edge::Impl::await_hello(ConnId conn, const dns::Endpoint& address, Now now) {
  drop_newcomer();  // of two that wait, the later one can still be answered
  newcomer = Newcomer{conn, address, {}, now.mono + limits::kLinkDeadAfter};
}

void Edge::Impl::drop_newcomer() {
  if (!newcomer) return;
  outputs.push_back(Disconnect{newcomer->conn});
  newcomer.reset();
}

// A core writes nothing behind its HELLO before it is answered, so the bytes are bounded: hello_instance has
// an answer, or an error, for limits::kGreetingBytesMax and a frame's header.
void Edge::Impl::handle_newcomer(std::string_view bytes, Now now) {
  newcomer->bytes.append(bytes);
  const auto instance = link::hello_instance(newcomer->bytes);
  if (!instance) return;
  const Newcomer come = *std::exchange(newcomer, std::nullopt);
  if (!*instance) {
    refuse_link(come.conn, instance->error(), now);
  } else if (link->conn() && link->session().is_up() &&
             std::ranges::find(replaced, **instance) != replaced.end()) {
    refuse_same_identity(come, now);
  } else {
    take_over(come, **instance, now);
  }
}

void Edge::Impl::take_over(Newcomer come, const std::string& instance, Now now) {
  const std::string before = link->session().peer_instance();
  if (link->conn()) {
    link_lost({Code::kLinkDead, "replaced by a new connection"}, now);
    if (link->session().is_up() && instance != before) {
      if (replaced.size() >= limits::kReplacedInstancesMax) replaced.pop_front();
      replaced.push_back(before);
      link->session().refuse(
          {Code::kLinkSameIdentity, fmt::format("{} was linked anew, by another process, from {}",
                                                setup.config.cores[*core].name, come.address.text())});
      link->collect(now);
    }
    close_link(now);
  }
  std::erase(replaced, instance);
  core_is_dead = false;
  link->handle_link(come.conn, come.address, now);
  link->session().handle_bytes(come.bytes, now.mono);
}

void Edge::Impl::refuse_same_identity(const Newcomer& come, Now now) {
  const std::string& name = setup.config.cores[*core].name;
  const Error error{Code::kLinkSameIdentity,
                    fmt::format("{} is linked from {}; another process with its key dials from {}", name,
                                link->peer().text(), come.address.text())};
  clash = Clash{now.mono, fmt::format("{}: {}", code_row(error.code).name, error.text)};
  refuse_link(come.conn, error, now);
}

}  // namespace sallyport::gate
