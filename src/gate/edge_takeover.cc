// Decides which of two connections with one link identity is the core's link.
//
// A core that was restarted, or whose connection broke unseen, dials while its old connection still looks
// alive. It must have the link at once. Two running cores with one identity do the same, and would take the
// link from each other for ever. They are told apart by the instance that HELLO names (random, new for each
// process):
//
// - the instance that is linked dials again: its old connection is lost, and the new one becomes the link;
// - an instance that was never seen: it counts as a restart. It takes the link; the instance that had it is
//   remembered as replaced, and is told so in case it is still running;
// - an instance that was replaced dials while the one that replaced it is linked: both run. It is refused
//   with kLinkSameIdentity as long as the link is up. A link whose core is gone is down after
//   limits::kLinkDeadAfter, and then the next attempt is admitted.
#include <algorithm>

#include <fmt/format.h>

#include "gate/edge_impl.h"
#include "link/hello.h"

namespace sallyport::gate {

void Edge::Impl::await_hello(ConnId conn, const dns::SocketAddress& address, Now now) {
  drop_newcomer();  // of two that wait, the later one can still be answered
  served.takeover.newcomer = Newcomer{conn, address, {}, now.mono + limits::kLinkDeadAfter};
}

void Edge::Impl::drop_newcomer() {
  if (!served.takeover.newcomer) return;
  outputs.push_back(Disconnect{served.takeover.newcomer->conn});
  served.takeover.newcomer.reset();
}

// A core writes nothing behind its HELLO before it is answered, so the bytes are bounded: hello_instance has
// an answer, or an error, for limits::kGreetingBytesMax and a frame's header.
void Edge::Impl::handle_newcomer(std::string_view bytes, Now now) {
  served.takeover.newcomer->bytes.append(bytes);
  const auto instance = link::hello_instance(served.takeover.newcomer->bytes);
  if (!instance) return;
  const Newcomer come = *std::exchange(served.takeover.newcomer, std::nullopt);
  if (!*instance) {
    refuse_link(come.conn, instance->error(), now);
  } else if (served.link->conn() && served.link->session().is_up() &&
             std::ranges::find(served.takeover.replaced, **instance) != served.takeover.replaced.end()) {
    refuse_same_identity(come, now);
  } else {
    take_over(come, **instance, now);
  }
}

void Edge::Impl::take_over(Newcomer come, const std::string& instance, Now now) {
  const std::string before = served.link->session().peer_instance();
  if (served.link->conn()) {
    link_lost({Code::kLinkDead, "replaced by a new connection"}, now);
    if (served.link->session().is_up() && instance != before) {
      if (served.takeover.replaced.size() >= limits::kReplacedInstancesMax)
        served.takeover.replaced.pop_front();
      served.takeover.replaced.push_back(before);
      served.link->session().refuse(
          {Code::kLinkSameIdentity, fmt::format("{} was linked anew, by another process, from {}",
                                                setup.config.cores[*served.core].name, come.address.text())});
      served.link->collect(now);
    }
    close_link(now);
  }
  std::erase(served.takeover.replaced, instance);
  served.is_dead = false;
  served.link->handle_link(come.conn, come.address, now);
  served.link->session().handle_bytes(come.bytes, now.mono);
}

void Edge::Impl::refuse_same_identity(const Newcomer& come, Now now) {
  const std::string& name = setup.config.cores[*served.core].name;
  const Error error{Code::kLinkSameIdentity,
                    fmt::format("{} is linked from {}; another process with its key dials from {}", name,
                                served.link->peer().text(), come.address.text())};
  served.takeover.clash =
      Takeover::Clash{now.mono, fmt::format("{}: {}", code_row(error.code).name, error.text)};
  refuse_link(come.conn, error, now);
}

}  // namespace sallyport::gate
