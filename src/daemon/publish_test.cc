#include "daemon/publish.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "daemon/nft.h"

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
  const NftRules rules = nft_rules(merged_rows(core_ports(core(), routed), {edge_ports(edge())}));
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
  const auto rows = merged_rows({of_core, other}, {{of_edge}});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].from_addresses, std::vector<std::string>{"10.0.0.5"});
  EXPECT_EQ(rows[0].to_addresses, std::vector<std::string>{"192.0.2.10"}) << "the address of the name";
}

TEST(Ports, two_edges_are_two_rows_that_the_core_completes) {
  const PortRow one{"core", {}, "edge", {"192.0.2.10"}, false, {7400}, "the link"};
  const PortRow two{"core", {}, "edge", {"192.0.2.11"}, false, {7400}, "the link"};
  const PortRow wildcard{"core", {}, "edge", {}, false, {7400}, "the link"};
  EXPECT_EQ(merged_rows({}, {{one}, {two}}).size(), 2U);
  EXPECT_EQ(merged_rows({}, {{one}, {wildcard}}).size(), 2U);
  EXPECT_EQ(merged_rows({}, {{one}, {one}}).size(), 1U);
  const PortRow both{"core", {"10.0.0.5"}, "edge", {"192.0.2.10", "192.0.2.11"}, false, {7400}, "the link"};
  EXPECT_EQ(merged_rows({both}, {{one}, {two}}), std::vector{both});
  // The core names one of the edges only.
  PortRow named = both;
  named.to_addresses = {"edge2.dmz.example"};
  EXPECT_EQ(merged_rows({both, named}, {{one}}), (std::vector{both, named}));
}

// Each host needs its rule: those of one family, or a literal beside a name, do not stand for the others.
TEST(NftRules, every_host_of_a_row_has_a_rule_or_is_named) {
  config::PolicyConfig routed = policy();
  for (const char* address : {"host.q.example:5271", "10.9.9.9:5271", "[2001:db8::9]:5271"})
    routed.routes.push_back({domain("far.example"), at(address)});
  routed.served[0].servers = {at("10.0.0.20:5269"), at("[fd00::20]:5269"), at("xmpp.corp.example:5269")};
  auto rows = merged_rows(core_ports(core(), routed), {edge_ports(edge())});
  NftRules rules = nft_rules(rows);
  for (const char* part :
       {"ip daddr { 10.9.9.9 } tcp dport { 5271 }", "ip6 daddr { 2001:db8::9 } tcp dport { 5271 }",
        "ip saddr { 10.0.0.5 } ip daddr { 10.0.0.20 } tcp dport { 5269 }"})
    EXPECT_NE(rules.text.find(part), std::string::npos) << part << "\nin\n" << rules.text;
  const std::string missing = fmt::format("{}", fmt::join(rules.missing, "\n"));
  EXPECT_EQ(rules.missing.size(), 6U) << missing;
  for (const char* part : {"edge -> federated server, TCP 5271: s2s outbound, static route (the IP address "
                           "of `host.q.example` is",
                           "federated server -> edge, TCP 5269: s2s inbound, static route (the IP address of "
                           "`host.q.example` is",
                           "core -> internal server, TCP 5269: s2s on the internal side (the IP address of "
                           "`xmpp.corp.example` is",
                           "internal server -> core, TCP 5269: s2s on the internal side (the IP address of "
                           "`xmpp.corp.example` is",
                           "only IPv4 addresses, the other only IPv6: 10.0.0.5 and fd00::20)"})
    EXPECT_NE(missing.find(part), std::string::npos) << part << "\nin\n" << missing;
  EXPECT_TRUE(add_addresses(rows, "xmpp.corp.example", {"10.0.0.21"}));
  EXPECT_TRUE(add_addresses(rows, "host.q.example", {"198.51.100.7"}));
  EXPECT_TRUE(add_addresses(rows, "core", {"fd00::5"})) << "it dials from an address that is not a listener";
  EXPECT_FALSE(add_addresses(rows, "10.0.0.20", {"10.0.0.21"})) << "an address is not replaced";
  rules = nft_rules(rows);
  EXPECT_EQ(rules.missing, std::vector<std::string>());
  for (const char* part :
       {"ip saddr { 10.0.0.5 } ip daddr { 10.0.0.21 }", "ip6 saddr { fd00::5 } ip6 daddr { fd00::20 }",
        "ip saddr { 198.51.100.7 } ip daddr { 203.0.113.5 } tcp dport { 5269 }"})
    EXPECT_NE(rules.text.find(part), std::string::npos) << part << "\nin\n" << rules.text;
}

// A resolver of the same host is no matter of a firewall.
TEST(NftRules, a_loopback_address_of_another_family_is_not_missing) {
  const PortRow row{"edge", {"203.0.113.5"}, "its DNS resolver", {"::1"}, true, {53}, "SRV"};
  EXPECT_TRUE(nft_rules({row}).missing.empty());
}

// The row for federated servers leaves private networks out.
TEST(Ports, private_peers_that_the_edge_may_dial_may_dial_the_edge) {
  config::EdgeConfig allowing = edge(R"("203.0.113.5:5270", "[2001:db8::5]:5270")");
  allowing.allow_networks = {*config::Network::parse("10.8.0.0/16"), *config::Network::parse("fd08::/16")};
  config::PolicyConfig routed = policy();
  routed.routes.push_back({domain("far.example"), at("10.9.9.9:5299")});
  const auto rows = merged_rows(core_ports(core(), routed), {edge_ports(allowing)});
  const NftRules rules = nft_rules(rows);
  EXPECT_EQ(rules.missing, std::vector<std::string>());
  for (const char* part : {"ip saddr { 10.8.0.0/16 } ip daddr { 203.0.113.5 } tcp dport { 5270 }",
                           "ip6 saddr { fd08::/16 } ip6 daddr { 2001:db8::5 } tcp dport { 5270 }",
                           "ip saddr { 10.9.9.9 } ip daddr { 203.0.113.5 } tcp dport { 5270 }"})
    EXPECT_NE(rules.text.find(part), std::string::npos) << part << "\nin\n" << rules.text;
  for (const char* part : {"federated server (10.9.9.9)", "federated server (10.8.0.0/16)"})
    EXPECT_NE(show_ports(rows).find(part), std::string::npos) << part << "\nin\n" << show_ports(rows);
}

TEST(Ports, of_one_node_say_what_only_the_other_knows) {
  config::PolicyConfig routed = policy();
  const auto alone = edge_ports(edge());
  EXPECT_NE(show_ports(alone).find("static routes"), std::string::npos) << show_ports(alone);
  EXPECT_TRUE(nft_rules(alone).text.starts_with("# The rows of static routes")) << nft_rules(alone).text;
  EXPECT_EQ(ports_answer(alone).at("notes").as_array().size(), 1U);
  EXPECT_EQ(notes_on(core_ports(core(), routed)), std::vector<std::string>());
  routed.routes.push_back({domain("far.example"), at("10.9.9.9:5299")});
  ASSERT_EQ(notes_on(core_ports(core(), routed)).size(), 1U);
  EXPECT_NE(notes_on(core_ports(core(), routed))[0].find("5269"), std::string::npos);
  EXPECT_EQ(notes_on(merged_rows(core_ports(core(), routed), {alone})), std::vector<std::string>());
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
