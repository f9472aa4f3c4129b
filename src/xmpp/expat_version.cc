#include "xmpp/expat_version.h"

#include <expat.h>
#include <fmt/format.h>

#include <string_view>
#include <tuple>

// A library that is too old lacks it: the process must still be able to report that.
#pragma weak XML_SetReparseDeferralEnabled

namespace sallyport::xmpp {

ExpatFacts expat_facts() {
  const XML_Expat_Version version = XML_ExpatVersionInfo();
  ExpatFacts facts{version.major, version.minor, version.micro, XML_SetReparseDeferralEnabled != nullptr,
                   false};
  for (const XML_Feature* one = XML_GetFeatureList(); one->feature != XML_FEATURE_END; ++one) {
    // Compared by name: the headers of other versions lack its number.
    if (std::string_view(one->name) == "XML_AT_MAX_AMP") facts.limits_allocations = true;
  }
  return facts;
}

Result<void> check_expat(const ExpatFacts& facts) {
  const bool is_new = std::tuple(facts.major, facts.minor) >= std::tuple(2, 6);
  if (is_new || (facts.defers_reparsing && facts.limits_allocations)) return {};
  return {Code::kLibraryOutdated,
          fmt::format("libexpat {}.{}.{} is installed, without the fixes of Debian's libexpat1 "
                      "2.5.0-1+deb12u5; that version or 2.6.0 is the oldest that may be used",
                      facts.major, facts.minor, facts.micro)};
}

}  // namespace sallyport::xmpp
