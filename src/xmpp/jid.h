// XMPP addresses (RFC 7622) and their domains.
//
// A value of these types is valid and in its one canonical form: only `parse` makes one. They compare byte by
// byte.
#pragma once

#include <compare>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "base/result.h"

namespace sallyport::xmpp {

// A domain name as identity: lower-case A-labels, no trailing dot (RFC 7622 3.2, RFC 5890). `bücher.example`
// and `xn--bcher-kva.example` are the same Domain. IP literals are rejected: they are not federated names.
//
// Copies share the name, and compare equal without reading it: a name that a stream or a channel brought is
// stored once for all tables of a node. Copies may be passed to other threads.
class Domain {
 public:
  // Accepts U-labels or A-labels, any case, one trailing dot. Errors: kJidInvalid.
  static Result<Domain> parse(std::string_view text);

  // Valid as long as any copy of this domain.
  const std::string& ascii() const { return name_->ascii; }
  // Returns the form used in XML (U-labels, RFC 7622 3.2).
  std::string unicode() const;
  // Returns true only if `text` is the ASCII form of a domain, without Unicode tables; false proves nothing.
  static bool is_plain(std::string_view text);
  // Returns true for "conference.example.com" below "example.com"; a domain is not below itself.
  bool is_below(const Domain& parent) const;

  // Returns the keyed hash of the ASCII form (base/keyed_hash.h), computed once.
  std::size_t hash() const { return name_->hash; }

  friend bool operator==(const Domain& a, const Domain& b) {
    return a.name_ == b.name_ || (a.name_->hash == b.name_->hash && a.name_->ascii == b.name_->ascii);
  }
  friend std::strong_ordering operator<=>(const Domain& a, const Domain& b) {
    if (a.name_ == b.name_) return std::strong_ordering::equal;
    return a.name_->ascii <=> b.name_->ascii;
  }

 private:
  friend class Jid;
  struct Name {
    explicit Name(std::string text) : ascii(std::move(text)), hash(keyed_hash(ascii)) {}
    std::string ascii;
    std::size_t hash;
  };
  explicit Domain(std::string ascii) : name_(std::make_shared<const Name>(std::move(ascii))) {}
  std::shared_ptr<const Name> name_;
};

// The ordered pair of domains that proofs, policy, queues and counters refer to. `local` is the domain that
// this organisation serves, whichever way a stanza goes.
struct Pair {
  Domain local;
  Domain remote;
  auto operator<=>(const Pair&) const = default;
};

// localpart@domainpart/resourcepart, prepared with PRECIS (UsernameCaseMapped,
// OpaqueString; RFC 8265) and bounded (limits::kJidPartBytesMax).
class Jid {
 public:
  // Errors: kJidInvalid, with the part that is invalid.
  static Result<Jid> parse(std::string_view text);
  // Returns the domainpart of a text that may not be an address: the server of the sender or recipient is
  // known even if the rest is invalid. Errors: kJidInvalid.
  static Result<Domain> domain_of(std::string_view text);
  // Finds the domainpart of an address that is plain ASCII and already canonical, as nearly all are, without
  // tables or allocations. Returns nothing for any other text, which may still be an address. `known`: a
  // plain domain (Domain::is_plain) that it probably is and that need not be checked again.
  static std::optional<std::string_view> plain_domain_of(std::string_view text, std::string_view known = {});
  // Returns the bare domain as an address.
  static Jid of(const Domain& domain);

  bool has_local() const { return !local_.empty(); }
  bool has_resource() const { return !resource_.empty(); }
  const std::string& local() const { return local_; }
  const Domain& domain() const& { return domain_; }
  // For an address about to be destroyed: moves the domain out.
  Domain domain() && { return std::move(domain_); }
  const std::string& resource() const { return resource_; }
  // Returns the canonical text, with the domainpart as U-labels, as in canonical stanzas.
  std::string text() const;
  // Returns the same localpart and resourcepart in another domain (chat node aliases).
  Jid in(const Domain& domain) const;

  auto operator<=>(const Jid&) const = default;

 private:
  friend class Stanza;
  Jid(std::string local, Domain domain, std::string resource);
  // Rebuilds an address from its `text()` and the domain's ASCII form: validated before, not again.
  static Jid of_canonical(std::string_view text, std::string_view domain);
  std::string local_;
  Domain domain_;
  std::string resource_;
};

}  // namespace sallyport::xmpp

// Not noexcept: then the standard library keeps the hash beside each entry, so that a search that passes an
// entry need not read its names.
template <>
struct std::hash<sallyport::xmpp::Domain> {
  std::size_t operator()(const sallyport::xmpp::Domain& d) const { return d.hash(); }
};
template <>
struct std::hash<sallyport::xmpp::Pair> {
  std::size_t operator()(const sallyport::xmpp::Pair& p) const {
    return sallyport::keyed_hash(p.local.hash(), p.remote.hash());
  }
};
