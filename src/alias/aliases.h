// Which chat node stands behind which alias, and which alias a node shows to which remote domain. Core only.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/shares.h"
#include "xmpp/jid.h"

namespace sallyport::alias {

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

}  // namespace sallyport::alias
