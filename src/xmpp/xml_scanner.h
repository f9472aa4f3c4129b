// Finds where markup begins and ends, byte by byte, in front of the XML parser.
//
// The parser validates XML; the scanner bounds the parser's input and keeps its cost linear (THREATS A1, A6,
// A7). It enforces every limit of ParseLimits, rejects the start of a comment, processing instruction or DTD
// before the parser sees it, and passes on only whole tags, so that no tag is tokenised twice, however small
// the pieces of the input are. It may misread ill-formed input, but only after the place where the parser
// will reject it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace sallyport::xmpp {

// The limits of one phase of a stream.
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
    std::size_t scanned = 0;     // bytes of the input that were scanned; never again
    std::size_t complete = 0;    // the part of these that ends with a whole piece of markup or text
    bool boundary = false;       // the last byte scanned ended the header or a first-level element
    std::optional<Error> error;  // the reason to reject the byte after those scanned
  };

  // Scans up to the end of the header, of the first-level element, or of `bytes`. The result does not depend
  // on how the stream is split. After an error the scanner must not be used again.
  Step scan(std::string_view bytes);

  // Takes effect with the next first-level element.
  void raise_limits(const ParseLimits& limits) { next_limits_ = limits; }

  // The limits of the next first-level element.
  const ParseLimits& next_limits() const { return next_limits_; }
  // Records a whole first-level element within them that did not pass through here. Precondition:
  // between_elements().
  void pass_element() { used_ = 0; }

  // Returns true after the header, between first-level elements.
  bool between_elements() const { return state_ == State::kBetween; }
  // Returns the bytes of an incomplete header or first-level element.
  std::size_t pending_bytes() const { return between_elements() || state_ == State::kEpilog ? 0 : used_; }

 private:
  enum class State : std::uint8_t {
    kProlog,       // before the header
    kBetween,      // after the header, outside first-level elements
    kEpilog,       // after the footer
    kText,         // inside a first-level element, outside markup
    kReference,    // after `&`
    kMarkup,       // after `<`
    kTag,          // in a tag, outside quotes
    kSingleQuote,  // in an attribute value
    kDoubleQuote,
    kDeclaration,  // after `<?` at the very start
    kBang,         // after `<!`
    kCdata,
  };

  // Each reads from the front of `slice`, which is not empty, and returns how many bytes it took; if it took
  // none, it changed the state or rejected the input.
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
  // Returns the bytes left until the current limit is reached.
  std::size_t room() const;
  bool is_whole() const;

  ParseLimits limits_;
  ParseLimits next_limits_;
  State state_ = State::kProlog;
  std::size_t depth_ = 0;  // open elements, the stream included
  std::size_t used_ = 0;   // bytes of the current header, element or run of white space
  std::size_t attributes_ = 0;
  std::size_t children_ = 0;
  std::size_t matched_ = 0;  // bytes of a fixed word, a reference, or `]` in a row
  char last_ = 0;            // the byte before the slice
  bool end_tag_ = false;
  bool boundary_ = false;
  std::optional<Error> error_;
};

}  // namespace sallyport::xmpp
