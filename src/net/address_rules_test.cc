#include "net/address_rules.h"

namespace sallyport::net {
namespace {

dns::SocketAddress at(const char* ip, std::uint16_t port = 5269) { return {*dns::Ip::parse(ip), port}; }

config::Network network(const char* ip, std::uint8_t prefix) { return {dns::Ip::parse(ip)->bytes, prefix}; }

const std::vector<dns::Ip> kMachine{*dns::Ip::parse("203.0.113.5"), *dns::Ip::parse("2001:db8::5")};

std::string said(const AddressRules& rules, const char* ip, std::uint16_t port = 5269, bool trusted = false) {
  const bool written_as_v6 = std::string_view(ip).find(':') != std::string_view::npos;
  const auto ok = rules.check(at(ip, port), written_as_v6, trusted, kMachine);
  return ok ? "ok" : std::string(code_row(ok.error().code).name);
}

TEST(AddressRules, a_special_address_is_refused_unless_trusted_or_allowed) {
  struct Row {
    const char* ip;
    const char* from_dns;
    const char* trusted;
    const char* allowed;  // 10.0.0.0/8 and fd00::/8
  };
  const Row rows[] = {
      {"192.0.2.1", "ok", "ok", "ok"},
      {"2001:db8::1", "ok", "ok", "ok"},
      {"10.1.2.3", "dial.address", "ok", "ok"},
      {"192.168.1.1", "dial.address", "ok", "dial.address"},
      {"127.0.0.1", "dial.address", "ok", "dial.address"},
      {"169.254.169.254", "dial.address", "ok", "dial.address"},
      {"100.64.0.1", "dial.address", "ok", "dial.address"},
      {"::1", "dial.address", "ok", "dial.address"},
      {"fd00::1", "dial.address", "ok", "ok"},
      {"fe80::1", "dial.address", "ok", "dial.address"},
      {"::ffff:192.0.2.1", "dial.address", "ok", "dial.address"},
      {"64:ff9b::a00:1", "dial.address", "ok", "dial.address"},
      {"0.0.0.0", "dial.address", "dial.address", "dial.address"},
      {"::", "dial.address", "dial.address", "dial.address"},
      {"224.0.0.1", "dial.address", "dial.address", "dial.address"},
      {"ff02::1", "dial.address", "dial.address", "dial.address"},
  };
  const AddressRules strict({});
  const AddressRules allowing({network("10.0.0.0", 104), network("fd00::", 8)});
  for (const auto& row : rows) {
    EXPECT_EQ(said(strict, row.ip), row.from_dns) << row.ip;
    EXPECT_EQ(said(strict, row.ip, 5269, true), row.trusted) << row.ip;
    EXPECT_EQ(said(allowing, row.ip), row.allowed) << row.ip;
  }
}

TEST(AddressRules, a_refused_network_is_refused_though_it_is_global_or_allowed) {
  struct Row {
    const char* ip;
    const char* from_dns;
    const char* trusted;
  };
  const Row rows[] = {
      {"2a00:1:2:3::a00:1", "dial.address", "ok"},  // 10.0.0.1 behind the network's own NAT64
      {"2a00:1:2:3::", "dial.address", "ok"},      {"2a00:1:2:3::ffff:ffff", "dial.address", "ok"},
      {"2a00:1:2:3::1:0:0", "ok", "ok"},           {"2a00:1:2:2:ffff:ffff:ffff:ffff", "ok", "ok"},
      {"198.51.100.7", "dial.address", "ok"},      {"198.51.101.7", "ok", "ok"},
      {"10.1.2.3", "dial.address", "ok"},          {"10.2.2.3", "ok", "ok"},
  };
  const AddressRules rules(
      {network("10.0.0.0", 104)},
      {network("2a00:1:2:3::", 96), network("198.51.100.0", 120), network("10.1.0.0", 112)});
  for (const auto& row : rows) {
    EXPECT_EQ(said(rules, row.ip), row.from_dns) << row.ip;
    EXPECT_EQ(said(rules, row.ip, 5269, true), row.trusted) << row.ip;
  }
}

TEST(AddressRules, own_listeners_are_never_dialled) {
  struct Row {
    const char* own;
    const char* ip;
    std::uint16_t port;
    const char* expected;
  };
  const Row rows[] = {
      {"203.0.113.5", "203.0.113.5", 5269, "dial.own"},
      {"203.0.113.5", "203.0.113.5", 5270, "ok"},
      {"203.0.113.5", "203.0.113.6", 5269, "ok"},
      {"203.0.113.5", "127.0.0.1", 5269, "ok"},
      {"203.0.113.5", "0.0.0.0", 5269, "dial.own"},
      {"0.0.0.0", "203.0.113.5", 5269, "dial.own"},
      {"0.0.0.0", "2001:db8::5", 5269, "dial.own"},
      {"0.0.0.0", "127.0.0.1", 5269, "dial.own"},
      {"0.0.0.0", "127.8.8.8", 5269, "dial.own"},
      {"0.0.0.0", "::1", 5269, "dial.own"},
      {"0.0.0.0", "203.0.113.6", 5269, "ok"},
      {"::", "203.0.113.5", 5269, "dial.own"},
      {"::", "::", 5269, "dial.own"},
      {"::", "203.0.113.5", 5270, "ok"},
  };
  for (const auto& row : rows) {
    AddressRules rules({network("::", 0)});
    rules.set_own({at(row.own)});
    EXPECT_EQ(said(rules, row.ip, row.port), row.expected) << row.own << " <- " << row.ip;
    EXPECT_EQ(said(rules, row.ip, row.port, true), row.expected)
        << row.own << " <- " << row.ip << ", trusted";
  }
}

}  // namespace
}  // namespace sallyport::net
