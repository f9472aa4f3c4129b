#include "xmpp/expat_parser.h"

#include <expat.h>

#include <algorithm>
#include <new>
#include <string>

// See xmpp/expat_version.h: the program does not start with a library that lacks it.
#pragma weak XML_SetReparseDeferralEnabled

namespace sallyport::xmpp {
namespace {

// Separates namespace and local name in Expat's strings. It cannot occur in an XML document, so that no
// namespace name can end early (THREATS A4).
constexpr char kSeparator = '\x01';
constexpr const char* kEncoding = "UTF-8";

QNameView split(const char* joined) {
  const std::string_view text(joined);
  const auto at = text.find(kSeparator);
  if (at == std::string_view::npos) return {{}, text};
  return {text.substr(0, at), text.substr(at + 1)};
}

bool is_utf8(std::string_view name) {
  return std::ranges::equal(name, std::string_view("utf-8"), {},
                            [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
}

Code code_of(XML_Error error) {
  switch (error) {
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_RECURSIVE_ENTITY_REF:
    case XML_ERROR_EXTERNAL_ENTITY_HANDLING:
    case XML_ERROR_ENTITY_DECLARED_IN_PE:
    case XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
      return Code::kXmlRestricted;
    case XML_ERROR_UNKNOWN_ENCODING:
    case XML_ERROR_INCORRECT_ENCODING:
      return Code::kXmlEncoding;
    case XML_ERROR_NO_MEMORY:
      return Code::kInternal;
    default:
      return Code::kXmlNotWellFormed;
  }
}

}  // namespace

AttributesView::Item AttributesView::Iterator::operator*() const { return {split(at_[0]), at_[1]}; }

// After a stop Expat still reports the end of an empty element; it is ignored.
struct ExpatParser::Callbacks {
  static ExpatParser& self(void* data) { return *static_cast<ExpatParser*>(data); }

  static void start(void* data, const XML_Char* name, const XML_Char** attributes) {
    if (!self(data).stopped()) self(data).handler_.handle_start(split(name), AttributesView(attributes));
  }
  static void end(void* data, const XML_Char* name) {
    if (!self(data).stopped()) self(data).handler_.handle_end(split(name));
  }
  static void text(void* data, const XML_Char* text, int size) {
    if (!self(data).stopped()) self(data).handler_.handle_text({text, static_cast<std::size_t>(size)});
  }
  static void space(void* data, const XML_Char* prefix, const XML_Char* uri) {
    if (self(data).stopped()) return;
    self(data).handler_.handle_namespace(prefix == nullptr ? "" : prefix, uri == nullptr ? "" : uri);
  }
  static void declaration(void* data, const XML_Char* version, const XML_Char* encoding, int /*standalone*/) {
    // Without a version this is the declaration of an external entity, not of a document.
    if (version == nullptr || std::string_view(version) != "1.0") {
      self(data).stop({Code::kXmlVersion, {}});
    } else if (encoding != nullptr && !is_utf8(encoding)) {
      self(data).stop({Code::kXmlEncoding, encoding});
    }
  }
  // RFC 6120 11.1. XmlScanner rejects all of these before they arrive; this is a second barrier.
  static void restricted(void* data, std::string_view what) {
    self(data).stop({Code::kXmlRestricted, std::string(what)});
  }
  static void doctype(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    restricted(data, "a DTD");
  }
  static void comment(void* data, const XML_Char*) { restricted(data, "a comment"); }
  static void instruction(void* data, const XML_Char*, const XML_Char*) {
    restricted(data, "a processing instruction");
  }
  static void entity(void* data, const XML_Char*, int, const XML_Char*, int, const XML_Char*, const XML_Char*,
                     const XML_Char*, const XML_Char*) {
    restricted(data, "an entity declaration");
  }
  static void skipped(void* data, const XML_Char*, int) { restricted(data, "an entity reference"); }
  static int external(XML_Parser parser, const XML_Char*, const XML_Char*, const XML_Char*, const XML_Char*) {
    restricted(XML_GetUserData(parser), "an external entity");
    return XML_STATUS_ERROR;
  }
};

void ExpatParser::Free::operator()(XML_ParserStruct* parser) const { XML_ParserFree(parser); }

ExpatParser::ExpatParser(XmlHandler& handler)
    : handler_(handler), parser_(XML_ParserCreateNS(kEncoding, kSeparator)) {
  if (!parser_) throw std::bad_alloc();
  set_up();
}

ExpatParser::~ExpatParser() = default;

void ExpatParser::set_up() {
  XML_Parser p = parser_.get();
  XML_SetUserData(p, this);
  XML_SetElementHandler(p, Callbacks::start, Callbacks::end);
  XML_SetCharacterDataHandler(p, Callbacks::text);
  XML_SetStartNamespaceDeclHandler(p, Callbacks::space);
  XML_SetXmlDeclHandler(p, Callbacks::declaration);
  XML_SetStartDoctypeDeclHandler(p, Callbacks::doctype);
  XML_SetCommentHandler(p, Callbacks::comment);
  XML_SetProcessingInstructionHandler(p, Callbacks::instruction);
  XML_SetEntityDeclHandler(p, Callbacks::entity);
  XML_SetSkippedEntityHandler(p, Callbacks::skipped);
  XML_SetExternalEntityRefHandler(p, Callbacks::external);
  // Events come with the last of their bytes. The attack that deferral prevents (CVE-2023-52425) is
  // impossible: only whole tags arrive here.
  if (XML_SetReparseDeferralEnabled != nullptr) XML_SetReparseDeferralEnabled(p, XML_FALSE);
}

Result<void> ExpatParser::parse(std::string_view bytes) {
  if (bytes.empty()) return {};
  const auto status = XML_Parse(parser_.get(), bytes.data(), static_cast<int>(bytes.size()), XML_FALSE);
  if (status == XML_STATUS_OK) return {};
  if (!error_) {
    const auto error = XML_GetErrorCode(parser_.get());
    error_ = Error{code_of(error), XML_ErrorString(error)};
  }
  return *error_;
}

void ExpatParser::stop(Error error) {
  if (error_) return;
  error_ = std::move(error);
  XML_StopParser(parser_.get(), XML_FALSE);
}

}  // namespace sallyport::xmpp
