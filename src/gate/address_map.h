// Chat node aliases: translation between the outward name of a node and its inside name, in
// whole stanzas (DESIGN "Group chat"). Core only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "base/shares.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

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
// token that is an address in it or itself (gate/mapped_text.h): invitations of Prosody and ejabberd name the
// room in a sentence. In a forwarded message this holds where the outer stanza comes from such an address,
// too.
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

// One [[chat_node]] row whose node has another name than its alias.
struct AliasRow {
  xmpp::Domain alias;
  xmpp::Domain node;
};

// The rows, by alias and by node. Immutable.
class AliasNames {
 public:
  explicit AliasNames(std::vector<AliasRow> rows);
  const std::vector<AliasRow>& rows() const { return rows_; }
  // nullptr when the domain is no mapped alias.
  const xmpp::Domain* node_of(const xmpp::Domain& alias) const;
  // In the order of the rows; nullptr when the domain is no mapped node.
  const std::vector<xmpp::Domain>* aliases_of(const xmpp::Domain& node) const;
  // The nodes with several aliases.
  const std::vector<xmpp::Domain>& with_several() const { return with_several_; }

 private:
  std::vector<AliasRow> rows_;
  std::unordered_map<xmpp::Domain, xmpp::Domain> node_by_alias_;
  std::unordered_map<xmpp::Domain, std::vector<xmpp::Domain>> aliases_by_node_;
  std::vector<xmpp::Domain> with_several_;
};

// Which alias a node shows to which remote domain: the first row, unless the pair is known to use another.
// The names are shared; what is known belongs to one role.
class Aliases {
 public:
  explicit Aliases(std::shared_ptr<const AliasNames> names) : names_(std::move(names)) {}
  // Alias to node; nothing when the domain is no mapped alias.
  std::optional<xmpp::Domain> node_of(const xmpp::Domain& alias) const;
  // Node to the alias that `remote` knows it by; nothing when the domain is no mapped node.
  std::optional<xmpp::Domain> alias_of(const xmpp::Domain& node, const xmpp::Domain& remote) const;
  // A stanza from `remote` used this alias. Remembered only of nodes with several aliases, and for
  // limits::kAliasesKnownMax pairs, of which a remote domain has its share with all of the same parent: of
  // who has most the oldest is forgotten.
  void used(const xmpp::Domain& alias, const xmpp::Domain& remote);
  bool is_mapped_node(const xmpp::Domain& domain) const;
  // Whether some node shows that domain another alias than its first.
  bool has_own_names(const xmpp::Domain& remote) const;

 private:
  std::shared_ptr<const AliasNames> names_;
  struct Known {
    xmpp::Domain alias;
    Shares<xmpp::Pair>::Part part{};
  };
  // By the parent of the remote domain.
  std::unique_ptr<Shares<xmpp::Pair>> shares_ = std::make_unique<Shares<xmpp::Pair>>(
      Shares<xmpp::Pair>::Bounds{limits::kAliasesKnownMax, {limits::peer_share(limits::kAliasesKnownMax)}});
  // By node and remote domain.
  std::unordered_map<xmpp::Pair, Known> known_;
};

}  // namespace sallyport::gate
