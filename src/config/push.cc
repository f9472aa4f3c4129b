#include "config/push.h"

#include <utility>

#include "base/limits.h"
#include "config/delivery_config.h"

namespace sallyport::config {
namespace {

using policy::DomainPattern;
using policy::ListRow;
using policy::LocalName;
using policy::PeerRow;
using policy::RuleSet;

// Increase whenever the format changes: an edge rejects a push that it cannot read completely.
constexpr std::uint8_t kVersion = 1;
// The first version in which a [[peer]] row has `confirm` and `on_doubt`.
constexpr std::uint8_t kVersionConfirm = 2;
// The first version that has `lifetime_memory`.
constexpr std::uint8_t kVersionLifetime = 3;
// Encodes an absent optional enumerator.
constexpr std::uint8_t kAbsent = 0xff;

template <typename Enum>
std::uint8_t byte_of(Enum value) {
  return static_cast<std::uint8_t>(value);
}
template <typename Enum>
std::uint8_t byte_of(const std::optional<Enum>& value) {
  return value ? byte_of(*value) : kAbsent;
}

void append_head(Appender& out, const RuleSet& rules, std::uint8_t version) {
  out.u8(rules.enabled ? 1 : 0);
  out.u8(byte_of(rules.privacy));
  out.u8(byte_of(rules.authenticate));
  if (version >= kVersionLifetime) out.varint(static_cast<std::uint64_t>(rules.lifetime_memory.count()));
}

void append_row(Appender& out, const LocalName& row) {
  out.string(row.name.ascii());
  out.u8(row.is_alias ? 1 : 0);
}

void append_row(Appender& out, const ListRow& row) {
  out.string(row.domain.text());
  out.u8(row.allow ? 1 : 0);
  out.u8(byte_of(row.direction));
  out.u8(row.expires ? 1 : 0);
  if (row.expires) out.u64(static_cast<std::uint64_t>(row.expires->time_since_epoch().count()));
  out.varint(row.line);
}

void append_row(Appender& out, const xmpp::Domain& row) { out.string(row.ascii()); }

// A row that sets only `delivery` is sent as one that sets nothing: without it, a less specific row would
// apply on the edge and not on the core.
void append_peers(Appender& out, const std::vector<PeerRow>& rows, std::uint8_t version) {
  out.varint(rows.size());
  for (const PeerRow& row : rows) {
    out.string(row.domain.text());
    out.u8(byte_of(row.authenticate));
    out.u8(byte_of(row.tls));
    if (version >= kVersionConfirm) {
      out.u8(byte_of(row.confirm));
      out.u8(byte_of(row.on_doubt));
    }
    out.varint(row.line);
  }
}

// Written in the lowest version that has all that the rules set: an edge of an earlier release reads it.
std::uint8_t version_of(const RuleSet& rules) {
  if (rules.lifetime_memory != limits::kLifetimeMemory) return kVersionLifetime;
  const auto sets = [](const PeerRow& row) { return row.confirm || row.on_doubt; };
  return std::ranges::any_of(rules.peers, sets) ? kVersionConfirm : kVersion;
}

void append_row(Appender& out, const route::StaticRoute& row) {
  out.string(row.domain.ascii());
  out.string(row.address.text());
  out.u16(row.priority);
  out.u8(row.fallback_dns ? 1 : 0);
  out.varint(row.line);
}

void append_row(Appender& out, const CertificatePem& row) {
  out.varint(row.names.size());
  for (const auto& name : row.names) out.string(name);
  out.string(row.chain);
  out.string(row.key);
}

template <typename Row>
void append_rows(Appender& out, const std::vector<Row>& rows) {
  out.varint(rows.size());
  for (const auto& row : rows) append_row(out, row);
}

// The largest size of a row beside its strings: a few bytes, a time, and the lengths of the strings.
constexpr std::size_t kRowBytesMax = 48;

std::size_t string_bytes(const LocalName& row) { return row.name.ascii().size(); }
std::size_t string_bytes(const ListRow& row) { return row.domain.base().size(); }
std::size_t string_bytes(const xmpp::Domain& row) { return row.ascii().size(); }
std::size_t string_bytes(const PeerRow& row) { return row.domain.base().size(); }
std::size_t string_bytes(const route::StaticRoute& row) {
  return row.domain.ascii().size() + row.address.host.size();
}
std::size_t string_bytes(const CertificatePem& row) {
  std::size_t sum = row.chain.size() + row.key.size();
  for (const auto& name : row.names) sum += name.size() + kRowBytesMax;
  return sum;
}

template <typename Row>
std::size_t bytes_max(const std::vector<Row>& rows) {
  std::size_t sum = kRowBytesMax;
  for (const auto& row : rows) sum += kRowBytesMax + string_bytes(row);
  return sum;
}

std::size_t bytes_max(const PushView& push) {
  return 2 * kRowBytesMax + bytes_max(push.rules.local) + bytes_max(push.rules.lists) +
         bytes_max(push.rules.routed) + bytes_max(push.rules.peers) + bytes_max(push.routes) + kRowBytesMax +
         push.trusted_ca.size() + bytes_max(push.certificates);
}

// Reads fields with one check at the end: after the first error every field is empty.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : in_(bytes) {}

  bool good() const { return good_ && !in_.failed(); }
  bool at_end() const { return good_ && in_.at_end(); }

  std::uint8_t u8() { return take(in_.u8()); }
  std::uint16_t u16() { return take(in_.u16()); }
  std::uint64_t u64() { return take(in_.u64()); }
  std::string string() { return std::string(take(in_.string())); }
  std::uint32_t line() {
    const auto value = take(in_.varint());
    require(value <= UINT32_MAX);
    return static_cast<std::uint32_t>(value);
  }
  bool flag() { return up_to(1) == 1; }
  std::chrono::seconds lifetime() {
    const auto value = std::chrono::seconds(static_cast<std::int64_t>(take(in_.varint())));
    require(value >= kLifetimeMemoryLeast && value <= kLifetimeMemoryMost);
    return value;
  }
  template <typename Enum>
  Enum enumerator(Enum last) {
    return static_cast<Enum>(up_to(byte_of(last)));
  }
  template <typename Enum>
  std::optional<Enum> optional_enumerator(Enum last) {
    const auto value = u8();
    require(value == kAbsent || value <= byte_of(last));
    return value == kAbsent ? std::nullopt : std::optional(static_cast<Enum>(value));
  }

  // Reads a name, in its only written form. (The form is checked before the value is moved: the arguments of
  // a call are evaluated in any order.)
  std::optional<xmpp::Domain> domain() {
    const auto text = take(in_.string());
    auto parsed = xmpp::Domain::parse(text);
    const bool canonical = parsed && parsed->ascii() == text;
    return keep(std::move(parsed), canonical);
  }
  std::optional<DomainPattern> pattern() {
    const auto text = take(in_.string());
    auto parsed = DomainPattern::parse(text);
    const bool canonical = parsed && parsed->text() == text;
    return keep(std::move(parsed), canonical);
  }
  std::optional<route::HostPort> address() {
    const auto text = take(in_.string());
    auto parsed = route::HostPort::parse(text);
    const bool canonical = parsed && parsed->text() == text;
    return keep(std::move(parsed), canonical);
  }

  // Rows are read one by one: a false count costs nothing.
  template <typename Row>
  std::vector<Row> rows(std::size_t max, std::optional<Row> (*read)(Decoder&)) {
    std::vector<Row> rows;
    const auto count = take(in_.varint());
    require(count <= max);
    for (std::uint64_t i = 0; good() && i < count; ++i) {
      auto row = read(*this);
      if (row && good()) rows.push_back(*std::move(row));
    }
    return rows;
  }

 private:
  template <typename T>
  T take(std::optional<T> value) {
    require(value.has_value());
    return std::move(value).value_or(T());
  }
  template <typename T>
  std::optional<T> keep(Result<T> parsed, bool canonical) {
    require(canonical);
    return canonical ? std::optional(*std::move(parsed)) : std::nullopt;
  }
  std::uint8_t up_to(std::uint8_t last) {
    const auto value = u8();
    require(value <= last);
    return value;
  }
  void require(bool held) { good_ = good_ && held; }

  Cursor in_;
  bool good_ = true;
};

std::optional<LocalName> read_local(Decoder& in) {
  auto name = in.domain();
  const bool is_alias = in.flag();
  if (!name) return std::nullopt;
  return LocalName{*std::move(name), is_alias};
}

std::optional<ListRow> read_list_row(Decoder& in) {
  auto domain = in.pattern();
  if (!domain) return std::nullopt;
  ListRow row{.domain = *std::move(domain), .allow = in.flag()};
  row.direction = in.enumerator(policy::Direction::kBoth);
  if (in.flag()) row.expires = UnixTime(std::chrono::seconds(static_cast<std::int64_t>(in.u64())));
  row.line = in.line();
  return row;
}

std::optional<xmpp::Domain> read_domain(Decoder& in) { return in.domain(); }

template <std::uint8_t version>
std::optional<PeerRow> read_peer(Decoder& in) {
  auto domain = in.pattern();
  if (!domain) return std::nullopt;
  PeerRow row{.domain = *std::move(domain)};
  row.authenticate = in.optional_enumerator(policy::Authenticate::kDialback);
  row.tls = in.optional_enumerator(policy::TlsRule::kNone);
  if constexpr (version >= kVersionConfirm) {
    row.confirm = in.optional_enumerator(policy::Confirm::kNone);
    row.on_doubt = in.optional_enumerator(policy::OnDoubt::kAnswer);
  }
  row.line = in.line();
  return row;
}

std::optional<route::StaticRoute> read_route(Decoder& in) {
  auto domain = in.domain();
  auto address = in.address();
  if (!domain || !address) return std::nullopt;
  route::StaticRoute row{*std::move(domain), *std::move(address)};
  row.priority = in.u16();
  row.fallback_dns = in.flag();
  row.line = in.line();
  return row;
}

std::optional<std::string> read_string(Decoder& in) { return in.string(); }

std::optional<CertificatePem> read_certificate(Decoder& in) {
  CertificatePem row;
  row.names = in.rows<std::string>(limits::kCertificateNamesMax, read_string);
  row.chain = in.string();
  row.key = in.string();
  return row;
}

}  // namespace

std::string PushView::encode() const {
  std::string bytes;
  bytes.reserve(bytes_max(*this));
  Appender out(bytes);
  const std::uint8_t version = version_of(rules);
  out.u8(version);
  out.u64(generation);
  out.raw({reinterpret_cast<const char*>(policy_sha256.data()), policy_sha256.size()});
  append_head(out, rules, version);
  append_rows(out, rules.local);
  append_rows(out, rules.lists);
  append_rows(out, rules.routed);
  append_peers(out, rules.peers, version);
  append_rows(out, routes);
  out.string(trusted_ca);
  append_rows(out, certificates);
  return bytes;
}

Result<Push> Push::decode(std::string_view bytes) {
  if (bytes.size() > limits::kPushBytesMax) return Error{Code::kLinkFrame, "a push larger than the limit"};
  Decoder in(bytes);
  const std::uint8_t version = in.u8();
  if (version < kVersion || version > kVersionLifetime)
    return Error{Code::kLinkFrame, "a push of an unknown version"};
  Push push;
  push.generation = in.u64();
  for (auto& byte : push.policy_sha256) byte = in.u8();
  push.rules.enabled = in.flag();
  push.rules.privacy = in.enumerator(policy::Privacy::kOff);
  push.rules.authenticate = in.enumerator(policy::Authenticate::kDialback);
  if (version >= kVersionLifetime) push.rules.lifetime_memory = in.lifetime();
  push.rules.local = in.rows<LocalName>(limits::kPolicyRowsMax, read_local);
  push.rules.lists = in.rows<ListRow>(limits::kPolicyRowsMax, read_list_row);
  push.rules.routed = in.rows<xmpp::Domain>(limits::kPolicyRowsMax, read_domain);
  push.rules.peers = in.rows<PeerRow>(
      limits::kPolicyRowsMax, version >= kVersionConfirm ? read_peer<kVersionConfirm> : read_peer<kVersion>);
  push.routes = in.rows<route::StaticRoute>(limits::kPolicyRowsMax, read_route);
  push.trusted_ca = in.string();
  push.certificates = in.rows<CertificatePem>(limits::kCertificatesMax, read_certificate);
  if (!in.at_end() || version != version_of(push.rules))
    return Error{Code::kLinkFrame, "a push that is truncated or not in the form of its version"};
  return push;
}

}  // namespace sallyport::config
