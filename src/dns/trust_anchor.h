// Whether a file of trust anchors (RFC 4033) can validate anything. libunbound accepts a file without an
// anchor that it can use, and then validates nothing and says nothing.
#pragma once

#include <string_view>

namespace sallyport::dns {

// Whether `text`, in the form of a zone file, has a DS record (RFC 4034 5.3) with a digest of the right
// length or a DNSKEY record (RFC 4034 2.2), of an algorithm that libunbound supports.
bool has_usable_anchor(std::string_view text);

}  // namespace sallyport::dns
