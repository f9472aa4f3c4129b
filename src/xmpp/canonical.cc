#include "xmpp/canonical.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "xmpp/xml.h"

namespace sallyport::xmpp {
namespace {

bool is_written_first(QNameView name) {
  if (name.space == ns::kXml) return name.local == "lang";
  if (!name.space.empty()) return false;
  return name.local == "from" || name.local == "to" || name.local == "id" || name.local == "type";
}

bool needs_prefix(QNameView name) { return !name.space.empty() && name.space != ns::kXml; }

}  // namespace

void CanonicalWriter::begin(std::string_view local) {
  out_.clear();
  if (spaces_.empty()) spaces_.emplace_back();
  spaces_[0] = ns::kServer;
  depth_ = 1;
  tag_open_ = true;
  out_.append("<").append(local);
}

void CanonicalWriter::attribute(std::string_view name, std::string_view value) {
  out_.append(" ").append(name).append("='");
  append_escaped_attribute(out_, value);
  out_.push_back('\'');
}

void CanonicalWriter::declare(std::string_view prefix, std::string_view space) {
  out_.append(prefix.empty() ? " xmlns" : " xmlns:").append(prefix).append("='");
  append_escaped_attribute(out_, space);
  out_.push_back('\'');
}

void CanonicalWriter::rest_of_root(AttributesView attributes) { write_attributes(attributes, true); }

void CanonicalWriter::write_attributes(AttributesView attributes, bool root) {
  // Namespaced attributes other than xml:* are rare: this allocates for each element.
  std::vector<std::string_view> spaces;
  const auto number = [&](std::string_view space) {
    return std::ranges::find(spaces, space) - spaces.begin() + 1;
  };
  for (const auto [name, value] : attributes) {
    if (!needs_prefix(name) || std::ranges::find(spaces, name.space) != spaces.end()) continue;
    spaces.push_back(name.space);
    declare(fmt::format("ns{}", spaces.size()), name.space);
  }
  for (const auto [name, value] : attributes) {
    if (root && is_written_first(name)) continue;
    out_.push_back(' ');
    if (needs_prefix(name)) {
      fmt::format_to(std::back_inserter(out_), "ns{}:", number(name.space));
    } else if (!name.space.empty()) {
      out_.append("xml:");
    }
    out_.append(name.local).append("='");
    append_escaped_attribute(out_, value);
    out_.push_back('\'');
  }
}

void CanonicalWriter::close_open_tag() {
  if (tag_open_) out_.push_back('>');
  tag_open_ = false;
}

void CanonicalWriter::start(QNameView name, AttributesView attributes) {
  close_open_tag();
  if (spaces_.size() == depth_) spaces_.emplace_back();
  if (name.space == ns::kXml) {
    // The prefix xml is bound for ever, never a default namespace (Namespaces in XML 1.0, 3).
    out_.append("<xml:").append(name.local);
    spaces_[depth_] = spaces_[depth_ - 1];
  } else {
    out_.append("<").append(name.local);
    if (spaces_[depth_ - 1] != name.space) declare({}, name.space);
    spaces_[depth_] = name.space;
  }
  ++depth_;
  write_attributes(attributes, false);
  tag_open_ = true;
}

void CanonicalWriter::end(QNameView name) {
  --depth_;
  if (tag_open_) {
    out_.append("/>");
    tag_open_ = false;
    return;
  }
  out_.append(name.space == ns::kXml ? "</xml:" : "</").append(name.local).append(">");
}

void CanonicalWriter::text(std::string_view text) {
  close_open_tag();
  append_escaped_text(out_, text);
}

}  // namespace sallyport::xmpp
