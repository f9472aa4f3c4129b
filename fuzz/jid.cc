// Addresses: an accepted one is bounded, and its text is the same address again. A plain one, with or without
// a known domain, is an address unchanged.
#include "xmpp/jid.h"
#include "base/limits.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::xmpp;
  using sallyport::fuzz::require;
  namespace limits = sallyport::limits;
  const auto text = sallyport::fuzz::text_of(data, size);
  const auto jid = Jid::parse(text);
  const auto plain = Jid::plain_domain_of(text);
  if (plain) {
    require(jid.has_value() && jid->text() == text, "a plain address is canonical");
    require(jid->domain().ascii() == *plain, "its domain is the one that was found");
    require(Jid::plain_domain_of(text, *plain) == plain, "its own domain may be known");
  }
  require(Jid::plain_domain_of(text, "a.example") == plain, "a known domain makes no difference");
  if (!jid) return 0;
  require(jid->local().size() <= limits::kJidPartBytesMax, "a localpart is bounded");
  require(jid->resource().size() <= limits::kJidPartBytesMax, "a resourcepart is bounded");
  require(jid->domain().ascii().size() <= limits::kDomainBytesMax, "a domain is bounded");
  require(jid->local().find_first_of("\"&'/:<>@ ") == std::string::npos, "a localpart cannot end early");
  for (const char c : jid->domain().ascii()) {
    require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.',
            "a domain is made of A-labels");
  }
  const auto again = Jid::parse(jid->text());
  require(again.has_value() && *again == *jid, "the text of an address is that address");
  const auto domain = Domain::parse(jid->domain().ascii());
  require(domain.has_value() && *domain == jid->domain(), "a domain has one spelling");
  return 0;
}
