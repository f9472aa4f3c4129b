// Chat node aliases: the node of each alias, and the alias that each remote domain sees. Core only.
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
  // Returns nullptr if the domain is not a mapped alias.
  const xmpp::Domain* node_of(const xmpp::Domain& alias) const;
  // Returns the aliases in the order of the rows; nullptr if the domain is not a mapped node.
  const std::vector<xmpp::Domain>* aliases_of(const xmpp::Domain& node) const;
  // The nodes with several aliases.
  const std::vector<xmpp::Domain>& with_several() const { return with_several_; }

 private:
  std::vector<AliasRow> rows_;
  std::unordered_map<xmpp::Domain, xmpp::Domain> node_by_alias_;
  std::unordered_map<xmpp::Domain, std::vector<xmpp::Domain>> aliases_by_node_;
  std::vector<xmpp::Domain> with_several_;
};

// Chooses the alias that a remote domain sees: the first row, unless the remote domain has used another one.
// The names are shared; the memory of used aliases belongs to one role.
class Aliases {
 public:
  explicit Aliases(std::shared_ptr<const AliasNames> names) : names_(std::move(names)) {}
  // Translates an alias to its node; nothing if the domain is not a mapped alias.
  std::optional<xmpp::Domain> node_of(const xmpp::Domain& alias) const;
  // Translates a node to the alias that `remote` uses; nothing if the domain is not a mapped node.
  std::optional<xmpp::Domain> alias_of(const xmpp::Domain& node, const xmpp::Domain& remote) const;
  // Records that a stanza from `remote` used this alias. Only for nodes with several aliases, and for
  // limits::kAliasesKnownMax pairs, of which all remote domains with one parent have a share; the oldest pair
  // of the parent with the most pairs is forgotten first.
  void used(const xmpp::Domain& alias, const xmpp::Domain& remote);
  bool is_mapped_node(const xmpp::Domain& domain) const;
  // Returns whether that domain sees another alias than the first of some node.
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
