// Whether the Expat library that the process runs with has the security fixes that the gateway relies on.
//
// Distributions repair Expat without changing its version: Debian 12's 2.5.0-1+deb12u5 says "2.5.0" like the
// vulnerable 2.5.0. What tells them apart is what the library can do.
#pragma once

#include <string>

#include "base/result.h"

namespace sallyport::xmpp {

struct ExpatFacts {
  int major = 0;
  int minor = 0;
  int micro = 0;
  // XML_SetReparseDeferralEnabled is there: upstream 2.6.0, Debian 12 with the fix of CVE-2023-52425.
  bool defers_reparsing = false;
  // Limits on what a document may make it allocate are compiled in (CVE-2025-59375): Debian 12 since
  // 2.5.0-1+deb12u5, which has every fix before that one.
  bool limits_allocations = false;
};

// Of the library in use.
ExpatFacts expat_facts();
// Errors: kLibraryOutdated, for a library below 2.6.0 that lacks either of the two; the text names the
// installed and the needed version.
Result<void> judge_expat(const ExpatFacts& facts);

}  // namespace sallyport::xmpp
