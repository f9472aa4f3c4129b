#include "base/codes.h"

#include <algorithm>

namespace sallyport {
namespace {

constexpr CodeRow kRows[] = {
#define SALLYPORT_CODE(name, text, stanza, stream, sentence, remedy) \
  {Code::name, text, stanza, stream, sentence, remedy},
#include "base/codes.inc"
#undef SALLYPORT_CODE
};

}  // namespace

std::span<const CodeRow> code_table() { return kRows; }

const CodeRow& code_row(Code code) { return kRows[static_cast<std::size_t>(code)]; }

std::optional<Code> code_named(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &CodeRow::name);
  if (row == std::end(kRows)) return std::nullopt;
  return row->code;
}

bool is_permanent(Code code) {
  constexpr std::string_view kAreas[] = {"xml.", "stanza.", "jid.", "policy."};
  switch (code) {
    case Code::kDnsNoName:
    case Code::kDnsDecline:
    case Code::kDialOwn:
    case Code::kDeliveryUncertain:
    case Code::kDeliveryExpired:
    case Code::kDeliveryPurged:
      return true;
    default:
      return std::ranges::any_of(
          kAreas, [&](std::string_view area) { return code_row(code).name.starts_with(area); });
  }
}

}  // namespace sallyport
