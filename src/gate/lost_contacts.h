// Users and their contacts whose presence was taken back because a way was lost: when it is there again,
// their presence is asked for (presence_probe). At most limits::kLostContactsMax are remembered. Pure; one
// owner.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/presence_limits.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace sallyport::gate {

class LostContacts {
 public:
  // Bare addresses: who was shown a presence, and whose it was.
  using Contacts = std::set<std::pair<std::string, std::string>>;

  // The presence of the pair is taken back by this stanza. Only a contact's comes to a bare address; an
  // occupant enters its room again by itself.
  void note(const xmpp::Pair& pair, const xmpp::Stanza& unavailable) {
    if (unavailable.to_has_resource() || size_ >= limits::kLostContactsMax) return;
    size_ +=
        by_pair_[pair].emplace(bare(unavailable.to_text()), bare(unavailable.from_text())).second ? 1 : 0;
  }
  // Returns those of the pair, or all, and forgets them.
  Contacts take(const xmpp::Pair& pair) {
    auto node = by_pair_.extract(pair);
    if (!node) return {};
    size_ -= node.mapped().size();
    return std::move(node.mapped());
  }
  std::map<xmpp::Pair, Contacts> take_all() {
    size_ = 0;
    return std::exchange(by_pair_, {});
  }

 private:
  static std::string bare(std::string_view address) {
    return std::string(address.substr(0, address.find('/')));
  }

  std::map<xmpp::Pair, Contacts> by_pair_;
  std::size_t size_ = 0;  // of all pairs
};

}  // namespace sallyport::gate
