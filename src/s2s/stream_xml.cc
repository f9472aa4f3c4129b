#include "s2s/stream_xml.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::s2s {
namespace {

void append_attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(" ").append(name).append("='");
  xmpp::append_escaped_attribute(out, value);
  out.append("'");
}

}  // namespace

std::string stream_header_xml(const HeaderFields& fields) {
  std::string out =
      fmt::format("<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' xmlns:db='{}'",
                  xmpp::ns::kServer, xmpp::ns::kStreams, xmpp::ns::kDialback);
  append_attribute(out, "from", fields.from);
  if (!fields.to.empty()) append_attribute(out, "to", fields.to);
  if (!fields.id.empty()) append_attribute(out, "id", fields.id);
  if (!fields.lang.empty()) append_attribute(out, "xml:lang", fields.lang);
  out.append(" version='1.0'>");
  return out;
}

std::string stream_error_xml(const Error& error) {
  const CodeRow& row = code_row(error.code);
  // RFC 6120 4.9.3.21: what has no condition of its own.
  const std::string_view condition =
      row.stream_condition.empty() ? std::string_view("undefined-condition") : row.stream_condition;
  std::string out = fmt::format("<stream:error><{0} xmlns='{1}'/><text xmlns='{1}' xml:lang='en'>", condition,
                                xmpp::ns::kStreamErrors);
  xmpp::append_escaped_text(out, row.sentence);
  out.append("</text></stream:error>");
  return out;
}

std::string ping_xml(const xmpp::Pair& pair, std::string_view id) {
  return fmt::format("<iq type='get' from='{}' to='{}' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
                     pair.local.ascii(), pair.remote.ascii(), id);
}

bool is_version_supported(std::string_view version) {
  const std::size_t dot = version.find('.');
  if (dot == std::string_view::npos) return false;
  const auto number = [](std::string_view digits) -> std::optional<unsigned> {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const auto major = number(version.substr(0, dot));
  return major && *major >= 1 && number(version.substr(dot + 1));
}

std::string bounded(std::string_view text) {
  if (text.size() <= limits::kShownBytesMax) return std::string(text);
  std::size_t size = limits::kShownBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size));
}

std::string peer_condition(const xmpp::Element& element, std::string_view space) {
  std::string condition;
  for (const xmpp::Element& child : element.children) {
    if (child.name.space != space || child.name.local == "text") continue;
    condition = child.name.local;
    break;
  }
  const xmpp::Element* text = element.child(space, "text");
  if (text != nullptr && !text->text.empty()) condition.append(": ").append(text->text);
  return bounded(condition);
}

}  // namespace sallyport::s2s
