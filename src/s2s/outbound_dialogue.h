// For tests only: what is said on an initiated stream, by the server and by us, and the first steps that
// most dialogues share.
#pragma once

#include <memory>

#include "s2s/dialogue.h"

namespace sallyport::s2s::dialogue::initiating {

// --- what the server says

inline std::string header(int n,
                          const std::string& more = " xmlns:db='jabber:server:dialback' version='1.0'") {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
         "xmlns:stream='http://etherx.jabber.org/streams'" +
         more + " from='remote.example' to='local.example' id='s" + std::to_string(n) + "'>";
}
inline std::string features(const std::string& inside) {
  return "<stream:features>" + inside + "</stream:features>";
}
inline const std::string kOffersTls =
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
inline const std::string kOffersExternal =
    "<mechanisms "
    "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism>"
    "</mechanisms>";
inline const std::string kOffersDialback =
    "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
inline const std::string kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline const std::string kSuccess = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
inline const std::string kFailure =
    "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
inline const std::string kFooter = "</stream:stream>";
inline std::string result(const std::string& type, const std::string& to = "local.example",
                          const std::string& inside = {}) {
  return "<db:result from='remote.example' to='" + to + "' type='" + type + "'>" + inside + "</db:result>";
}
inline std::string verdict(const std::string& type, const std::string& n = "77",
                           const std::string& inside = {}) {
  return "<db:verify from='remote.example' to='local.example' id='" + n + "' type='" + type + "'>" + inside +
         "</db:verify>";
}
inline const std::string kDialbackError =
    "<error type='cancel'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";

// --- what we say

inline const std::string kOurHeader =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
    "xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns:db='jabber:server:dialback' from='local.example' to='remote.example' version='1.0'>";
inline const std::string kAsksTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
// base64 of local.example
inline const std::string kAuth =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>bG9jYWwuZXhhbXBsZQ==</auth>";
inline std::string ask(const std::string& from, const std::string& key) {
  return "<db:result from='" + from + "' to='remote.example'>" + key + "</db:result>";
}
inline std::string question(const std::string& n, const std::string& key) {
  return "<db:verify from='local.example' to='remote.example' id='" + n + "'>" + key + "</db:verify>";
}

// --- steps

using S = Step<Outbound>;
using Steps = std::vector<S>;
inline Steps operator+(Steps a, const Steps& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline const Pair kPair = pair("local.example", "remote.example");
inline const Pair kOther = pair("other-local.example", "remote.example");
inline S says(std::string bytes) { return peer<Outbound>(std::move(bytes)); }
inline S secured(TlsFacts found) { return tls<Outbound>(std::move(found)).writes({kOurHeader}); }
inline S connected() {
  return event<Outbound>([](Outbound& out, Time now) { out.handle_connected(now); }).writes({kOurHeader});
}
inline S keyed(const Pair& p, const std::string& stream, Result<std::string> key) {
  return event<Outbound>([=](Outbound& out, Time now) { out.handle_key(p, stream, key, now); });
}
inline S adds(const Pair& p) {
  return event<Outbound>([=](Outbound& out, Time now) { out.add_pair(p, now); });
}
inline S verifies(const std::string& n, const std::string& key, const Pair& p = kPair) {
  return event<Outbound>([=](Outbound& out, Time now) { out.verify(p, n, key, now); });
}
inline S time_is_up() {
  return event<Outbound>([](Outbound& out, Time now) { out.handle_timeout(now); });
}
inline S closes() {
  return event<Outbound>([](Outbound& out, Time now) { out.close(std::nullopt, now); });
}

inline Steps until_tls() {
  return {connected(), says(header(1) + features(kOffersTls)).writes({kAsksTls}),
          says(kProceed).yields({"StartTls local.example remote.example"})};
}
inline Steps until_secure(std::vector<std::string> names = {"remote.example"}) {
  return until_tls() + Steps{secured(facts(std::move(names)))};
}
inline const std::string kOffersBoth = features(kOffersExternal + kOffersDialback);
inline Steps authenticated() {
  return until_secure() + Steps{says(header(2) + kOffersBoth).writes({kAuth}),
                                says(kSuccess).writes({kOurHeader}),
                                says(header(3) + features(kOffersDialback))
                                    .yields({"PairReady local.example<remote.example external"})};
}
inline Steps asked(std::vector<std::string> names = {"remote.example"}) {
  return until_secure(std::move(names)) +
         Steps{
             says(header(2) + features(kOffersDialback)).yields({"NeedKey local.example<remote.example s2"}),
             keyed(kPair, "s2", std::string("k")).writes({ask("local.example", "k")})};
}

using Change = std::function<void(TestPolicy&)>;
inline std::vector<std::unique_ptr<TestPolicy>>& policies() {
  static std::vector<std::unique_ptr<TestPolicy>> all;
  return all;
}
inline std::function<Outbound()> dialled(const Change& change, bool authenticate_first, bool direct) {
  return [=] {
    policies().push_back(std::make_unique<TestPolicy>());
    if (change) change(*policies().back());
    return Outbound(*policies().back(), kPair, authenticate_first, direct, Time(1h));
  };
}
inline void converse(const std::string& name, const Change& change, const Steps& before, const Steps& steps) {
  run_every_way<Outbound>({name, dialled(change, true, false), before + steps, before.size()});
}
inline void ask_only(const std::string& name, const Change& change, const Steps& before, const Steps& steps) {
  run_every_way<Outbound>({name, dialled(change, false, false), before + steps, before.size()});
}
inline void dns_is_enough(TestPolicy& policy) { policy.usual.authenticate = Authenticate::kDialback; }

struct Lone {
  explicit Lone(const Change& change = {}, bool authenticate_first = true) {
    if (change) change(policy);
    trial.emplace(Outbound(policy, kPair, authenticate_first, false, Time(1h)));
  }
  Trial<Outbound>::Answer go(const Steps& steps) {
    Trial<Outbound>::Answer last;
    for (const S& step : steps) last = trial->perform(step, std::string::npos);
    return last;
  }
  TestPolicy policy;
  std::optional<Trial<Outbound>> trial;
};
inline const std::string kReady = "PairReady local.example<remote.example external";
using Outputs = std::vector<std::string>;

}  // namespace sallyport::s2s::dialogue::initiating
