// The one table of refusal codes: every refusal, error and warning of Sallyport has a row.
//
// The rows are in base/codes.inc; script/codes writes docs/codes.md from them, and test/tidy compares the
// two. The same code, sentence and remedy appear in the log, the command line and the API.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sallyport {

enum class Code : std::uint16_t {
#define SALLYPORT_CODE(name, text, stanza, stream, sentence, remedy) name,
#include "base/codes.inc"
#undef SALLYPORT_CODE
};

struct CodeRow {
  Code code;
  // Stable name, `area.what`, shown to people and matched by programs.
  std::string_view name;
  // The RFC 6120 8.3.3 condition of the stanza error that a bounce carries;
  // empty where this code never answers a stanza.
  std::string_view stanza_condition;
  // The RFC 6120 4.9.3 condition of the stream error; empty where this code
  // never ends a stream.
  std::string_view stream_condition;
  std::string_view sentence;  // what happened
  std::string_view remedy;    // what the reader can do about it
};

// Returns all rows, in the order of the enumeration.
std::span<const CodeRow> code_table();
const CodeRow& code_row(Code code);
// Returns the code with that stable name, if any: codes cross the link by name.
std::optional<Code> code_named(std::string_view name);

// Whether a stanza that was refused with this code would be refused again later, so that it is answered at
// once and not retried: because of what it is, of policy, or of what the peer's domain says of itself.
bool is_permanent(Code code);

}  // namespace sallyport
