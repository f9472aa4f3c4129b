// Chat node aliases: translation between the outward name of a node and its inside name, in
// whole stanzas (DESIGN "Group chat"). Core only.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// Rewrites a canonical stanza: each attribute value, and each run of text between two tags, that as a whole
// is a JID or an xmpp: URI (RFC 5122) in the domain `from` becomes the same in the domain `to`, in any
// namespace; except prose in <body/> and <subject/>, XHTML, and encrypted payloads. Only the domainpart is
// replaced: localpart, resourcepart and query stay byte for byte. The domain is recognised in upper case, as
// U-labels or A-labels and with a trailing dot. A text that merely contains it among other words stays as it
// is, and so do namespaces. The result is canonical. Errors: kXmlTooLarge; kXmlNotWellFormed where `xml` was
// not canonical.
class AddressMap {
 public:
  AddressMap(xmpp::Domain from, xmpp::Domain to);
  Result<xmpp::Stanza> map(const xmpp::Stanza& stanza) const;

 private:
  xmpp::Domain from_;
  xmpp::Domain to_;
  std::string to_unicode_;  // as JIDs in XML are written; URIs take the A-labels
};

// One [[chat_node]] row whose node has another name than its alias.
struct AliasRow {
  xmpp::Domain alias;
  xmpp::Domain node;
};

// Which alias a node shows to which remote domain: the first row, unless the pair is known to use another.
class Aliases {
 public:
  explicit Aliases(std::vector<AliasRow> rows);
  // Alias to node; nothing when the domain is no mapped alias.
  std::optional<xmpp::Domain> node_of(const xmpp::Domain& alias) const;
  // Node to the alias that `remote` knows it by; nothing when the domain is no mapped node.
  std::optional<xmpp::Domain> alias_of(const xmpp::Domain& node, const xmpp::Domain& remote) const;
  // A stanza from `remote` used this alias. Remembered only of nodes with several aliases, and for
  // limits::kAliasesKnownMax pairs: the oldest knowledge is forgotten.
  void used(const xmpp::Domain& alias, const xmpp::Domain& remote);
  bool is_mapped_node(const xmpp::Domain& domain) const;

 private:
  std::unordered_map<xmpp::Domain, xmpp::Domain> node_by_alias_;
  std::unordered_map<xmpp::Domain, std::vector<xmpp::Domain>> aliases_by_node_;  // in the order of the rows
  // By node and remote domain, and in the order in which they were learnt.
  std::unordered_map<xmpp::Pair, xmpp::Domain> known_;
  std::deque<xmpp::Pair> learnt_;
};

}  // namespace sallyport::gate
