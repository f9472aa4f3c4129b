#include "policy/open_questions.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "xmpp/xml_stream.h"

namespace sallyport::policy {
namespace {

using namespace std::chrono_literals;
using policy::Direction;

constexpr const char* kLocal = "example.com";
constexpr const char* kRemote = "partner.example";

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }

// One line of a dialogue:
//   "> KIND TYPE ID FROM TO [PAYLOAD]"   the asker sends it
//   "< ..."                              the answerer sends it, and it passes
//   "x ..."                              the answerer sends it, and it does not pass
//   "+ SECONDS"                          time passes
// "-" is no type or no id. In addresses `A` is the asker's domain and `B` the answerer's.
using Dialogue = std::vector<std::string>;

class Conversation {
 public:
  explicit Conversation(Direction start) : way_{{domain(kLocal), domain(kRemote)}, start} {}

  // Returns the first line with another result; empty if there is none.
  std::string run(const Dialogue& dialogue) {
    for (const auto& line : dialogue)
      if (!is_true(line)) return line;
    return {};
  }

 private:
  bool is_true(const std::string& line) {
    std::istringstream in(line.substr(2));
    if (line[0] == '+') {
      int seconds = 0;
      in >> seconds;
      now_ += std::chrono::seconds(seconds);
      return true;
    }
    std::string kind, type, id, from, to, payload;
    in >> kind >> type >> id >> from >> to;
    std::getline(in >> std::ws, payload);
    const auto stanza = read(kind, type, id, named(from), named(to), payload);
    if (line[0] == '>') {
      questions_.note(way_, stanza, now_);
      return true;
    }
    return questions_.is_answered_by(stanza, now_) == (line[0] == '<');
  }
  std::string named(std::string address) const {
    const bool out = way_.start == Direction::kOut;
    const auto at = address.find('@') == std::string::npos ? 0 : address.find('@') + 1;
    if (address.compare(at, 1, "A") == 0) return address.replace(at, 1, out ? kLocal : kRemote);
    if (address.compare(at, 1, "B") == 0) return address.replace(at, 1, out ? kRemote : kLocal);
    return address;
  }
  xmpp::Stanza read(const std::string& kind, const std::string& type, const std::string& id,
                    const std::string& from, const std::string& to, const std::string& payload) {
    std::string xml = "<" + kind + " from='" + from + "' to='" + to + "'";
    if (id != "-") xml += " id='" + id + "'";
    if (type != "-") xml += " type='" + type + "'";
    auto stanza = reader_.read(xml + ">" + payload + "</" + kind + ">");
    EXPECT_TRUE(stanza) << xml;
    return *std::move(stanza);
  }

  OneWay way_;
  OpenQuestions questions_;
  xmpp::StanzaReader reader_;
  Time now_{1s};
};

struct Case {
  std::string what;
  Dialogue dialogue;
};

// Runs the cases under a rule that allows only outbound and under one that allows only inbound.
void run(const std::vector<Case>& cases) {
  for (const auto& each : cases)
    for (const auto start : {Direction::kOut, Direction::kIn})
      EXPECT_EQ(Conversation(start).run(each.dialogue), "")
          << each.what << (start == Direction::kOut ? ", out" : ", in");
}

const std::string kJoin = "> presence - - alice@A/desk hall@B/al <x xmlns='http://jabber.org/protocol/muc'/>";
const std::string kAsSeen = "< presence - - hall@B/bob alice@A/desk";
const std::string kSaid = " message groupchat 7 hall@B/bob alice@A/desk <body>hello</body>";

// RFC 6120 8.1.3, 8.2.3.
TEST(OpenQuestions, an_iq_is_answered_once_and_by_whom_it_was_sent_to) {
  const std::string get = "> iq get q1 alice@A/desk bob@B/phone";
  run({
      {"one result",
       {get, "< iq result q1 bob@B/phone alice@A/desk", "x iq result q1 bob@B/phone alice@A/desk"}},
      {"one error",
       {get, "< iq error q1 bob@B/phone alice@A/desk", "x iq result q1 bob@B/phone alice@A/desk"}},
      {"of a set", {"> iq set q1 alice@A/desk bob@B/phone", "< iq result q1 bob@B/phone alice@A/desk"}},
      {"of servers", {"> iq get q1 A B", "< iq result q1 B A"}},
      {"another id", {get, "x iq result q2 bob@B/phone alice@A/desk"}},
      {"no id", {get, "x iq result - bob@B/phone alice@A/desk"}},
      {"another resource", {get, "x iq result q1 bob@B/desk alice@A/desk"}},
      {"the account for its client", {get, "x iq result q1 bob@B alice@A/desk"}},
      {"another user", {get, "x iq result q1 eve@B/phone alice@A/desk"}},
      {"to another client", {get, "x iq result q1 bob@B/phone alice@A/phone"}},
      {"to another user", {get, "x iq result q1 bob@B/phone carol@A/desk"}},
      {"a request with that id", {get, "x iq get q1 bob@B/phone alice@A/desk"}},
      {"a refused one closes nothing",
       {get, "x iq result q1 eve@B/phone alice@A/desk", "< iq result q1 bob@B/phone alice@A/desk"}},
      {"an id used twice has two answers",
       {get, get, "< iq result q1 bob@B/phone alice@A/desk", "< iq result q1 bob@B/phone alice@A/desk",
        "x iq result q1 bob@B/phone alice@A/desk"}},
      {"an answer asks nothing",
       {"> iq result q1 alice@A/desk bob@B/phone", "x iq result q1 bob@B/phone alice@A/desk"}},
      {"an iq is no message", {get, "x message error q1 bob@B/phone alice@A/desk"}},
      {"in time", {get, "+ 599", "< iq result q1 bob@B/phone alice@A/desk"}},
      {"too late", {get, "+ 600", "x iq result q1 bob@B/phone alice@A/desk"}},
      {"asked again when it was too late",
       {get, "+ 600", get, "< iq result q1 bob@B/phone alice@A/desk",
        "x iq result q1 bob@B/phone alice@A/desk"}},
      {"asked again in between", {get, "+ 599", get, "+ 599", "< iq result q1 bob@B/phone alice@A/desk"}},
      {"one domain, written in two ways",
       {"> iq get q1 alice@A bob@xn--bcher-kva.example", "< iq result q1 bob@b\u00fccher.example alice@A"}},
  });
}

// RFC 6120 8.3.1: the error has the id of the message, if that had one.
TEST(OpenQuestions, a_message_error_answers_a_message) {
  const std::string sent = "> message chat m1 alice@A/desk bob@B";
  const std::string error = " message error m1 bob@B alice@A/desk <body>text</body>";
  run({
      {"once", {sent, "<" + error, "x" + error}},
      {"by the client that took it", {sent, "< message error m1 bob@B/phone alice@A/desk"}},
      {"of a message in a room",
       {"> message groupchat m1 alice@A/desk hall@B", "< message error m1 hall@B alice@A/desk"}},
      {"without an id",
       {"> message - - alice@A/desk bob@B", "< message error - bob@B alice@A/desk",
        "x message error - bob@B alice@A/desk"}},
      {"two without an id",
       {"> message - - alice@A/desk bob@B", "> message - - alice@A/desk bob@B",
        "< message error - bob@B alice@A/desk", "< message error - bob@B alice@A/desk",
        "x message error - bob@B alice@A/desk"}},
      {"another id", {sent, "x message error m2 bob@B alice@A/desk"}},
      {"an id left out", {sent, "x message error - bob@B alice@A/desk"}},
      {"an id made up", {"> message chat - alice@A/desk bob@B", "x message error m1 bob@B alice@A/desk"}},
      {"of another user", {sent, "x message error m1 eve@B alice@A/desk"}},
      {"to another user", {sent, "x message error m1 bob@B carol@A/desk"}},
      {"an error is not answered", {"> message error m1 alice@A/desk bob@B", "x" + error}},
      {"a reply is no answer", {sent, "x message chat m1 bob@B/phone alice@A/desk <body>text</body>"}},
      {"in time", {sent, "+ 299", "<" + error}},
      {"too late", {sent, "+ 300", "x" + error}},
  });
}

// RFC 6121 3, 4.
TEST(OpenQuestions, a_subscription_lets_its_replies_and_presence_pass) {
  const std::string ask = "> presence subscribe - alice@A bob@B";
  const std::string probe = "> presence probe - alice@A bob@B";
  const std::string cancel = "> presence unsubscribe - alice@A bob@B";
  const std::string yes = " presence subscribed - bob@B alice@A";
  const std::string no = " presence unsubscribed - bob@B alice@A";
  const std::string leaves = " presence unsubscribe - bob@B alice@A";
  const std::string here = " presence - - bob@B/phone alice@A <status>here</status>";
  const std::string gone = " presence unavailable - bob@B/phone alice@A";
  const std::string error = " presence error - bob@B alice@A";
  run({
      {"granted", {ask, "<" + yes, "<" + here, "<" + gone, "<" + here}},
      {"granted days later", {ask, "+ 1000000", "<" + yes, "+ 1000000", "<" + here}},
      {"to each of the asker's clients", {ask, "<" + yes, "< presence - - bob@B/phone alice@A/desk"}},
      {"not granted yet", {ask, "x" + here, "x" + gone, "x" + leaves}},
      {"denied", {ask, "<" + no, "x" + yes, "x" + here, "x" + no}},
      {"failed", {ask, "<" + error, "x" + yes, "x" + error}},
      {"asked by another user",
       {ask, "x presence subscribed - bob@B carol@A", "x presence subscribed - eve@B alice@A"}},
      {"granted twice", {ask, "<" + yes, "<" + yes}},
      {"asked again while it holds", {ask, "<" + yes, ask, "<" + here}},
      // A server that probes has a subscription (RFC 6121 4.3).
      {"probed", {probe, "<" + here, "<" + gone}},
      {"probed, and there is none", {probe, "<" + no, "x" + here}},
      {"probed, and it fails", {probe, "<" + error, "<" + here}},
      {"probed from a client's address",
       {"> presence probe - alice@A/desk bob@B", "< presence - - bob@B/phone alice@A/desk"}},
      // RFC 6121 3.2, 3.3: the contact's resources send unavailable, before or after.
      {"withdrawn", {probe, "<" + gone, "<" + no, "<" + gone, "x" + here, "x" + yes, "x" + no}},
      {"withdrawn, too late", {probe, "<" + no, "+ 300", "x" + gone}},
      {"cancelled", {probe, cancel, "<" + gone, "x" + here, "x" + yes, "<" + no, "x" + no, "<" + gone}},
      {"cancelled, in time", {probe, cancel, "+ 299", "<" + gone}},
      {"cancelled, too late", {probe, cancel, "+ 300", "x" + gone, "x" + no, "x" + error}},
      {"cancelled, unknown before", {cancel, "<" + gone, "<" + no, "x" + leaves}},
      {"cancelled and asked again", {probe, cancel, ask, "x" + here, "<" + yes, "<" + here}},
      {"the cancelling fails", {probe, cancel, "<" + error, "x" + error}},
      // RFC 6121 2.5.
      {"the contact removes the asker", {probe, "<" + leaves, "<" + no, "x" + leaves}},
      {"in the other order", {probe, "<" + no, "<" + leaves, "x" + leaves}},
      {"it leaves once", {probe, "<" + leaves, "x" + leaves, "<" + here}},
      // The answerer's side may not initiate.
      {"it subscribes", {ask, "<" + yes, "x presence subscribe - bob@B alice@A"}},
      {"it probes", {ask, "<" + yes, "x presence probe - bob@B alice@A"}},
      {"what the asker grants asks nothing",
       {"> presence subscribed - alice@A bob@B", "> presence unsubscribed - alice@A bob@B", "x" + here,
        "x" + leaves}},
  });
}

// RFC 6121 4.6.
TEST(OpenQuestions, directed_presence_lets_presence_pass_until_it_ends) {
  const std::string here = "> presence - - alice@A/desk bob@B";
  const std::string leave = "> presence unavailable - alice@A/desk bob@B";
  const std::string back = " presence - - bob@B/phone alice@A/desk";
  const std::string gone = " presence unavailable - bob@B/phone alice@A/desk";
  const std::string error = " presence error - bob@B alice@A/desk";
  run({
      {"it comes back", {here, "<" + back, "<" + back, "<" + gone, "<" + back}},
      {"long after", {here, "+ 1000000", "<" + back}},
      {"to the client that sent it",
       {here, "x presence - - bob@B/phone alice@A/phone", "x presence - - bob@B/phone alice@A"}},
      {"from whom it was sent to", {here, "x presence - - eve@B/phone alice@A/desk"}},
      {"it ends", {here, leave, "x" + back, "<" + gone}},
      {"the end, in time", {here, leave, "+ 299", "<" + gone}},
      {"the end, too late", {here, leave, "+ 300", "x" + gone, "x" + error}},
      {"the end of one client is not that of another",
       {here, "> presence - - alice@A/phone bob@B", leave, "< presence - - bob@B/phone alice@A/phone"}},
      {"unknown before", {leave, "<" + gone, "x" + back}},
      {"again", {here, leave, here, "<" + back}},
      {"it fails", {here, "<" + error, "x" + back, "x" + error}},
      {"a change fails", {here, "<" + back, "<" + error, "<" + back}},
      {"no subscription follows from it",
       {here, "x presence subscribed - bob@B alice@A/desk", "x presence unsubscribe - bob@B alice@A/desk"}},
      {"no message follows from it",
       {here, "x message groupchat - bob@B/phone alice@A/desk", "x message - - bob@B alice@A/desk"}},
  });
}

// XEP-0045 7.2, 7.4, 7.5, 7.14.
TEST(OpenQuestions, a_room_that_was_joined_may_be_read) {
  const std::string leave = "> presence unavailable - alice@A/desk hall@B/al";
  const std::string own = "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>";
  const std::string renamed =
      "<x xmlns='http://jabber.org/protocol/muc#user'><status code='303'/><status code='110'/></x>";
  const std::string update = "> presence - - alice@A/desk hall@B/al <show>away</show>";
  run({
      {"joined",
       {kJoin, kAsSeen, "<" + kSaid, "<" + kSaid,
        "< message groupchat - hall@B alice@A/desk <subject>s</subject>"}},
      {"what the room itself says", {kJoin, "< message - - hall@B alice@A/desk <x xmlns='jabber:x:data'/>"}},
      {"a private message of an occupant",
       {kJoin, kAsSeen, "x message chat - hall@B/bob alice@A/desk <body>hello</body>",
        "x message - - hall@B/bob alice@A/desk <body>hello</body>"}},
      {"the answer to a private message is a message",
       {kJoin, "> message chat m1 alice@A/desk hall@B/bob",
        "x message chat m1 hall@B/bob alice@A/desk <body>hello</body>",
        "< message error m1 hall@B/bob alice@A/desk"}},
      {"to another client",
       {kJoin, "x message groupchat - hall@B/bob alice@A/phone", "x message groupchat - hall@B/bob alice@A"}},
      {"from another room", {kJoin, "x message groupchat - yard@B/bob alice@A/desk"}},
      {"an error says something only where a message was sent",
       {kJoin, "x message error 7 hall@B alice@A/desk <body>hello</body>"}},
      {"an occupant's request", {kJoin, "x iq get q1 hall@B/bob alice@A/desk"}},
      {"presence without joining", {update, kAsSeen, "x" + kSaid}},
      {"a change of presence does not leave", {kJoin, update, "<" + kSaid}},
      {"left",
       {kJoin, kAsSeen, leave, "< presence unavailable - hall@B/al alice@A/desk " + own, "x" + kSaid,
        "x presence - - hall@B/bob alice@A/desk"}},
      {"joined again", {kJoin, leave, kJoin, "<" + kSaid}},
      {"left, and only present again", {kJoin, leave, update, kAsSeen, "x" + kSaid}},
      {"removed by the room",
       {kJoin, kAsSeen, "< presence unavailable - hall@B/al alice@A/desk " + own, "x" + kSaid}},
      {"another leaves", {kJoin, "< presence unavailable - hall@B/bob alice@A/desk", "<" + kSaid}},
      {"another nickname",
       {kJoin, kAsSeen, "< presence unavailable - hall@B/al alice@A/desk " + renamed, "<" + kSaid}},
      {"refused",
       {kJoin, "< presence error - hall@B/al alice@A/desk", "x" + kSaid,
        "x presence - - hall@B/bob alice@A/desk"}},
      {"a new nickname refused", {kJoin, kAsSeen, "< presence error - hall@B/al alice@A/desk", "<" + kSaid}},
      // After a start OpenQuestions knows of no room that users are in.
      {"who speaks in a room is in it", {"> message groupchat m1 alice@A/desk hall@B", "<" + kSaid}},
      {"an invitation",
       {"x message - - hall@B alice@A <x xmlns='http://jabber.org/protocol/muc#user'><invite "
        "from='bob@B'/></x>"}},
  });
}

// Stanzas that look like answers.
TEST(OpenQuestions, nothing_passes_that_answers_nothing) {
  const Dialogue attacks = {
      "x presence - - bob@B alice@A <status>any text</status>",
      "x presence - - bob@B/phone alice@A/desk <status>any text</status>",
      "x presence - - bob@B/phone alice@A/desk <x xmlns='http://jabber.org/protocol/muc#user'/>",
      "x presence - - bob@B/phone alice@A/desk <x xmlns='http://jabber.org/protocol/muc'/>",
      "x presence unavailable - bob@B alice@A <status>any text</status>",
      "x presence error - bob@B alice@A <status>any text</status>",
      "x presence subscribe - bob@B alice@A",
      "x presence subscribed - bob@B alice@A",
      "x presence unsubscribe - bob@B alice@A",
      "x presence unsubscribed - bob@B alice@A",
      "x presence probe - bob@B alice@A",
      "x message error - bob@B alice@A <body>any text</body>",
      "x message error m1 bob@B alice@A <body>any text</body>",
      "x message groupchat - bob@B/phone alice@A/desk <body>any text</body>",
      "x message headline - bob@B alice@A <body>any text</body>",
      "x message - - B alice@A <body>any text</body>",
      "x iq result q1 bob@B alice@A <query xmlns='urn:x'>any text</query>",
      "x iq error q1 bob@B alice@A",
      "x iq result - bob@B alice@A",
  };
  // No question; a question to another address; a question from another address.
  const std::vector<Dialogue> histories = {
      {},
      {"> iq get q1 alice@A carol@B", "> message chat m1 alice@A carol@B", "> message - - alice@A carol@B",
       "> presence subscribe - alice@A carol@B", "> presence probe - alice@A dave@B",
       "> presence - - alice@A/desk carol@B/phone"},
      {"> iq get q1 carol@A bob@B", "> message chat m1 carol@A bob@B", "> message - - carol@A bob@B",
       "> presence subscribe - carol@A bob@B", "> presence probe - dave@A bob@B",
       "> presence - - carol@A/desk bob@B/phone"},
  };
  std::vector<Case> cases;
  for (const auto& history : histories) {
    Dialogue dialogue = history;
    dialogue.insert(dialogue.end(), attacks.begin(), attacks.end());
    cases.push_back({"history " + std::to_string(cases.size()), std::move(dialogue)});
  }
  run(cases);
}

}  // namespace
}  // namespace sallyport::policy
