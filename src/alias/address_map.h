// Chat node aliases: translation between the outward name of a node and its inside name, in
// whole stanzas (DESIGN "Group chat"). Core only.
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

// Rewrites a canonical stanza: each attribute value, and each run of text between two tags, that as a whole
// (apart from white space around it, also as references) is a JID or an xmpp: URI (RFC 5122) in the domain
// `from` of a row becomes the same in its `to`, in any namespace; except in XHTML and encrypted payloads,
// which stay as they are with all attributes and elements inside, and except the text directly in the <body/>
// and <subject/> of a message (also of a forwarded one, XEP-0297): those are prose. Only the domainpart is
// replaced: localpart, resourcepart and query stay byte for byte. The domain is recognised in upper case, as
// U-labels or A-labels, percent-encoded in a URI, and with a trailing dot. A text that merely contains it
// among other words stays as it is, and so do namespaces.
//
// Prose of a user stays as it is. In prose of the room service itself, which is in a message that is no error
// and comes from a bare address in a mapped domain (a room, or the service), the domain is replaced in each
// token that is an address in it or itself (alias/mapped_text.h): invitations of Prosody and ejabberd name
// the room in a sentence. In a forwarded message this holds where the outer stanza comes from such an
// address, too.
//
// The result is canonical. Errors: kXmlTooLarge; kXmlNotWellFormed where `xml` was not canonical.
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

  // What stands instead of the domains that are mapped: the one definition of which spellings mean them.
  class Names {
   public:
    struct Name {
      xmpp::Domain domain;
      std::string unicode;  // as JIDs in XML are written; URIs take the A-labels
    };
    void add(const xmpp::Domain& from, const xmpp::Domain& to);
    // nullptr where the domain, or what `text` spells, is not mapped.
    const Name* of(const xmpp::Domain& domain) const;
    const Name* spelled(std::string_view text) const;
    bool is_empty() const { return by_domain_.empty(); }

   private:
    std::map<std::string, Name, std::less<>> by_domain_;  // by A-labels
    std::set<std::size_t> dots_;                          // how many the mapped domains have
  };

 private:
  Names names_;
};

}  // namespace sallyport::alias
