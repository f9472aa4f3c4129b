// Checks that the Expat library of the process has the security fixes that the gateway relies on.
//
// Distributions repair Expat without changing its version: Debian 12's 2.5.0-1+deb12u5 reports "2.5.0" like
// the vulnerable 2.5.0. Its features tell them apart.
#pragma once

#include <string>

#include "base/result.h"

namespace sallyport::xmpp {

struct ExpatFacts {
  int major = 0;
  int minor = 0;
  int micro = 0;
  // XML_SetReparseDeferralEnabled exists: upstream 2.6.0, Debian 12 with the fix of CVE-2023-52425.
  bool defers_reparsing = false;
  // Limits on the allocations that a document causes are compiled in (CVE-2025-59375): Debian 12 since
  // 2.5.0-1+deb12u5, which has every earlier fix.
  bool limits_allocations = false;
};

// Returns the facts of the library in use.
ExpatFacts expat_facts();
// Errors: kLibraryOutdated, for a library below 2.6.0 that lacks either of the two; the text names the
// installed and the needed version.
Result<void> check_expat(const ExpatFacts& facts);

}  // namespace sallyport::xmpp
