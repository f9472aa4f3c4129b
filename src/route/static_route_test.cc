#include "route/static_route.h"

#include <gtest/gtest.h>

namespace sallyport::route {
namespace {

xmpp::Domain domain(std::string_view text) { return xmpp::Domain::parse(text).value(); }
HostPort at(std::string_view text) { return HostPort::parse(text).value(); }

TEST(HostPort, reads_addresses_and_names) {
  struct Case {
    std::string text, host;
    std::uint16_t port;
    bool is_ip;
    std::string written;
  };
  const Case cases[] = {
      {"192.0.2.1:7400", "192.0.2.1", 7400, true, "192.0.2.1:7400"},
      {"192.0.2.1", "192.0.2.1", 5269, true, "192.0.2.1:5269"},
      {"[2001:DB8::1]:7400", "2001:db8::1", 7400, true, "[2001:db8::1]:7400"},
      {"[2001:db8:0:0::1]", "2001:db8::1", 5269, true, "[2001:db8::1]:5269"},
      {"XMPP.example.net:65535", "xmpp.example.net", 65535, false, "xmpp.example.net:65535"},
      {"bücher.example", "xn--bcher-kva.example", 5269, false, "xn--bcher-kva.example:5269"},
      {"localhost:1", "localhost", 1, false, "localhost:1"},
  };
  for (const auto& c : cases) {
    const auto parsed = HostPort::parse(c.text);
    ASSERT_TRUE(parsed) << c.text;
    EXPECT_EQ(*parsed, (HostPort{c.host, c.port, c.is_ip})) << c.text;
    EXPECT_EQ(parsed->text(), c.written);
    EXPECT_EQ(HostPort::parse(parsed->text()).value(), *parsed);
  }
  EXPECT_EQ(HostPort::parse("192.0.2.1", 53).value().port, 53);
  EXPECT_EQ(HostPort::parse("192.0.2.1:54", 53).value().port, 54);
}

TEST(HostPort, refuses_what_could_be_read_in_two_ways) {
  for (const auto* text : {"",
                           ":5269",
                           "192.0.2.1:",
                           "192.0.2.1:0",
                           "192.0.2.1:65536",
                           "192.0.2.1:+1",
                           "192.0.2.1:080",
                           "192.0.2.1:5 ",
                           "192.0.2.1 :5269",
                           "2001:db8::1",
                           "2001:db8::1:5269",
                           "[2001:db8::1",
                           "[2001:db8::1]5269",
                           "[2001:db8::1]:",
                           "[192.0.2.1]:5269",
                           "[xmpp.example]:5269",
                           "10.1",
                           "300.1.1.1",
                           "1.2.3.4.5",
                           "127.1:5269",
                           "0x7f.0x1",
                           "a..b:1",
                           "a b",
                           "http://a.example",
                           "a.example/x",
                           "user@a.example"}) {
    const auto parsed = HostPort::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kConfigValue) << text;
  }
}

TEST(StaticRoutes, rows_of_a_domain_come_by_priority_and_then_as_written) {
  const StaticRoutes routes({
      {domain("a.example"), at("192.0.2.3"), 20},
      {domain("b.example"), at("192.0.2.9"), 0, true},
      {domain("a.example"), at("192.0.2.1"), 10},
      {domain("a.example"), at("192.0.2.2"), 10},
  });
  std::vector<std::string> hosts;
  for (const auto& row : routes.of(domain("a.example"))) hosts.push_back(row.address.host);
  EXPECT_EQ(hosts, (std::vector<std::string>{"192.0.2.1", "192.0.2.2", "192.0.2.3"}));
  EXPECT_TRUE(routes.of(domain("x.a.example")).empty());
  EXPECT_EQ(routes.all().size(), 2U);
}

TEST(StaticRoutes, any_row_may_let_dns_be_asked_as_well) {
  const StaticRoutes routes({
      {domain("a.example"), at("192.0.2.1")},
      {domain("a.example"), at("192.0.2.2"), 0, true},
      {domain("b.example"), at("192.0.2.3")},
  });
  EXPECT_TRUE(routes.falls_back(domain("a.example")));
  EXPECT_FALSE(routes.falls_back(domain("b.example")));
  EXPECT_FALSE(routes.falls_back(domain("c.example")));
}

}  // namespace
}  // namespace sallyport::route
