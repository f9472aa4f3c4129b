#include "dns/answer.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::dns {
namespace {

constexpr std::uint16_t kClassIn = 1;

std::uint16_t number(RecordType type) { return static_cast<std::uint16_t>(type); }

// RFC 6891 6.1.1: an OPT is answered with an OPT; RFC 3225 3: DO is copied.
Record opt(const Edns& asked, std::uint8_t extended_rcode) {
  const std::uint32_t flags =
      (static_cast<std::uint32_t>(extended_rcode) << 24) | (asked.dnssec_ok ? 0x8000U : 0U);
  return {Name(), number(RecordType::kOpt), limits::kDnsDatagramBytesMax, flags, {}};
}

Message response(const Message& query, Rcode code) {
  Message out;
  out.id = query.id;
  out.flags =
      static_cast<std::uint16_t>(kResponse | kRecursionAvailable | static_cast<std::uint16_t>(code) |
                                 (query.flags & (kOpcodeMask | kRecursionDesired | kCheckingDisabled)));
  out.questions = query.questions;
  return out;
}

// Precondition: `name` is one of the core's own names, which are valid domains.
std::string wire(std::string_view name) { return Name::parse(name)->wire(); }

void add_srv(Message& out, const Name& owner, const Answering& answering) {
  std::string rdata;
  Appender to(rdata);
  to.u16(0);
  to.u16(0);
  to.u16(answering.s2s_port);
  to.raw(wire(answering.core_name.ascii()));
  out.answers.push_back({owner, number(RecordType::kSrv), kClassIn, kAnswerTtlSeconds, std::move(rdata)});
}

void add_addresses(Message& out, const Name& owner, RecordType type, const std::vector<Ip>& ips) {
  for (const auto& ip : ips) {
    if (ip.is_v4() != (type == RecordType::kA)) continue;
    const std::string rdata(ip.bytes.begin() + (ip.is_v4() ? 12 : 0), ip.bytes.end());
    out.answers.push_back({owner, number(type), kClassIn, kAnswerTtlSeconds, rdata});
  }
}

// RFC 2308 2.2: "no such record" is cached as long as the SOA beside it says. The SOA is the asked name's
// own, so that it does not affect other names.
void add_soa(Message& out, const Name& owner, const Answering& answering) {
  std::string rdata;
  Appender to(rdata);
  const auto core = wire(answering.core_name.ascii());
  to.raw(core);
  to.raw(core);
  to.u32(1);
  for (int i = 0; i < 4; ++i) to.u32(kAnswerTtlSeconds);
  out.authority.push_back({owner, number(RecordType::kSoa), kClassIn, kAnswerTtlSeconds, std::move(rdata)});
}

enum class Decision { kUpstream, kServer, kNothing, kAddresses };

bool is_core_for(std::string_view name, const Answering& answering) {
  const auto domain = xmpp::Domain::parse(name);
  return domain && answering.kind(*domain) != NameKind::kInternal;
}

Decision decide(const Question& question, const Answering& answering) {
  if (question.class_ != kClassIn) return Decision::kUpstream;
  std::string name = question.name.text();
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (question.type == number(RecordType::kSrv)) {
    for (const auto service : {kStartTlsService, kDirectTlsService}) {
      if (!name.starts_with(service)) continue;
      if (!is_core_for(std::string_view(name).substr(service.size()), answering)) return Decision::kUpstream;
      return service == kStartTlsService ? Decision::kServer : Decision::kNothing;
    }
    return Decision::kUpstream;
  }
  const bool is_address =
      question.type == number(RecordType::kA) || question.type == number(RecordType::kAaaa);
  const bool is_core = name == answering.core_name.ascii() && !answering.addresses.empty();
  return is_address && is_core ? Decision::kAddresses : Decision::kUpstream;
}

}  // namespace

std::optional<Message> answer(const Message& query, const Answering& answering) {
  if ((query.flags & kResponse) != 0) return std::nullopt;
  if ((query.flags & kOpcodeMask) != 0) return response(query, Rcode::kNotImp);
  const auto edns = edns_of(query);
  if (!edns || query.questions.size() != 1) return response(query, Rcode::kFormErr);
  if (*edns && (*edns)->version != 0) {
    // RFC 6891 6.1.3: BADVERS is 16, whose upper bits are in OPT.
    auto out = response(query, Rcode::kNoError);
    out.additional.push_back(opt(**edns, 1));
    return out;
  }
  const auto& question = query.questions.front();
  const auto decision = decide(question, answering);
  if (decision == Decision::kUpstream) return std::nullopt;

  auto out = response(query, Rcode::kNoError);
  if (decision == Decision::kServer) add_srv(out, question.name, answering);
  if (decision == Decision::kAddresses) {
    add_addresses(out, question.name, static_cast<RecordType>(question.type), answering.addresses);
  }
  if (out.answers.empty()) add_soa(out, question.name, answering);
  if (*edns) out.additional.push_back(opt(**edns, 0));
  return out;
}

Message refusal(const Head& query, Rcode code) {
  Message asked;
  asked.id = query.id;
  asked.flags = query.flags;
  if (query.question) asked.questions.push_back(*query.question);
  return response(asked, code);
}

std::string build_datagram(const Message& message, std::size_t bytes_max) {
  auto bytes = message.build();
  if (bytes.size() <= bytes_max) return bytes;
  Message cut = message;
  cut.flags |= kTruncated;
  cut.answers.clear();
  cut.authority.clear();
  return cut.build();
}

}  // namespace sallyport::dns
