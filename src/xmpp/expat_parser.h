// Expat, configured for XMPP: UTF-8 only, namespaces resolved, and everything rejected that RFC 6120 11
// forbids. Its input comes from XmlScanner, which bounds it.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

struct XML_ParserStruct;

namespace sallyport::xmpp {

// A name with its namespace resolved. Views are valid during the callback.
struct QNameView {
  std::string_view space;  // empty for none
  std::string_view local;
  bool is(std::string_view s, std::string_view l) const { return space == s && local == l; }
};

// The attributes of one start tag, without namespace declarations, in the order received.
class AttributesView {
 public:
  explicit AttributesView(const char** pairs) : pairs_(pairs) {}
  struct Item {
    QNameView name;
    std::string_view value;
  };
  class Iterator {
   public:
    explicit Iterator(const char** at) : at_(at) {}
    Item operator*() const;
    Iterator& operator++() {
      at_ += 2;
      return *this;
    }
    // A null pointer ends Expat's array.
    bool operator!=(std::nullptr_t) const { return *at_ != nullptr; }

   private:
    const char** at_;
  };
  Iterator begin() const { return Iterator(pairs_); }
  std::nullptr_t end() const { return nullptr; }

 private:
  const char** pairs_;
};

// Receives the parser's events in document order.
class XmlHandler {
 public:
  virtual ~XmlHandler() = default;
  // Called before handle_start of the element with the declaration. An empty prefix is the default namespace.
  virtual void handle_namespace(std::string_view prefix, std::string_view space) = 0;
  virtual void handle_start(QNameView name, AttributesView attributes) = 0;
  virtual void handle_end(QNameView name) = 0;
  // `text` is never empty; one run of text may arrive in several calls.
  virtual void handle_text(std::string_view text) = 0;
};

class ExpatParser {
 public:
  // `handler` outlives the parser.
  explicit ExpatParser(XmlHandler& handler);
  ~ExpatParser();
  ExpatParser(const ExpatParser&) = delete;
  ExpatParser& operator=(const ExpatParser&) = delete;

  // Calls the handler for everything that `bytes` complete. After an error the parser must not be used again.
  // Errors: kXml*; the handler's error.
  Result<void> parse(std::string_view bytes);

  // For the handler: stops the parser with this error.
  void stop(Error error);
  bool stopped() const { return error_.has_value(); }

 private:
  struct Callbacks;
  struct Free {
    void operator()(XML_ParserStruct* parser) const;
  };
  void set_up();

  XmlHandler& handler_;
  std::unique_ptr<XML_ParserStruct, Free> parser_;
  std::optional<Error> error_;
};

}  // namespace sallyport::xmpp
