// Chat node aliases: translation between the public name of a node and its internal name in whole stanzas
// (docs/configuration.md). Core only.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::alias {

// Rewrites a canonical stanza. It examines each attribute value, and each run of text between two tags: one
// that as a whole (apart from white space around it, also as references) is a JID or an xmpp: URI (RFC 5122)
// in the domain `from` of a row becomes the same in the row's `to`, in any namespace. XHTML and encrypted
// payloads stay unchanged with all attributes and elements inside, and so does the text directly in the
// <body/> and <subject/> of a message (also of a forwarded one, XEP-0297): that is prose. Only the domainpart
// is replaced: localpart, resourcepart and query stay byte for byte. The domain is recognised in upper case,
// as U-labels or A-labels, percent-encoded in a URI, and with a trailing dot. A text that merely contains it
// among other words stays unchanged, and so do namespaces.
//
// Prose of a user stays unchanged. Prose of the room service itself is in a message that is not an error and
// comes from a bare address in a mapped domain (a room, or the service): there the domain is replaced in each
// token that is an address in it or the domain (alias/mapped_text.h), because invitations of Prosody and
// ejabberd name the room in a sentence. In a forwarded message this also requires that the outer stanza comes
// from such an address.
//
// The result is canonical. Errors: kXmlTooLarge; kXmlNotWellFormed if `xml` was not canonical.
class AddressMap {
 public:
  struct Row {
    xmpp::Domain from;
    xmpp::Domain to;
  };
  AddressMap(xmpp::Domain from, xmpp::Domain to);
  // Of several rows for one name the first counts. A stanza costs the same for one row and for a thousand.
  explicit AddressMap(const std::vector<Row>& rows);
  Result<xmpp::Stanza> map(const xmpp::Stanza& stanza) const;
  bool is_empty() const { return names_.is_empty(); }

  // The replacements of the mapped domains, and the only definition of which spellings are equivalent to
  // them.
  class Names {
   public:
    struct Name {
      xmpp::Domain domain;
      std::string unicode;  // for JIDs in XML; URIs take the A-labels
    };
    void add(const xmpp::Domain& from, const xmpp::Domain& to);
    // Returns nullptr if the domain, or the domain that `text` spells, is not mapped.
    const Name* of(const xmpp::Domain& domain) const;
    const Name* spelled(std::string_view text) const;
    bool is_empty() const { return by_domain_.empty(); }

   private:
    std::map<std::string, Name, std::less<>> by_domain_;  // by A-labels
    std::set<std::size_t> dots_;                          // the numbers of dots that mapped domains have
  };

 private:
  Names names_;
};

}  // namespace sallyport::alias
