// Writes a stanza in its one canonical form (docs/canonical-form.md), element by element in document order,
// into one buffer that is reused for the next stanza.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "xmpp/expat_parser.h"

namespace sallyport::xmpp {

class CanonicalWriter {
 public:
  // Starts a new stanza with its root tag, in jabber:server. Call `attribute` next for the addressing
  // attributes (from, to, id, type, xml:lang), in this order, and then `rest_of_root` with all attributes,
  // which skips those.
  void begin(std::string_view local);
  void attribute(std::string_view name, std::string_view value);
  void rest_of_root(AttributesView attributes);

  // Elements inside the stanza, and the stanza's own end tag.
  void start(QNameView name, AttributesView attributes);
  void end(QNameView name);
  void text(std::string_view text);

  // Returns the output so far; complete after the stanza's end tag. Valid until the next call.
  const std::string& xml() const { return out_; }

 private:
  void close_open_tag();
  void declare(std::string_view prefix, std::string_view space);
  void write_attributes(AttributesView attributes, bool root);

  std::string out_;
  // Default namespaces of the open elements: entries up to depth_ are in use, the others keep their memory.
  std::vector<std::string> spaces_;
  std::size_t depth_ = 0;
  bool tag_open_ = false;  // `>` is not yet written
};

}  // namespace sallyport::xmpp
