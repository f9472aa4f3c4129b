#include "gate/reply.h"

namespace sallyport::gate {

std::optional<xmpp::Stanza> answer_bad(const xmpp::Pair& pair, const xmpp::BadStanza& bad) {
  const Code code = code_row(bad.error.code).stanza_condition.empty() ? Code::kStanzaToInvalid : bad.error.code;
  xmpp::Stanza stanza{bad.kind, bad.from, xmpp::Jid::of(pair.local), bad.id, bad.type, {}, {}};
  return xmpp::bounce(stanza, code, bad.error.text);
}

bool is_answer(const xmpp::Stanza& stanza) {
  switch (stanza.kind) {
    case xmpp::StanzaKind::kMessage:
      return stanza.is_error();
    case xmpp::StanzaKind::kIq:
      return !stanza.is_request();
    case xmpp::StanzaKind::kPresence:
      // Presence follows from a subscription that the other side asked for; joining a room does not.
      if (stanza.type == "subscribe" || stanza.type == "probe") return false;
      return stanza.xml.find("http://jabber.org/protocol/muc'") == std::string::npos;
  }
  return false;
}

}  // namespace sallyport::gate
