// DNS messages and the records of answers: a parsed message is written and parsed again as the same; the
// answering resolver never sends a malformed message, or one larger than a datagram.
#include <string>

#include "dns/answer.h"
#include "dns/message.h"
#include "dns/records.h"
#include "property.h"

using namespace sallyport;

namespace {

void records(std::string_view bytes) {
  if (const auto srv = dns::parse_srv(bytes)) {
    // An accepted host name is one list of labels: no byte in it can end or split a label.
    const auto name = dns::Name::parse(srv->target);
    fuzz::require(name.has_value(), "an SRV target is a name");
    fuzz::require(name->text() == srv->target, "an SRV target needs no escapes");
    const auto again = dns::parse_srv(std::string(bytes.substr(0, 6)) + name->wire());
    fuzz::require(again.has_value() && *again == *srv, "an SRV record is read again as the same");
  }
  for (const auto type : {dns::RecordType::kA, dns::RecordType::kAaaa}) {
    if (const auto ip = dns::parse_address(type, bytes)) {
      fuzz::require(dns::Ip::parse(ip->text()) == *ip, "an address is its text");
    }
  }
}

void message(std::string_view bytes) {
  const auto read = dns::Message::parse(bytes);
  const auto head = dns::parse_head(bytes);
  if (!read) return;
  fuzz::require(head.has_value(), "a message has a head");
  const auto built = read->build();
  // Compressed names are written in full, which may exceed the size of a message.
  const auto again = dns::Message::parse(built);
  fuzz::require(built.size() > 65'535 || (again.has_value() && *again == *read), "parse(build(x)) == x");

  const dns::Answering answering{*xmpp::Domain::parse("core.corp.example"),
                                 5269,
                                 {*dns::Ip::parse("10.0.0.5")},
                                 [](const xmpp::Domain&) { return dns::NameKind::kExternal; }};
  const auto answer = dns::answer(*read, answering);
  if (!answer || read->questions.size() > 1) return;
  const auto datagram = dns::build_datagram(*answer, 512);
  fuzz::require(datagram.size() <= 512, "a datagram fits");
  const auto sent = dns::Message::parse(datagram);
  fuzz::require(sent.has_value() && sent->id == read->id, "an answer can be read");
  fuzz::require(sent->questions == read->questions, "an answer has the question");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::text_of(data, size);
  message(bytes);
  records(bytes);
  return 0;
}
