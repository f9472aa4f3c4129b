// Chat node aliases: translation between the outward name of a node and its inside name, in
// whole stanzas (DESIGN "Group chat"). Core only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// Rewrites a canonical stanza: each attribute value, and each element's whole text, that is a JID or
// an xmpp: URI in the domain `from` becomes the same in the domain `to`, in any namespace; except
// prose in <body/> and <subject/>, XHTML, and encrypted payloads. The result is canonical. A text that merely
// contains the domain among other words stays as it is.
// Errors: kXmlTooLarge.
class AddressMap {
 public:
  AddressMap(xmpp::Domain from, xmpp::Domain to);
  ~AddressMap();
  AddressMap(AddressMap&&) noexcept;
  Result<xmpp::Stanza> map(const xmpp::Stanza& stanza) const;

 private:
  xmpp::Domain from_;
  xmpp::Domain to_;
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
  // A stanza from `remote` used this alias. Bounded memory: the oldest knowledge is forgotten.
  void used(const xmpp::Domain& alias, const xmpp::Domain& remote);
  bool is_mapped_node(const xmpp::Domain& domain) const;

 private:
  std::vector<AliasRow> rows_;
  std::vector<std::pair<xmpp::Pair, xmpp::Domain>> known_;
};

}  // namespace sallyport::gate
