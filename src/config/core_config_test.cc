#include <fmt/format.h>
#include <gtest/gtest.h>

#include "config/core_config.h"

namespace sallyport::config {
namespace {

constexpr std::string_view kPin = "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";

const std::string kCore = R"([core]
name = "core.corp.example"
s2s = ["10.0.0.5:5269"]
policy = "policy.toml"
)";
const std::string kIdentity = R"([identity]
certificate = "core.crt"
key = "core.key"
)";
const std::string kEdge = fmt::format(
    "[[edge]]\nname = \"vcse.example.com\"\naddress = \"192.0.2.10:7400\"\npins = [\"{}\"]\n", kPin);
const std::string kCertificates = "[certificates]\ndirectory = \"certs\"\n";
const std::string kLeast = kCore + kIdentity + kEdge + kCertificates;  // 13 lines

std::vector<std::string> shown(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const auto& finding : findings) lines.push_back(finding.shown());
  return lines;
}
std::vector<std::string> errors_of(const std::string& text) {
  return shown(parse_core_config(text, "core.toml").errors);
}

TEST(CoreConfig, the_contract_in_full) {
  const auto text = fmt::format(R"(
[core]
name    = "core.corp.example"
s2s     = ["10.0.0.5:5269"]
control = "/run/sallyport/core-1.sock"
control_group = "sallyport"
metrics = "127.0.0.1"
state   = "/srv/sallyport"
policy  = "policy.toml"
dialback_secret = "dialback.secret"
shards  = 2
[identity]
certificate = "core.crt"
key         = "core.key"
[[edge]]
name    = "vcse.example.com"
address = "192.0.2.10"
pins    = ["{}"]
[[edge]]
name    = "vcse2.example.com"
address = "edge-2.dmz.example:7401"
pins    = ["{}"]
[internal]
names = ["corp.example", "*.corp.example"]
trust = "dialback"
ca_certificate = "ca.crt"
ca_key = "ca.key"
server_ca = "servers-ca.crt"
[dns]
listen   = ["10.0.0.5:53"]
upstream = ["10.0.0.1"]
clients  = ["10.0.0.0/8"]
[certificates]
directory = "certs"
[admin]
listen      = "10.0.0.5:7480"
tokens_file = "admin.tokens"
certificate = "admin.crt"
key         = "admin.key"
hosts       = ["core.corp.example"]
)",
                                kPin, kPin);
  const auto loaded = parse_core_config(text, "/etc/sallyport/core.toml");
  ASSERT_EQ(shown(loaded.errors), std::vector<std::string>());
  const CoreConfig& config = *loaded.value;
  EXPECT_EQ(config.name.ascii(), "core.corp.example");
  EXPECT_EQ(config.s2s.at(0).text(), "10.0.0.5:5269");
  EXPECT_EQ(config.shards, 2U);
  EXPECT_EQ(config.control, "/run/sallyport/core-1.sock");
  EXPECT_EQ(config.control_group, "sallyport");
  EXPECT_EQ(config.metrics->text(), "127.0.0.1:7482");
  EXPECT_EQ(config.state, "/srv/sallyport");
  EXPECT_EQ(config.policy, "/etc/sallyport/policy.toml");
  EXPECT_EQ(config.dialback_secret, "/etc/sallyport/dialback.secret");
  EXPECT_EQ(config.identity.key, "/etc/sallyport/core.key");
  ASSERT_EQ(config.edges.size(), 2U);
  EXPECT_EQ(config.edges[0].address.text(), "192.0.2.10:7400");
  EXPECT_EQ(config.edges[1].address.text(), "edge-2.dmz.example:7401");
  EXPECT_EQ(config.edges[1].name.ascii(), "vcse2.example.com");
  EXPECT_EQ(config.edges[1].pins, std::vector<std::string>{std::string(kPin)});
  EXPECT_EQ(config.internal_names.at(1).text(), "*.corp.example");
  EXPECT_EQ(config.trust, Trust::kDialback);
  EXPECT_EQ(config.ca_certificate, "/etc/sallyport/ca.crt");
  EXPECT_EQ(config.ca_key, "/etc/sallyport/ca.key");
  EXPECT_EQ(config.server_ca, "/etc/sallyport/servers-ca.crt");
  EXPECT_EQ(config.dns->listen.at(0).text(), "10.0.0.5:53");
  EXPECT_EQ(config.dns->upstream.at(0).text(), "10.0.0.1:53");
  EXPECT_EQ(config.dns->clients.at(0), Network::parse("10.0.0.0/8").value());
  EXPECT_EQ(config.certificates, "/etc/sallyport/certs");
  EXPECT_EQ(config.admin->listen, "10.0.0.5:7480");
  EXPECT_EQ(config.admin->tokens_file, "/etc/sallyport/admin.tokens");
  EXPECT_EQ(config.admin->hosts, std::vector<std::string>{"core.corp.example"});
}

TEST(CoreConfig, what_is_left_out_has_its_default) {
  const auto loaded = parse_core_config(kLeast, "core.toml");
  ASSERT_EQ(shown(loaded.errors), std::vector<std::string>());
  EXPECT_EQ(loaded.value->control, "/run/sallyport/core.sock");
  EXPECT_EQ(loaded.value->state, "/var/lib/sallyport");
  EXPECT_EQ(loaded.value->dialback_secret, "");
  EXPECT_EQ(loaded.value->trust, Trust::kMinted);
  EXPECT_EQ(loaded.value->ca_certificate, "");
  EXPECT_EQ(loaded.value->server_ca, "");
  EXPECT_FALSE(loaded.value->dns);
  EXPECT_FALSE(loaded.value->admin);
  EXPECT_TRUE(loaded.value->internal_names.empty());
}

TEST(CoreConfig, the_console_listens_beyond_this_host_only_with_a_certificate) {
  const std::string beyond =
      "core.toml:15:10: [admin] listens beyond this host, so it needs `certificate` and `key` "
      "[config.missing]";
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {"127.0.0.1:7480", {}},  {"127.8.9.1", {}},           {"[::1]:7480", {}},
      {"unix:admin.sock", {}}, {"10.0.0.5:7480", {beyond}}, {"0.0.0.0:7480", {beyond}},
      {"[::]:7480", {beyond}},
  };
  for (const auto& [listen, errors] : cases) {
    const auto text = fmt::format("{}[admin]\nlisten = \"{}\"\ntokens_file = \"t\"\n", kLeast, listen);
    EXPECT_EQ(errors_of(text), errors) << listen;
  }
  const auto loaded = parse_core_config(
      kLeast + "[admin]\nlisten = \"unix:admin.sock\"\ntokens_file = \"t\"\n", "/etc/core.toml");
  EXPECT_EQ(loaded.value->admin->listen, "unix:/etc/admin.sock");
}

TEST(CoreConfig, every_fault_is_told_with_its_place) {
  struct Case {
    std::string name, text;
    std::vector<std::string> errors;
  };
  const Case cases[] = {
      {"nothing",
       "",
       {"core.toml:1:1: [core] is missing [config.missing]",
        "core.toml:1:1: [identity] is missing [config.missing]",
        "core.toml:1:1: [[edge]] is missing [config.missing]",
        "core.toml:1:1: [certificates] is missing [config.missing]"}},
      {"empty tables",
       "[core]\n[identity]\n[[edge]]\n[certificates]\n[dns]\n[admin]\n",
       {"core.toml:1:1: `name` in [core] is missing [config.missing]",
        "core.toml:1:1: `s2s` in [core] is missing [config.missing]",
        "core.toml:1:1: `policy` in [core] is missing [config.missing]",
        "core.toml:2:1: `certificate` in [identity] is missing [config.missing]",
        "core.toml:2:1: `key` in [identity] is missing [config.missing]",
        "core.toml:3:1: `name` in [[edge]] is missing [config.missing]",
        "core.toml:3:1: `address` in [[edge]] is missing [config.missing]",
        "core.toml:3:1: `pins` in [[edge]] is missing [config.missing]",
        "core.toml:4:1: `directory` in [certificates] is missing [config.missing]",
        "core.toml:5:1: `listen` in [dns] is missing [config.missing]",
        "core.toml:5:1: `upstream` in [dns] is missing [config.missing]",
        "core.toml:5:1: `clients` in [dns] is missing [config.missing]",
        "core.toml:6:1: `listen` in [admin] is missing [config.missing]",
        "core.toml:6:1: `tokens_file` in [admin] is missing [config.missing]"}},
      {"two edges alike",
       kLeast + kEdge,
       {"core.toml:15:8: `vcse.example.com` is the name of another edge or of the core [config.conflict]",
        "core.toml:16:11: another [[edge]] has the address 192.0.2.10:7400 [config.conflict]"}},
      {"an edge named as the core",
       kLeast + "[[edge]]\nname = \"CORE.corp.example\"\naddress = \"192.0.2.11\"\npins = [\"" +
           std::string(kPin) + "\"]\n",
       {"core.toml:15:8: `core.corp.example` is the name of another edge or of the core [config.conflict]"}},
      {"half a CA",
       kLeast + "[internal]\nca_key = \"ca.key\"\n",
       {"core.toml:14:1: `ca_certificate` and `ca_key` in [internal] are given both or not at all "
        "[config.missing]"}},
      {"trust",
       kLeast + "[internal]\ntrust = \"mint\"\nnames = [\"*\"]\n",
       {"core.toml:15:9: `trust` in [internal] is `mint`; expected one of \"minted\", \"dialback\" "
        "[config.value]",
        "core.toml:16:10: `names` in [internal]: "}},
      {"a resolver that asks itself",
       kLeast + "[dns]\nlisten = [\"10.0.0.5\"]\nupstream = [\"10.0.0.1\", \"10.0.0.5:53\"]\nclients = "
                "[\"10.0.0.0/8\"]\n",
       {"core.toml:16:12: `upstream` in [dns] is 10.0.0.5:53, where this resolver itself listens "
        "[config.conflict]"}},
      {"half a certificate",
       kLeast + "[admin]\nlisten = \"10.0.0.5\"\ntokens_file = \"t\"\nkey = \"k\"\n",
       {"core.toml:14:1: `certificate` and `key` in [admin] are given both or not at all [config.missing]"}},
      {"keys of the other role",
       kLeast + "[outbound]\nports = [1]\n",
       {"core.toml:14:2: unknown key `outbound`; known here: core, identity, edge, internal, dns, "}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto errors = errors_of(c.text);
    ASSERT_EQ(errors.size(), c.errors.size()) << ::testing::PrintToString(errors);
    for (std::size_t i = 0; i < errors.size(); ++i)
      EXPECT_EQ(errors[i].substr(0, c.errors[i].size()), c.errors[i]);
    EXPECT_FALSE(parse_core_config(c.text, "core.toml").value);
  }
}

}  // namespace
}  // namespace sallyport::config
