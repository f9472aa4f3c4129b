#include "dns/records.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::dns {
namespace {

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string_view outcome_name(LookupOutcome outcome) {
  switch (outcome) {
    case LookupOutcome::kFound:
      return "found";
    case LookupOutcome::kNoData:
      return "no such record";
    case LookupOutcome::kNoName:
      return "no such name";
    case LookupOutcome::kFailure:
      return "failure";
    case LookupOutcome::kBogus:
      return "bogus";
  }
  return "unknown";
}

Result<std::string> parse_host(std::string_view wire) {
  Cursor in(wire);
  std::string host;
  for (;;) {
    const auto length = in.u8();
    if (!length) return {Code::kDnsMalformed, "a name ends early"};
    if (*length == 0) break;
    // RFC 1035 3.1: the two high bits mark a pointer, which has no message to point into.
    if (*length > limits::kDomainLabelBytesMax) return {Code::kDnsMalformed, "a label is too long"};
    const auto label = in.raw(*length);
    if (!label) return {Code::kDnsMalformed, "a name ends early"};
    if (!std::ranges::all_of(*label, is_host_byte)) return {Code::kDnsMalformed, "not a host name"};
    if (!host.empty()) host += '.';
    std::ranges::transform(*label, std::back_inserter(host), lower);
    if (host.size() > limits::kDomainBytesMax) return {Code::kDnsMalformed, "a name is too long"};
  }
  return host.empty() ? std::string(".") : host;
}

Result<SrvRecord> parse_srv(std::string_view rdata) {
  Cursor in(rdata);
  const auto priority = in.u16();
  const auto weight = in.u16();
  const auto port = in.u16();
  if (!port) return {Code::kDnsMalformed, "an SRV record ends early"};
  auto target = parse_host(in.rest());
  if (!target) return std::move(target).error();
  const std::size_t name_bytes = *target == "." ? 1 : target->size() + 2;
  if (name_bytes != in.rest().size()) return {Code::kDnsMalformed, "bytes after an SRV record"};
  return SrvRecord{*priority, *weight, *port, *std::move(target)};
}

Result<Ip> parse_address(RecordType type, std::string_view rdata) {
  if (type == RecordType::kA && rdata.size() == 4) {
    std::array<std::uint8_t, 4> four{};
    std::ranges::copy(rdata, four.begin());
    return Ip::v4(four);
  }
  if (type == RecordType::kAaaa && rdata.size() == 16) {
    Ip ip;
    std::ranges::copy(rdata, ip.bytes.begin());
    return ip;
  }
  return {Code::kDnsMalformed, "an address record of the wrong size"};
}

}  // namespace sallyport::dns
