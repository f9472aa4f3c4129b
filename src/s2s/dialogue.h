// For tests only: dialogues with a stream machine as tables of steps. A dialogue is run whole, then with
// every step's bytes split at every byte, then broken at every step in every way a connection can break; each
// run checks what must hold of any stream: no stanza without a proof, one Closed, nothing after it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "s2s/inbound.h"
#include "s2s/outbound.h"

namespace sallyport::s2s::dialogue {

using namespace std::chrono_literals;

inline xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
inline Pair pair(std::string_view local, std::string_view remote) { return {domain(local), domain(remote)}; }

// A policy that tests set up by hand. Everything is served and admitted that is not named as refused.
class TestPolicy final : public StreamPolicy {
 public:
  Result<void> serves(const xmpp::Domain& local) const override {
    if (served.contains(local)) return {};
    return Error{Code::kStreamHostUnknown, local.ascii()};
  }
  Result<void> admits(const Pair& p) const override {
    const auto it = refused.find(p.remote);
    if (it == refused.end()) return {};
    return Error{it->second, {}};
  }
  bool must_ask(const Pair& p) const override { return unknown.contains(p.remote); }
  PeerRules rules(const Pair& p) const override {
    const auto it = special.find(p.remote);
    return it == special.end() ? usual : it->second;
  }
  TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>& remote) const override {
    if (!remote) return usual.tls;
    const auto it = special.find(*remote);
    return it == special.end() ? usual.tls : it->second.tls;
  }

  std::set<xmpp::Domain> served{domain("local.example"), domain("other-local.example")};
  std::map<xmpp::Domain, Code> refused;
  std::set<xmpp::Domain> unknown;  // must_ask is true for these
  std::map<xmpp::Domain, PeerRules> special;
  PeerRules usual;
};

// Counts, so that ids can stand in tables: the n-th id is n in every byte.
class CountingRandom final : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    ++count_;
    for (std::size_t i = 0; i < size; ++i) out[i] = count_;
  }

 private:
  std::uint8_t count_ = 0;
};
inline std::string id(int n) {
  std::string out;
  for (int i = 0; i < 16; ++i) out += fmt::format("{:02x}", n);
  return out;
}

// The facts of a handshake: a trusted certificate with these DNS names, or none.
inline TlsFacts facts(std::vector<std::string> dns, std::string own = "local.example") {
  TlsFacts out;
  out.version = "TLSv1.3";
  out.own_certificate = std::move(own);
  out.peer_certificate = !dns.empty();
  if (out.peer_certificate) out.chain = {};
  out.names.dns = std::move(dns);
  return out;
}

// `<text/>` with the sentence of the code that has this name; `space` is the namespace of its condition.
inline std::string error_text(const std::string& space, std::string_view code) {
  std::string out = "<text xmlns='urn:ietf:params:xml:ns:" + space + "' xml:lang='en'>";
  xmpp::append_escaped_text(out, code_row(code_named(code).value()).sentence);
  return out + "</text>";
}
// RFC 6120 4.9.1.1: the error, then the footer, then the connection.
inline std::string stream_error(const std::string& condition, std::string_view code) {
  return "<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
         error_text("xmpp-streams", code) + "</stream:error></stream:stream>";
}
// XEP-0220 2.4: what stands in an element of type='error'.
inline std::string error_inside(const std::string& condition, std::string_view code) {
  return "<error type='cancel'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
         error_text("xmpp-stanzas", code) + "</error>";
}

// --- outputs as text

inline std::string text(const Pair& p) { return p.local.ascii() + "<" + p.remote.ascii(); }
inline std::string text(const Error& e) { return std::string(code_row(e.code).name); }
inline std::string text(const PeerProof& p) {
  return fmt::format("{} {}", text(p.pair()), method_name(p.method()));
}

template <class Output>
std::string describe(const Output& output) {
  return std::visit(
      [](const auto& o) -> std::string {
        using T = std::decay_t<decltype(o)>;
        if constexpr (std::is_same_v<T, StartTls>) {
          return fmt::format("StartTls {} {}{}", o.own.ascii(), o.server_name ? o.server_name->ascii() : "-",
                             o.direct ? " direct" : "");
        } else if constexpr (std::is_same_v<T, Closed>) {
          return o.error ? "Closed " + text(*o.error) : "Closed";
        } else if constexpr (std::is_same_v<T, VerifyKey>) {
          return fmt::format("VerifyKey {} {} {}", text(o.pair), o.stream_id, o.key);
        } else if constexpr (std::is_same_v<T, CheckKey>) {
          return fmt::format("CheckKey {} {} {}", text(o.pair), o.stream_id, o.key);
        } else if constexpr (std::is_same_v<T, AskAdmission>) {
          return fmt::format("AskAdmission {}{}", text(o.pair), o.proved ? " proved" : "");
        } else if constexpr (std::is_same_v<T, Admitted>) {
          return "Admitted " + text(o.proof);
        } else if constexpr (std::is_same_v<T, PairRefused>) {
          return fmt::format("PairRefused {} {}", text(o.pair), text(o.error));
        } else if constexpr (std::is_same_v<T, StanzaReceived>) {
          return fmt::format("StanzaReceived {} {}>{}", xmpp::kind_name(o.stanza.kind()),
                             o.stanza.from().text(), o.stanza.to().text());
        } else if constexpr (std::is_same_v<T, StanzaRejected>) {
          return fmt::format("StanzaRejected {} {}", text(o.proof.pair()), text(o.stanza.error));
        } else if constexpr (std::is_same_v<T, NeedKey>) {
          return fmt::format("NeedKey {} {}", text(o.pair), o.stream_id);
        } else if constexpr (std::is_same_v<T, PairReady>) {
          return "PairReady " + text(o.proof);
        } else if constexpr (std::is_same_v<T, PairFailed>) {
          return fmt::format("PairFailed {} {}", text(o.pair), text(o.error));
        } else if constexpr (std::is_same_v<T, InDoubt>) {
          return "InDoubt";
        } else if constexpr (std::is_same_v<T, Delivered>) {
          return fmt::format("Delivered {}", o.count);
        } else if constexpr (std::is_same_v<T, SendEnded>) {
          return fmt::format("SendEnded {} unsent, {} uncertain", o.unsent, o.uncertain);
        } else if constexpr (std::is_same_v<T, Resumable>) {
          return "Resumable " + o.id;
        } else if constexpr (std::is_same_v<T, ResumeAsked>) {
          return "ResumeAsked " + o.previous;
        } else if constexpr (std::is_same_v<T, ResumeAnswered>) {
          return o.resumed ? "Resumed" : "NotResumed";
        } else {
          static_assert(std::is_same_v<T, Verified>);
          if (!o.answer)
            return fmt::format("Verified {} {} {}", text(o.pair), o.stream_id, text(o.answer.error()));
          return fmt::format("Verified {} {} {}{}", text(o.pair), o.stream_id,
                             o.answer->valid ? "valid" : "invalid",
                             o.answer->certificate ? " certificate" : "");
        }
      },
      output);
}

// --- steps

template <class Machine>
struct Step {
  std::string bytes;  // from the peer; may be split
  std::function<void(Machine&, Time)> act;
  // The pieces of what we write then, in order and complete; none: nothing is written.
  std::vector<std::string> sends;
  // All outputs of the step, in order.
  std::vector<std::string> gives;
  Duration wait{};  // before the step

  Step& writes(std::vector<std::string> pieces) {
    sends = std::move(pieces);
    return *this;
  }
  Step& yields(std::vector<std::string> outputs) {
    gives = std::move(outputs);
    return *this;
  }
  Step& after(Duration pause) {
    wait = pause;
    return *this;
  }
};

template <class Machine>
Step<Machine> peer(std::string bytes) {
  Step<Machine> step;
  step.bytes = std::move(bytes);
  return step;
}
template <class Machine>
Step<Machine> event(std::function<void(Machine&, Time)> act) {
  Step<Machine> step;
  step.act = std::move(act);
  return step;
}
template <class Machine>
Step<Machine> tls(TlsFacts found) {
  return event<Machine>([found](Machine& m, Time now) { m.handle_tls(found, now); });
}

// One run of a machine: what it wrote and gave, and the invariants.
template <class Machine>
class Trial {
 public:
  explicit Trial(Machine machine) : machine_(std::move(machine)) {}

  // The answer to one input.
  struct Answer {
    std::string written;
    std::vector<std::string> outputs;
  };
  Answer take() {
    Answer answer;
    const bool was_closed = closed_;
    while (auto output = machine_.poll()) {
      EXPECT_FALSE(closed_) << "after Closed: " << describe(*output);
      note(*output);
      answer.outputs.push_back(describe(*output));
    }
    if (machine_.take_output(answer.written)) {
      EXPECT_FALSE(was_closed) << "bytes after Closed: " << answer.written;
    }
    return answer;
  }
  Answer bytes(std::string_view in) {
    machine_.handle_bytes(in, now_);
    return take();
  }
  Answer perform(const Step<Machine>& step, std::size_t chunk) {
    now_ += step.wait;
    Answer whole;
    if (step.act) {
      step.act(machine_, now_);
      whole = take();
    }
    for (std::size_t at = 0; at < step.bytes.size();) {
      const std::size_t size = std::min(chunk, step.bytes.size() - at);
      add(whole, bytes(std::string_view(step.bytes).substr(at, size)));
      at += size;
    }
    return whole;
  }
  // The step's bytes in two parts.
  Answer perform_split(const Step<Machine>& step, std::size_t at) {
    Answer whole = bytes(std::string_view(step.bytes).substr(0, at));
    add(whole, bytes(std::string_view(step.bytes).substr(at)));
    return whole;
  }
  // Lets time go on until the machine has nothing to wait for.
  void expire() {
    for (int i = 0; i < 1000 && machine_.poll_timeout(); ++i) {
      now_ = std::max(now_, *machine_.poll_timeout());
      machine_.handle_timeout(now_);
      take();
    }
  }

  Machine& machine() { return machine_; }
  Time now() const { return now_; }
  bool closed() const { return closed_; }

 private:
  static void add(Answer& to, Answer more) {
    to.written += more.written;
    to.outputs.insert(to.outputs.end(), more.outputs.begin(), more.outputs.end());
  }
  template <class Output>
  void note(const Output& output) {
    std::visit(
        [this](const auto& o) {
          using T = std::decay_t<decltype(o)>;
          if constexpr (std::is_same_v<T, Closed>) {
            closed_ = true;
          } else if constexpr (std::is_same_v<T, Admitted>) {
            proved_.insert(o.proof.pair());
          } else if constexpr (std::is_same_v<T, StanzaReceived>) {
            EXPECT_TRUE(proved_.contains(o.proof.pair()));
            EXPECT_EQ(o.stanza.from().domain(), o.proof.pair().remote);
            EXPECT_EQ(o.stanza.to().domain(), o.proof.pair().local);
          }
        },
        output);
  }

  Machine machine_;
  Time now_{1h};
  bool closed_ = false;
  std::set<Pair> proved_;
};

template <class Machine>
struct Dialogue {
  std::string name;
  std::function<Machine()> make;
  std::vector<Step<Machine>> steps;
  // So many first steps are another dialogue's, and are split and broken there.
  std::size_t prefix = 0;
};

// The pieces, one behind the other, are all that was written.
inline void expect_written(const std::string& written, const std::vector<std::string>& pieces,
                           const std::string& where) {
  std::string whole;
  for (const std::string& piece : pieces) whole += piece;
  EXPECT_EQ(written, whole) << where;
}

template <class Machine>
void run_whole(const Dialogue<Machine>& dialogue, std::size_t chunk) {
  Trial<Machine> run(dialogue.make());
  for (std::size_t i = 0; i < dialogue.steps.size(); ++i) {
    const Step<Machine>& step = dialogue.steps[i];
    const std::string where = fmt::format("{}, step {}, chunks of {}", dialogue.name, i, chunk);
    const auto answer = run.perform(step, chunk);
    EXPECT_EQ(answer.outputs, step.gives) << where;
    expect_written(answer.written, step.sends, where);
  }
}

template <class Machine>
void run_split(const Dialogue<Machine>& dialogue) {
  for (std::size_t split = dialogue.prefix; split < dialogue.steps.size(); ++split) {
    for (std::size_t at = 1; at < dialogue.steps[split].bytes.size() && !testing::Test::HasFailure(); ++at) {
      Trial<Machine> run(dialogue.make());
      for (std::size_t i = 0; i <= split; ++i) {
        const Step<Machine>& step = dialogue.steps[i];
        const auto answer = i == split ? run.perform_split(step, at) : run.perform(step, std::string::npos);
        if (i != split) continue;
        const std::string where = fmt::format("{}, step {} split at {}", dialogue.name, i, at);
        EXPECT_EQ(answer.outputs, step.gives) << where;
        expect_written(answer.written, step.sends, where);
      }
    }
  }
}

// In every way, at every step: the machine comes to its end, once, and is silent then.
template <class Machine>
void run_broken(const Dialogue<Machine>& dialogue) {
  using Break = std::function<void(Trial<Machine>&)>;
  const std::string kHeader =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
      "to='local.example' "
      "id='broken' version='1.0'>";
  const std::pair<std::string, Break> kBreaks[] = {
      {"disconnect", [](Trial<Machine>& r) { r.machine().handle_disconnected(); }},
      {"silence", [](Trial<Machine>& r) { r.expire(); }},
      {"shutdown",
       [](Trial<Machine>& r) {
         r.machine().close(Error{Code::kStreamShutdown, {}}, r.now());
       }},
      {"close, then silence",
       [](Trial<Machine>& r) {
         r.machine().close(std::nullopt, r.now());
         r.take();
         r.expire();
       }},
      {"garbage", [](Trial<Machine>& r) { r.bytes("<<<"); }},
      {"footer", [](Trial<Machine>& r) { r.bytes("</stream:stream>"); }},
      {"stream error",
       [&](Trial<Machine>& r) {
         const Phase phase = r.machine().phase();
         if (phase == Phase::kHeader || phase == Phase::kSecureHeader) r.bytes(kHeader);
         r.bytes("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
       }},
      {"stanza out of turn",
       [&](Trial<Machine>& r) {
         const Phase phase = r.machine().phase();
         if (phase == Phase::kHeader || phase == Phase::kSecureHeader) r.bytes(kHeader);
         r.bytes("<message from='a@victim.example' to='b@local.example'/>");
       }},
  };
  for (std::size_t length = dialogue.prefix; length <= dialogue.steps.size(); ++length) {
    for (const auto& [name, break_it] : kBreaks) {
      SCOPED_TRACE(fmt::format("{}, {} after {} steps", dialogue.name, name, length));
      Trial<Machine> run(dialogue.make());
      for (std::size_t i = 0; i < length; ++i) run.perform(dialogue.steps[i], std::string::npos);
      break_it(run);
      run.take();
      // The owner tells a machine that is not connected yet of its failure.
      if (!run.closed()) run.machine().handle_disconnected();
      run.take();
      EXPECT_TRUE(run.closed());
      EXPECT_EQ(run.machine().phase(), Phase::kClosed);
      EXPECT_FALSE(run.machine().poll_timeout());
      run.bytes("<message from='a@remote.example' to='b@local.example'/>");
      run.machine().handle_disconnected();
      run.machine().close(std::nullopt, run.now());
      run.machine().check_again(run.now());
      run.machine().handle_timeout(run.now() + 24h);
      run.take();  // expects nothing
    }
  }
}

template <class Machine>
void run_every_way(const Dialogue<Machine>& dialogue) {
  run_whole(dialogue, std::string::npos);
  run_whole(dialogue, 1);
  run_split(dialogue);
  run_broken(dialogue);
}

}  // namespace sallyport::s2s::dialogue
