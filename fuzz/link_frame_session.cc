// A link session in either role against an arbitrary peer and owner: it sends only well-formed frames, holds
// no more than it granted, settles a stanza once, and delivers none twice.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/limits.h"
#include "link/frame.h"
#include "link/session.h"
#include "property.h"

namespace {

using namespace sallyport;
using namespace sallyport::link;
using fuzz::require;
using namespace std::chrono_literals;

// The input as a series of choices; zeros after its end.
struct Choices {
  std::string_view rest;
  std::uint8_t byte() {
    if (rest.empty()) return 0;
    const char c = rest.front();
    rest.remove_prefix(1);
    return static_cast<std::uint8_t>(c);
  }
  std::string_view bytes(std::size_t size_max) {
    const std::string_view taken = rest.substr(0, byte() % (size_max + 1));
    rest.remove_prefix(std::min(rest.size(), taken.size()));
    return taken.substr(0, std::min(taken.size(), size_max));
  }
  // Mostly small numbers, sometimes the largest.
  std::uint64_t number() {
    const std::uint8_t b = byte();
    return b == 255 ? ~0ULL : b % 6;
  }
};

const char* const kRemotes[] = {"a.example", "b.example", "c.example"};

xmpp::Pair pair_of(std::uint8_t choice) {
  return {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(kRemotes[choice % 3])};
}

class Abuse {
 public:
  Abuse(NodeRole role, std::string_view input)
      : role_(role), session_({role, "name", "1", "me"}), choices_{input} {}

  void run() {
    while (!choices_.rest.empty()) {
      step(choices_.byte());
      note_events();
      if (choices_.byte() % 2 == 0) note_output();
    }
    note_output();
    session_.handle_disconnected(now_);
    note_events();
  }

 private:
  void step(std::uint8_t what) {
    switch (what % 16) {
      case 0:
        connect();
        break;
      case 1:
        session_.handle_disconnected(now_);
        break;
      case 2:
        session_.handle_bytes(choices_.bytes(64), now_);
        break;
      case 3:
        greet();
        break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
        say(numbered());
        break;
      case 9:
        say(plain());
        break;
      case 10:
        own_send();
        break;
      case 11:
        own_settle();
        break;
      case 12:
        session_.grant(pair_of(choices_.byte()), choices_.byte() * 10'000U);
        break;
      case 13:
        own_control();
        break;
      case 14:
        own_give_up();
        break;
      case 15:
        pass();
        break;
    }
  }

  void connect() {
    session_.handle_connected(now_);
    require(!session_.is_up(), "nobody is up before the greeting");
  }
  void pass() {
    now_ += choices_.byte() * (choices_.byte() % 4 == 0 ? Duration(1s) : Duration(10ms));
    session_.handle_timeout(now_);
    if (const auto next = session_.poll_timeout(); next && !session_.wants_close()) {
      std::string out;
      while (session_.take_output(out, now_)) check_frames(std::exchange(out, {}));
      const auto after = session_.poll_timeout();
      require(!after || *after > now_, "a timeout that was handled is in the future");
    }
  }

  void say(const frame::Frame& f) {
    std::string bytes;
    frame::append(bytes, f);
    session_.handle_bytes(bytes, now_);
  }
  void greet() {
    const std::string_view instance = choices_.byte() % 4 == 0 ? "other" : "peer";
    const std::uint64_t session = choices_.number();
    const std::uint64_t position = choices_.number();
    const auto version = static_cast<std::uint16_t>(frame::kVersionHighest - choices_.byte() % 3);
    if (role_ == NodeRole::kEdge) {
      say(frame::Hello{1, version, 0, "c", "1", instance, session == 0 ? "" : "me", session, position});
    } else {
      const bool resumed = choices_.byte() % 2 == 0;
      say(frame::Welcome{version, "e", "1", instance, session == 0 ? 1 : session, resumed,
                         resumed ? position : 0});
    }
  }
  frame::Frame numbered() {
    const std::uint64_t channel = choices_.number();
    const bool inward = role_ == NodeRole::kCore;
    switch (choices_.byte() % 7) {
      case 6:
        return frame::SettleAhead{channel,
                                  choices_.number(),
                                  std::max<std::uint64_t>(1, choices_.number()),
                                  {choices_.byte() % 2 == 0 ? "dns.no-name" : "", ""}};
      case 0:
        return frame::Open{channel, "example.com", kRemotes[choices_.byte() % 3], "m", "a"};
      case 1:
        return frame::Close{channel};
      case 2:
        return frame::Void{channel};
      case 3: {
        const bool refused = choices_.byte() % 8 == 0;
        const std::uint64_t count = std::max<std::uint64_t>(1, choices_.number());
        return frame::Settle{{{channel, count, {refused ? "dns.no-name" : "", refused ? "t" : ""}}}};
      }
      case 4:
        return frame::Window{channel, 65'536ULL + choices_.byte() * 5'000ULL};
      default:
        break;
    }
    remote_address_ = std::string("bob@") + kRemotes[choices_.byte() % 3];
    xml_.assign(choices_.byte() * 300U, 'x');
    frame::Stanza s;
    s.channel = channel;
    s.from = inward ? std::string_view(remote_address_) : "alice@example.com";
    s.to = inward ? "alice@example.com" : std::string_view(remote_address_);
    s.xml = xml_;
    s.attempt = static_cast<std::uint8_t>(choices_.byte() % 3);
    return s;
  }
  frame::Frame plain() {
    const std::uint64_t number = choices_.number();
    switch (choices_.byte() % 11) {
      case 9:
        return frame::Drain{};
      case 0:
        return frame::Ack{number};
      case 1:
        return frame::Ping{number};
      case 2:
        return frame::Pong{number};
      case 3:
        return frame::Ask{number, frame::Question::kKey, "example.com", "a.example", "s", "", ""};
      case 4:
        return frame::Ask{number, frame::Question::kControl, "", "", "", "", "{}"};
      case 5:
        return frame::Answer{number, {"", "x"}};
      case 6:
        return frame::Push{number, choices_.byte()};
      case 7:
        return frame::PushChunk{"0123456789"};
      case 8:
        return frame::Ask{number, frame::Question::kAdmit, "example.com", "a.example", "", "", ""};
      default:
        return frame::PushDone{number, {}};
    }
  }

  void own_send() {
    const xmpp::Pair pair = pair_of(choices_.byte());
    const std::string xml(choices_.byte() * 300U, 'x');
    if (!session_.can_send(pair, xml.size())) return;
    const auto local = xmpp::Jid::of(pair.local);
    const auto remote = xmpp::Jid::of(pair.remote);
    const bool outward = role_ == NodeRole::kCore;
    xmpp::Stanza stanza(xmpp::StanzaKind::kMessage, outward ? local : remote, outward ? remote : local, {},
                        {}, {}, xml);
    unsettled_.insert(++last_ticket_);
    session_.send(pair, std::move(stanza), last_ticket_, now_, {choices_.byte() % 2 == 0 ? "m" : "n", "a"});
  }
  void own_settle() {
    if (open_.empty()) return;
    const std::size_t at = choices_.byte() % open_.size();
    const auto chosen = std::next(open_.begin(), static_cast<std::ptrdiff_t>(at));
    Outcome outcome;
    if (choices_.byte() % 4 == 0) outcome = Error{Code::kDnsNoName, std::string(choices_.byte() * 10U, 't')};
    session_.settle(chosen->first, std::move(outcome), now_);
    open_bytes_ -= chosen->second;
    open_.erase(chosen);
  }
  void own_control() {
    switch (choices_.byte() % 4) {
      case 0:
        session_.ask(ControlAsk{"{}"});
        break;
      case 1:
        session_.answer(choices_.number(), std::string("x"));
        break;
      case 2:
        session_.push(choices_.number(),
                      std::make_shared<const SecretBytes>(std::string(choices_.byte() * 3'000U, 'p')));
        break;
      default:
        session_.push_done(choices_.number(), {});
        break;
    }
  }
  void own_give_up() {
    if (choices_.byte() % 4 == 0) {
      for (const Unsettled& u : session_.abandon()) require(unsettled_.erase(u.ticket) == 1, "given up once");
      require(session_.unsettled_bytes() == 0, "nothing is held of what was abandoned");
      return;
    }
    const Ticket ticket = choices_.byte();
    if (session_.withdraw(pair_of(choices_.byte()), ticket)) {
      require(unsettled_.erase(ticket) == 1, "only what is unsettled is withdrawn");
    }
  }

  void note_events() {
    while (auto event = session_.poll()) {
      if (const auto* r = std::get_if<Received>(&*event)) note_received(*r);
      if (const auto* s = std::get_if<Settled>(&*event)) {
        require(unsettled_.erase(s->ticket) == 1, "a stanza is settled once, and only if it was sent");
      }
      if (std::holds_alternative<Up>(*event)) require(session_.is_up() || session_.wants_close(), "up is up");
    }
  }
  void note_received(const Received& r) {
    if (r.receipt.epoch != epoch_) {
      epoch_ = r.receipt.epoch;
      open_.clear();
      open_bytes_ = 0;
      last_.clear();
    }
    require(r.receipt.sequence > last_[r.receipt.channel], "in order, and none twice");
    last_[r.receipt.channel] = r.receipt.sequence;
    const xmpp::Domain far = role_ == NodeRole::kCore ? r.stanza.from().domain() : r.stanza.to().domain();
    require(far == r.pair().remote, "a stanza is of its pair");
    const std::size_t bytes = r.stanza.xml().size() + limits::kStanzaOverheadBytes;
    open_.emplace(r.receipt, bytes);
    open_bytes_ += bytes;
    require(open_bytes_ <= limits::kLinkCreditBytes, "the link's credit bounds what is held");
  }
  void note_output() {
    std::string out;
    for (int turn = 0; turn < 4 && session_.take_output(out, now_); ++turn)
      check_frames(std::exchange(out, {}));
  }
  static void check_frames(const std::string& out) {
    frame::Reader reader;
    std::string_view rest = out;
    while (const auto raw = reader.next(rest, limits::kFrameBytesMax)) {
      require(raw->has_value(), "every frame said is one of the table");
      require(frame::decode(**raw).has_value(), "every frame said is well-formed");
    }
    require(rest.empty(), "only whole frames are said");
  }

  NodeRole role_;
  LinkSession session_;
  Choices choices_;
  Time now_{1h};
  Ticket last_ticket_ = 0;
  std::set<Ticket> unsettled_;
  std::map<Receipt, std::size_t> open_;
  std::size_t open_bytes_ = 0;
  std::uint32_t epoch_ = 0;
  std::map<std::uint64_t, std::uint64_t> last_;
  std::string remote_address_;
  std::string xml_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Abuse(data[0] % 2 == 0 ? NodeRole::kCore : NodeRole::kEdge, fuzz::text_of(data + 1, size - 1)).run();
  return 0;
}
