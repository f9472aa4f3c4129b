// The policy in force as an endpoint consults it: whom it serves and admits, under which rules, and how a
// pair's server is reached. Views answer without I/O and keep no time: rows expire, so the caller says when.
#pragma once

#include <optional>

#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"
#include "gate/event.h"
#include "policy/peer_rules.h"
#include "s2s/stream_policy.h"
#include "xmpp/jid.h"

namespace sallyport::gate {

using xmpp::Pair;

class PolicyView {
 public:
  virtual ~PolicyView() = default;
  // As in s2s::StreamPolicy.
  virtual Result<void> serves(const xmpp::Domain& local) const = 0;
  virtual Result<void> admits(const Pair& pair, UnixTime at) const = 0;
  virtual bool must_ask(const Pair&) const { return false; }
  virtual policy::PeerRules rules(const Pair& pair) const = 0;
  virtual policy::TlsRule minimum_tls(const xmpp::Domain& local,
                                      const std::optional<xmpp::Domain>& remote) const = 0;
  // How the server of `pair.remote` is reached. Errors: why it must not be.
  virtual Result<DialPlan> find(const Pair& pair, UnixTime at) const = 0;
  // Whether the servers that it finds are internal ones. Then the peer that a pair counts for, where budgets
  // are shared, is `pair.local`.
  virtual bool is_internal() const { return false; }
  // How long stanzas wait for a server that was there ([delivery] lifetime_memory).
  virtual Duration patience() const { return limits::kLifetimeMemory; }
};

// A view at the time of the input that an endpoint is handling: what its streams ask.
class StreamPolicyAt final : public s2s::StreamPolicy {
 public:
  // The view outlives it. `ack_timeout`: as PeerRules::ack_timeout.
  StreamPolicyAt(const PolicyView& view, std::chrono::milliseconds ack_timeout)
      : view_(view), ack_timeout_(ack_timeout) {}
  void set(UnixTime at) { at_ = at; }

  Result<void> serves(const xmpp::Domain& local) const override { return view_.serves(local); }
  Result<void> admits(const Pair& pair) const override { return view_.admits(pair, at_); }
  bool must_ask(const Pair& pair) const override { return view_.must_ask(pair); }
  policy::PeerRules rules(const Pair& pair) const override {
    policy::PeerRules rules = view_.rules(pair);
    rules.ack_timeout = ack_timeout_;
    return rules;
  }
  policy::TlsRule minimum_tls(const xmpp::Domain& local,
                              const std::optional<xmpp::Domain>& remote) const override {
    return view_.minimum_tls(local, remote);
  }

 private:
  const PolicyView& view_;
  const std::chrono::milliseconds ack_timeout_;
  UnixTime at_{};
};

}  // namespace sallyport::gate
