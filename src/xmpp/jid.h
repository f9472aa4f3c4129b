// XMPP addresses (RFC 7622) and the domains they live in.
//
// A value of these types is valid and in its one canonical form: the only way to
// get one is `parse`. Comparisons are plain comparisons of bytes.
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

// A domain name as identity: lower-case A-labels, no trailing dot (RFC 7622 3.2,
// RFC 5890). `bücher.example` and `xn--bcher-kva.example` are one Domain. IP literals
// are refused: they are not federated names.
//
// A copy shares the name with what it was copied from, and is equal to it without a look at a byte: a name
// that a stream or a channel brought goes through all tables of a door as one. Copies may go to other
// threads.
class Domain {
 public:
  // Takes U-labels or A-labels, any case, one trailing dot. Errors: kJidInvalid.
  static Result<Domain> parse(std::string_view text);

  // Lives as long as any copy of this domain.
  const std::string& ascii() const { return name_->ascii; }
  // As it is written in XML (U-labels, RFC 7622 3.2).
  std::string unicode() const;
  // Whether `text` is the ASCII form of a domain as it stands, without tables: "yes" is sure, "no" is not.
  static bool is_plain(std::string_view text);
  // True for "conference.example.com" below "example.com"; not for itself.
  bool is_below(const Domain& parent) const;

  // The keyed hash of the ASCII form (base/keyed_hash.h), made once.
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

// The ordered pair that everything is proved, judged, queued and counted by.
// `local` is the side this organisation serves, whichever way a stanza goes.
struct Pair {
  Domain local;
  Domain remote;
  auto operator<=>(const Pair&) const = default;
};

// localpart@domainpart/resourcepart, prepared with PRECIS (UsernameCaseMapped,
// OpaqueString; RFC 8265) and bounded (limits::kJidPartBytesMax).
class Jid {
 public:
  // Errors: kJidInvalid, with the part that is wrong.
  static Result<Jid> parse(std::string_view text);
  // The domainpart alone of what may be no address: whose server it is sent by or to is known even where the
  // rest is wrong. Errors: kJidInvalid.
  static Result<Domain> domain_of(std::string_view text);
  // Finds the domainpart of an address that is plain ASCII and has its canonical form already, as nearly all
  // have: no table is asked, nothing allocated. Nothing where that is not so, which says nothing about
  // whether it is an address. `known`: a plain domain (Domain::is_plain) that it probably is, not to be
  // judged again.
  static std::optional<std::string_view> plain_domain_of(std::string_view text, std::string_view known = {});
  // The bare domain as an address.
  static Jid of(const Domain& domain);

  bool has_local() const { return !local_.empty(); }
  bool has_resource() const { return !resource_.empty(); }
  const std::string& local() const { return local_; }
  const Domain& domain() const& { return domain_; }
  // Of an address that goes away: the domain stays.
  Domain domain() && { return std::move(domain_); }
  const std::string& resource() const { return resource_; }
  // The canonical text, domainpart as U-labels; what stands in canonical stanzas.
  std::string text() const;
  // The same localpart and resourcepart in another domain (chat node aliases).
  Jid in(const Domain& domain) const;

  auto operator<=>(const Jid&) const = default;

 private:
  friend class Stanza;
  Jid(std::string local, Domain domain, std::string resource);
  // What `text()` was, with the domain's ASCII form beside it: proved before, not judged again.
  static Jid of_canonical(std::string_view text, std::string_view domain);
  std::string local_;
  Domain domain_;
  std::string resource_;
};

}  // namespace sallyport::xmpp

// Not noexcept: that has the standard library keep the number beside each entry, so that a search that passes
// an entry need not look at its names.
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
