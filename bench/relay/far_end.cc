#include "far_end.h"

#include <algorithm>

#include <valgrind/callgrind.h>

namespace bench {
namespace {

std::string attribute(std::string_view tag, const std::string& name) {
  std::size_t at = tag.find(" " + name + "=");
  if (at == std::string_view::npos) return {};
  at += name.size() + 2;
  return std::string(tag.substr(at + 1, tag.find(tag[at], at + 1) - at - 1));
}

}  // namespace

FarEnd::FarEnd(std::string own, std::string other)
    : accepting_(false), own_(std::move(own)), other_(std::move(other)) {
  say_header();
}

void FarEnd::say_header() {
  out_ +=
      "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
      "xmlns='jabber:server' xmlns:db='jabber:server:dialback' from='" +
      own_ + "' to='" + other_ + "' version='1.0'" + (accepting_ ? " id='b3nchb3nch'>" : ">");
}

bool FarEnd::passed(std::string_view word) {
  std::size_t at = heard_.find(word);
  if (at == std::string::npos) return false;
  heard_.erase(0, heard_.find('>', at) + 1);
  return true;
}

void FarEnd::secured() {
  secure_ = true;
  heard_.clear();
  if (!accepting_) say_header();
}

void FarEnd::hear(std::string_view bytes) {
  if (ready_) {
    marks_.scan(bytes, [this](std::uint32_t, std::uint32_t) { ++stanzas_; });
    acknowledge(bytes);
    return;
  }
  heard_ += bytes;
  answer();
}

// Stream management (XEP-0198). `<enable/>` and `<r/>` may come in two parts.
void FarEnd::acknowledge(std::string_view bytes) {
  if (!accepting_) return;
  CALLGRIND_TOGGLE_COLLECT;  // the peer's work, not the nodes'
  constexpr std::string_view kEnable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
                             kAsk = "<r xmlns='urn:xmpp:sm:3'/>";
  heard_ += bytes.substr(bytes.size() - std::min(bytes.size(), kEnable.size()));
  if (bytes.find(kEnable) != bytes.npos || passed(kEnable)) out_ += "<enabled xmlns='urn:xmpp:sm:3'/>";
  if (bytes.find(kAsk) != bytes.npos || passed(kAsk))
    out_ += "<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(stanzas_) + "'/>";
  heard_.erase(0, heard_.size() - std::min(heard_.size(), kEnable.size()));
  CALLGRIND_TOGGLE_COLLECT;
}

void FarEnd::answer() {
  if (!accepting_) {
    if (passed("<success")) {
      authenticated_ = true;
      say_header();
    }
    std::size_t features = heard_.find("</stream:features>");
    if (features == std::string::npos) features = heard_.find("<stream:features/>");
    if (features == std::string::npos) return;
    heard_.erase(0, features + 18);
    ready_ = authenticated_;
    if (!ready_ && !secure_) out_ += "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    if (!ready_ && secure_)
      out_ += "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    return;
  }
  if (std::size_t begin = heard_.find("<stream:stream");
      begin != std::string::npos && heard_.find('>', begin) != std::string::npos) {
    std::string tag = heard_.substr(begin, heard_.find('>', begin) - begin);
    own_ = attribute(tag, "to");
    other_ = attribute(tag, "from");
    heard_.erase(0, begin + tag.size() + 1);
    say_header();
    if (!secure_)
      out_ += "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
    if (secure_ && !authenticated_)
      out_ +=
          "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL"
          "</mechanism></mechanisms></stream:features>";
    if (authenticated_) out_ += "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
    ready_ = authenticated_;
  }
  if (!secure_ && passed("<starttls")) out_ += "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
  if (passed("</auth")) {
    out_ += "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    authenticated_ = true;
  }
}

}  // namespace bench
