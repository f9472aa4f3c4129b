// A push from the core: accepted bytes have one encoding, and a verdict by its rules does not fail.
#include "config/push.h"
#include "property.h"

using namespace sallyport;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::text_of(data, size);
  const auto push = config::Push::decode(bytes);
  if (!push) {
    fuzz::require(push.error().code == Code::kLinkFrame, "a bad push is a bad frame");
    return 0;
  }
  fuzz::require(push->encode() == bytes, "encode(decode(x)) == x");
  const policy::Rules rules(push->rules);
  for (const auto& local : push->rules.local) {
    for (const auto& row : push->rules.lists) {
      const auto remote = xmpp::Domain::parse(row.domain.base());
      if (remote) (void)rules.decide({local.name, *remote}, policy::Direction::kBoth, UnixTime());
    }
  }
  return 0;
}
