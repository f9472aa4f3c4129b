// Where markup begins and ends: runs ahead of the XML parser, byte by byte.
//
// The parser judges XML; the scanner sees to it that what reaches the parser is bounded and
// costs linear time (THREATS A1, A6, A7). It enforces every limit of ParseLimits, refuses
// what begins like a comment, processing instruction or DTD before the parser sees it, and lets
// a tag through only when it is whole, so that no tag is tokenised twice however small the pieces
// are in which it arrives. On ill-formed input it may read markup otherwise than the parser, but only
// behind the place where the parser will refuse it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace sallyport::xmpp {

// The bounds of one phase of a stream.
struct ParseLimits {
  std::size_t element_bytes;  // of a first-level element, from `<` to `>`
  std::size_t depth;          // a first-level element has depth 1
  std::size_t attributes;     // of one element, namespace declarations included
  std::size_t children;       // elements in a first-level element, itself included

  static ParseLimits unauthenticated();
  static ParseLimits authenticated();
};

class XmlScanner {
 public:
  explicit XmlScanner(const ParseLimits& limits) : limits_(limits), next_limits_(limits) {}

  struct Step {
    std::size_t scanned = 0;     // bytes of the input that were looked at; never again
    std::size_t complete = 0;    // of these: up to the end of the last whole piece of markup or text
    bool boundary = false;       // the last byte scanned ended the header or a first-level element
    std::optional<Error> error;  // what is refused, behind the bytes scanned
  };

  // Scans as far as the end of the header or of the first-level element, or of `bytes`. Does not depend on
  // how the stream is cut into pieces. After an error the scanner is not to be used again.
  Step scan(std::string_view bytes);

  // From the next first-level element on.
  void raise_limits(const ParseLimits& limits) { next_limits_ = limits; }

  // The bounds of the next first-level element.
  const ParseLimits& next_limits() const { return next_limits_; }
  // A whole first-level element within them went past another way. Precondition: between_elements().
  void pass_element() { used_ = 0; }

  // True behind the header, between first-level elements.
  bool between_elements() const { return state_ == State::kBetween; }
  // Bytes of the header or first-level element that is not whole yet.
  std::size_t pending_bytes() const { return between_elements() || state_ == State::kEpilog ? 0 : used_; }

 private:
  enum class State : std::uint8_t {
    kProlog,       // before the header
    kBetween,      // behind the header, outside first-level elements
    kEpilog,       // behind the footer
    kText,         // inside a first-level element, outside markup
    kReference,    // behind `&`
    kMarkup,       // behind `<`
    kTag,          // in a tag, outside quotes
    kSingleQuote,  // in an attribute value
    kDoubleQuote,
    kDeclaration,  // behind `<?` at the very start
    kBang,         // behind `<!`
    kCdata,
  };

  // Each reads from the front of `slice`, which is not empty, and returns how many bytes it took; where it
  // took none it changed the state or refused.
  std::size_t advance(std::string_view slice);
  std::size_t in_prolog(std::string_view slice);
  std::size_t in_between(std::string_view slice);
  std::size_t in_text(std::string_view slice);
  std::size_t in_reference(std::string_view slice);
  std::size_t in_markup(std::string_view slice);
  std::size_t in_tag(std::string_view slice);
  std::size_t in_quotes(std::string_view slice, char quote);
  std::size_t in_declaration(std::string_view slice);
  std::size_t in_bang(std::string_view slice);
  std::size_t in_cdata(std::string_view slice);

  std::size_t refuse(Code code, std::size_t taken, std::string_view text = {});
  void open_tag();
  void close_tag(bool self_closing);
  // What may still come before the present bound is reached.
  std::size_t room() const;
  bool is_whole() const;

  ParseLimits limits_;
  ParseLimits next_limits_;
  State state_ = State::kProlog;
  std::size_t depth_ = 0;  // open elements, the stream included
  std::size_t used_ = 0;   // bytes of the present header, element or run of white space
  std::size_t attributes_ = 0;
  std::size_t children_ = 0;
  std::size_t matched_ = 0;  // bytes of a fixed word, a reference, or `]` in a row
  char last_ = 0;            // the byte before the slice
  bool end_tag_ = false;
  bool boundary_ = false;
  std::optional<Error> error_;
};

}  // namespace sallyport::xmpp
