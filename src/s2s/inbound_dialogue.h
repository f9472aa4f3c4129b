// For tests only: what is said on an accepted stream, by the peer and by us, and the first steps that
// most dialogues share.
#pragma once

#include <memory>

#include "s2s/dialogue.h"

namespace sallyport::s2s::dialogue::accepting {

// --- what the peer says

inline std::string header(const std::string& attributes) {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
         "xmlns:stream='http://etherx.jabber.org/streams' "
         "xmlns:db='jabber:server:dialback' " +
         attributes + ">";
}
inline const std::string kHeader = header("from='remote.example' to='local.example' version='1.0'");
inline const std::string kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline const std::string kFooter = "</stream:stream>";
inline const std::string kMessage =
    "<message from='u@remote.example' to='v@local.example'><body>hi</body></message>";

inline std::string auth(const std::string& authzid, const std::string& mechanism = "EXTERNAL") {
  return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='" + mechanism + "'>" + authzid +
         "</auth>";
}
inline std::string result(const std::string& from, const std::string& to, const std::string& key) {
  return "<db:result from='" + from + "' to='" + to + "'>" + key + "</db:result>";
}
inline const std::string kResult = result("remote.example", "local.example", "k");
inline std::string verify(const std::string& from, const std::string& to, const std::string& id,
                          const std::string& key) {
  return "<db:verify from='" + from + "' to='" + to + "' id='" + id + "'>" + key + "</db:verify>";
}

// --- what we say

inline std::string our_header(int n, const std::string& to = " to='remote.example'") {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
         "xmlns:stream='http://etherx.jabber.org/streams' "
         "xmlns:db='jabber:server:dialback' from='local.example'" +
         to + " id='" + id(n) + "' xml:lang='en' version='1.0'>";
}
// Before a header of the peer is accepted.
inline std::string anonymous_header(int n) {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
         "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='' id='" +
         id(n) + "' xml:lang='en' version='1.0'>";
}
inline const std::string kTlsOffer =
    "<stream:features><starttls "
    "xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
inline const std::string kExternal =
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
inline const std::string kDialback = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
inline const std::string kLimits =
    "<limits "
    "xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>600</idle-seconds></limits>";
inline const std::string kFeaturesExternal =
    "<stream:features>" + kExternal + kDialback + kLimits + "</stream:features>";
inline const std::string kFeaturesDialback = "<stream:features>" + kDialback + kLimits + "</stream:features>";
// After EXTERNAL.
inline const std::string kFeaturesProved =
    "<stream:features><sm xmlns='urn:xmpp:sm:3'/>" + kDialback + kLimits + "</stream:features>";
inline const std::string kProceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline const std::string kSuccess = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

inline std::string failure(const std::string& condition) {
  return "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" + condition + "/></failure>";
}
inline std::string valid(const std::string& from, const std::string& to = "local.example") {
  return "<db:result from='" + to + "' to='" + from + "' type='valid'/>";
}
inline std::string verify_answer(const std::string& type, const std::string& n = "77") {
  return "<db:verify from='local.example' to='remote.example' id='" + n + "' type='" + type + "'/>";
}
inline std::string dialback_error(const std::string& from, const std::string& to,
                                  const std::string& condition, std::string_view code) {
  return "<db:result from='" + to + "' to='" + from + "' type='error'>" + error_inside(condition, code) +
         "</db:result>";
}

// --- steps and their compositions

using S = Step<Inbound>;
using Steps = std::vector<S>;
inline S says(std::string bytes) { return peer<Inbound>(std::move(bytes)); }
inline S secured(TlsFacts found) { return tls<Inbound>(std::move(found)); }
inline S verified(Pair p, int stream, Result<VerifyAnswer> answer) {
  return event<Inbound>([=](Inbound& in, Time now) { in.handle_verified(p, id(stream), answer, now); });
}
// After until_dialback, the owner is to verify the key.
inline S asked() { return says(kResult).yields({"VerifyKey local.example<remote.example " + id(2) + " k"}); }
inline S told(Pair p, Result<void> answer) {
  return event<Inbound>([=](Inbound& in, Time now) { in.handle_admission(p, answer, now); });
}
inline S checked(Pair p, std::string stream, Result<bool> answer) {
  return event<Inbound>([=](Inbound& in, Time now) { in.handle_key_checked(p, stream, answer, now); });
}
inline S time_is_up() {
  return event<Inbound>([](Inbound& in, Time now) { in.handle_timeout(now); });
}
inline S check_again() {
  return event<Inbound>([](Inbound& in, Time now) { in.check_again(now); });
}

inline Steps operator+(Steps a, const Steps& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
// Up to the features after TLS; `names` are in the peer's certificate.
inline Steps until_secure(std::vector<std::string> names, std::vector<std::string> features) {
  std::vector<std::string> answer{our_header(2)};
  answer.insert(answer.end(), features.begin(), features.end());
  return {says(kHeader).writes({our_header(1), kTlsOffer}),
          says(kStartTls).writes({kProceed}).yields({"StartTls local.example -"}),
          secured(facts(std::move(names))), says(kHeader).writes(answer)};
}
inline Steps until_external() { return until_secure({"remote.example"}, {kFeaturesExternal}); }
inline Steps until_dialback() { return until_secure({}, {kFeaturesDialback}); }
inline Steps authenticated() {
  return until_external() +
         Steps{says(auth("=")).writes({kSuccess}).yields({"Admitted local.example<remote.example external"}),
               says(kHeader).writes({our_header(3), kFeaturesProved})};
}

// A machine and the policy that it asks, which must outlive it.
struct World {
  TestPolicy policy;
  CountingRandom random;
};
inline std::vector<std::unique_ptr<World>>& worlds() {
  static std::vector<std::unique_ptr<World>> all;
  return all;
}
inline std::function<Inbound()> accepted(std::function<void(TestPolicy&)> change = {}, bool direct = false) {
  return [change, direct] {
    worlds().push_back(std::make_unique<World>());
    World& world = *worlds().back();
    if (change) change(world.policy);
    return Inbound(world.policy, world.random, direct, Time(1h));
  };
}
inline void dns_is_enough(TestPolicy& policy) { policy.usual.authenticate = Authenticate::kDialback; }

// One bytewise header that names what it names.
inline std::string names(const std::string& from, const std::string& to) {
  return header("from='" + from + "' to='" + to + "' version='1.0'");
}
using Change = std::function<void(TestPolicy&)>;
inline void converse(const std::string& name, const Change& change, const Steps& before, const Steps& steps) {
  run_every_way<Inbound>({name, accepted(change), before + steps, before.size()});
}

inline const Pair kPair = pair("local.example", "remote.example");
inline const std::string kAdmittedDialback = "Admitted local.example<remote.example dialback";
inline const std::string kDeliver = "StanzaReceived message u@remote.example>v@local.example";

// A machine of its own whose policy the test may change on the way.
struct Lone {
  explicit Lone(const Change& change = {}) {
    if (change) change(world.policy);
    trial.emplace(Inbound(world.policy, world.random, false, Time(1h)));
  }
  void go(const Steps& steps) {
    for (const S& step : steps) trial->perform(step, std::string::npos);
  }
  World world;
  std::optional<Trial<Inbound>> trial;
};

}  // namespace sallyport::s2s::dialogue::accepting
