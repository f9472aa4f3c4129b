#include "daemon/publish.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sallyport::daemon {
namespace {

xmpp::Domain domain(std::string_view name) { return *xmpp::Domain::parse(name); }
route::HostPort at(std::string_view text) { return *route::HostPort::parse(text); }

constexpr const char* kPin = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

config::EdgeConfig edge(std::string_view s2s = R"("203.0.113.5:5269", "[2001:db8::5]:5269")") {
  const auto loaded = config::parse_edge_config(fmt::format(R"([edge]
name = "vcse.example.com"
s2s = [{}]
traversal = ["192.0.2.10:7400"]
[identity]
certificate = "edge.crt"
key = "edge.key"
[[core]]
name = "core-1"
pins = ["{}"]
[resolver]
servers = ["192.0.2.53:53"]
[outbound]
ports = [5269, 5270]
)",
                                                            s2s, kPin),
                                                "edge.toml");
  EXPECT_TRUE(loaded.value);
  return loaded.value.value();
}

config::CoreConfig core() {
  const auto loaded = config::parse_core_config(fmt::format(R"([core]
name = "core.corp.example"
s2s = ["10.0.0.5:5269"]
policy = "policy.toml"
[identity]
certificate = "core.crt"
key = "core.key"
[[edge]]
name = "vcse.example.com"
address = "192.0.2.10:7400"
pins = ["{0}"]
[[edge]]
name = "vcse2.example.com"
address = "192.0.2.11:7400"
pins = ["{0}"]
[dns]
listen = ["10.0.0.5:53"]
upstream = ["10.0.0.1:53"]
clients = ["10.0.0.0/8"]
[certificates]
directory = "certs"
)",
                                                            kPin),
                                                "core.toml");
  EXPECT_TRUE(loaded.value);
  return loaded.value.value();
}

std::vector<config::Served> served() {
  return {{domain("example.com"), domain("example.com"), {at("10.0.0.20:5269")}, std::nullopt, false, 1},
          {domain("chatroom1.example.com"),
           domain("conference-2.corp.example"),
           {at("10.0.0.20:5269")},
           std::nullopt,
           true,
           5}};
}

config::PolicyConfig policy() {
  config::PolicyConfig made;
  made.served = served();
  return made;
}

TEST(SrvRecords, each_name_points_at_each_edge_and_no_internal_name_shows) {
  const std::string shown = show_records(records_answer(srv_records(core().edges, served(), 5269)));
  EXPECT_EQ(shown,
            "_xmpp-server._tcp.example.com. 3600 IN SRV 0 0 5269 vcse.example.com.\n"
            "_xmpp-server._tcp.example.com. 3600 IN SRV 0 0 5269 vcse2.example.com.\n"
            "_xmpp-server._tcp.chatroom1.example.com. 3600 IN SRV 0 0 5269 vcse.example.com.\n"
            "_xmpp-server._tcp.chatroom1.example.com. 3600 IN SRV 0 0 5269 vcse2.example.com.\n");
}

TEST(Ports, of_an_edge_are_the_rows_of_its_side) {
  const std::string table = show_ports(edge_ports(edge()));
  for (const char* part :
       {"edge (192.0.2.10)", "TCP 7400", "TCP 5269,5270", "UDP+TCP 53", "its DNS resolver (192.0.2.53)"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << "\nin\n" << table;
  }
  EXPECT_EQ(edge_ports(edge()).size(), 4u);
}

TEST(Ports, of_a_core_are_the_rows_of_its_side) {
  const auto rows = core_ports(core(), policy());
  EXPECT_EQ(rows.size(), 5u);
  const std::string table = show_ports(rows);
  for (const char* part :
       {"edge (192.0.2.10 192.0.2.11)", "internal server (10.0.0.0/8)", "internal DNS (10.0.0.1)"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << "\nin\n" << table;
  }
}

// A route may lead to a private address and any port, which the row for federated servers does not have.
TEST(Ports, of_a_static_route_are_a_row_from_the_address_that_the_edge_dials_from) {
  config::PolicyConfig routed = policy();
  routed.routes.push_back({domain("far.example"), at("10.9.9.9:5299")});
  auto rows = edge_ports(edge());
  const auto inner = core_ports(core(), routed);
  rows.insert(rows.end(), inner.begin(), inner.end());
  const NftRules rules = nft_rules(merged_rows(rows));
  EXPECT_EQ(rules.missing, std::vector<std::string>());
  EXPECT_NE(rules.text.find("ip saddr { 203.0.113.5 } ip daddr { 10.9.9.9 } tcp dport { 5299 }"),
            std::string::npos)
      << rules.text;
  routed.static_routes = false;
  EXPECT_EQ(core_ports(core(), routed).size(), core_ports(core(), policy()).size()) << "the routes are off";
}

TEST(Ports, survive_the_way_over_the_control_socket) {
  auto rows = edge_ports(edge());
  const auto inner = core_ports(core(), policy());
  rows.insert(rows.end(), inner.begin(), inner.end());
  EXPECT_EQ(show_ports(port_rows_of(ports_answer(rows))), show_ports(rows));
  EXPECT_EQ(nft_rules(port_rows_of(ports_answer(rows))).text, nft_rules(rows).text);
}

TEST(NftRules, keep_the_families_apart_and_drop_the_rest) {
  const std::string rules = nft_rules(edge_ports(edge())).text;
  EXPECT_NE(rules.find("policy drop;"), std::string::npos);
  EXPECT_NE(rules.find("ip daddr { 203.0.113.5 } tcp dport { 5269 }"), std::string::npos) << rules;
  EXPECT_NE(rules.find("ip6 daddr { 2001:db8::5 } tcp dport { 5269 }"), std::string::npos) << rules;
  EXPECT_EQ(rules.find("ip daddr { 2001"), std::string::npos);
  EXPECT_NE(rules.find("ip saddr { 203.0.113.5 } ip daddr { 192.0.2.53 } udp dport { 53 }"),
            std::string::npos)
      << rules;
}

TEST(NftRules, say_the_same_thing_once) {
  auto rows = edge_ports(edge());
  const auto again = edge_ports(edge());
  rows.insert(rows.end(), again.begin(), again.end());
  EXPECT_EQ(nft_rules(rows).text, nft_rules(edge_ports(edge())).text);
}

TEST(NftRules, a_row_without_an_address_has_no_rule_and_is_named) {
  const NftRules rules = nft_rules(edge_ports(edge(R"("0.0.0.0:5269")")));
  EXPECT_EQ(rules.text.find("accept comment"), std::string::npos) << rules.text;
  EXPECT_EQ(
      rules.missing,
      (std::vector<std::string>{
          // Which core may dial is in the core's file.
          "core -> edge, TCP 7400: the link between edge and core (the IP address of `core` is not known)",
          "federated server -> edge, TCP 5269: s2s inbound (the IP address of `edge` is not known)",
          "edge -> federated server, TCP 5269,5270: s2s outbound (the IP address of `edge` is not known)",
          "edge -> its DNS resolver, UDP+TCP 53: SRV and addresses of federated servers (the IP address of "
          "`edge` is not known)"}));
}

TEST(NftRules, every_row_has_a_rule_when_the_addresses_are_given) {
  auto rows = edge_ports(edge(R"("0.0.0.0:5269")"));
  EXPECT_TRUE(add_addresses(rows, "edge", {"203.0.113.5"}));
  EXPECT_TRUE(add_addresses(rows, "core", {"10.0.0.5"}));
  EXPECT_FALSE(add_addresses(rows, "nobody", {"10.0.0.5"}));
  const NftRules rules = nft_rules(rows);
  EXPECT_TRUE(rules.missing.empty());
  for (const char* part : {"ip daddr { 203.0.113.5 } tcp dport { 5269 }",
                           "ip saddr { 10.0.0.5 } ip daddr { 192.0.2.10 } tcp dport { 7400 }",
                           "ip saddr { 203.0.113.5 } ip daddr != { 10.0.0.0/8,"}) {
    EXPECT_NE(rules.text.find(part), std::string::npos) << part << "\nin\n" << rules.text;
  }
}

TEST(NftRules, sides_of_different_families_are_named) {
  const PortRow row{"core", {"10.0.0.5"}, "edge", {"2001:db8::10"}, false, {7400}, "the link"};
  const NftRules rules = nft_rules({row});
  ASSERT_EQ(rules.missing.size(), 1U);
  EXPECT_NE(rules.missing[0].find("core -> edge, TCP 7400"), std::string::npos) << rules.missing[0];
}

TEST(Ports, a_row_of_both_files_stands_once_with_the_addresses_of_both) {
  const PortRow of_edge{"core", {}, "edge", {"192.0.2.10"}, false, {7400}, "the link"};
  const PortRow of_core{"core", {"10.0.0.5"}, "edge", {"edge.dmz.example"}, false, {7400}, "the link"};
  const PortRow other{"core", {"10.0.0.5"}, "edge", {"192.0.2.10"}, false, {7401}, "the link"};
  const auto rows = merged_rows({of_edge, of_core, other});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].from_addresses, std::vector<std::string>{"10.0.0.5"});
  EXPECT_EQ(rows[0].to_addresses, (std::vector<std::string>{"192.0.2.10", "edge.dmz.example"}));
  // Two edges are two rows.
  EXPECT_EQ(merged_rows({of_edge, {"core", {}, "edge", {"192.0.2.11"}, false, {7400}, "the link"}}).size(),
            2U);
}

TEST(Ports, own_apostrophes_are_not_escaped) {
  EXPECT_NE(show_ports(core_ports(core(), policy())).find("the answering resolver's upstream"),
            std::string::npos);
}

TEST(NftRules, nothing_passes_between_the_world_and_private_networks) {
  auto rows = edge_ports(edge());
  const auto inner = core_ports(core(), policy());
  rows.insert(rows.end(), inner.begin(), inner.end());
  const std::string rules = nft_rules(rows).text;
  std::size_t accepted = 0;
  for (std::size_t at = 0; (at = rules.find(" accept comment", at)) != std::string::npos; ++at) {
    const std::size_t begin = rules.rfind('\n', at) + 1;
    const std::string line = rules.substr(begin, at - begin);
    ++accepted;
    EXPECT_NE(line.find("saddr"), std::string::npos) << line;
    EXPECT_NE(line.find("daddr"), std::string::npos) << line;
  }
  EXPECT_EQ(accepted, 13u) << rules;
  for (const char* part :
       {"ip saddr { 203.0.113.5 } ip daddr != { 10.0.0.0/8,", "ip6 saddr { 2001:db8::5 } ip6 daddr != { ::1,",
        "ip saddr != { 10.0.0.0/8,", "ip saddr { 10.0.0.20 } ip daddr { 10.0.0.5 } tcp dport { 5269 }"}) {
    EXPECT_NE(rules.find(part), std::string::npos) << part << "\nin\n" << rules;
  }
}

}  // namespace
}  // namespace sallyport::daemon
