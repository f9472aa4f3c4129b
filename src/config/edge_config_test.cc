#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "config/edge_config.h"

namespace sallyport::config {
namespace {

// The base64 of 32 bytes of "a", and of "b".
constexpr std::string_view kPinA = "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
constexpr std::string_view kPinB = "sha256:YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=";

const std::string kEdge = R"([edge]
name = "vcse.example.com"
s2s = ["0.0.0.0:5269"]
traversal = ["192.0.2.10:7400"]
)";
const std::string kIdentity = R"([identity]
certificate = "edge.crt"
key = "edge.key"
)";
const std::string kCore = fmt::format("[[core]]\nname = \"core-1\"\npins = [\"{}\"]\n", kPinA);

std::vector<std::string> shown(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const auto& finding : findings) lines.push_back(finding.shown());
  return lines;
}
std::vector<std::string> errors_of(const std::string& text) {
  return shown(parse_edge_config(text, "edge.toml").errors);
}

TEST(EdgeConfig, the_contract_in_full) {
  const auto text = fmt::format(R"(
[edge]
name      = "VCSE.example.com"
s2s       = ["0.0.0.0:5269", "[::]:5269"]
traversal = ["192.0.2.10"]
control   = "edge.sock"
control_group = "sallyport"
metrics   = "127.0.0.1:7481"
shards    = 4
[identity]
certificate = "edge.crt"
key         = "/etc/keys/edge.key"
[[core]]
name    = "core-1"
pins    = ["{}", "{}"]
domains = ["example.com", "*.example.com"]
[resolver]
servers = ["192.0.2.53:53", "192.0.2.54"]
trust_anchor = "root.key"
insecure = ["corp"]
[outbound]
ports = [5269, 443]
allow_networks = ["10.0.0.0/8", "fd00::/8"]
refuse_networks = ["2a00:1:2:3::/96"]
bind = ["203.0.113.5"]
)",
                                kPinA, kPinB);
  const auto loaded = parse_edge_config(text, "/etc/sallyport/edge.toml");
  ASSERT_EQ(shown(loaded.errors), std::vector<std::string>());
  EXPECT_EQ(shown(loaded.warnings), std::vector<std::string>());
  const EdgeConfig& config = *loaded.value;
  EXPECT_EQ(config.name.ascii(), "vcse.example.com");
  ASSERT_EQ(config.s2s.size(), 2U);
  EXPECT_EQ(config.s2s[1].text(), "[::]:5269");
  EXPECT_EQ(config.traversal.at(0).text(), "192.0.2.10:7400");
  EXPECT_EQ(config.control, "/etc/sallyport/edge.sock");
  EXPECT_EQ(config.control_group, "sallyport");
  EXPECT_EQ(config.metrics->text(), "127.0.0.1:7481");
  EXPECT_EQ(config.shards, 4U);
  EXPECT_EQ(config.identity.certificate, "/etc/sallyport/edge.crt");
  EXPECT_EQ(config.identity.key, "/etc/keys/edge.key");
  ASSERT_EQ(config.cores.size(), 1U);
  EXPECT_EQ(config.cores[0].name, "core-1");
  EXPECT_EQ(config.cores[0].pins, (std::vector<std::string>{std::string(kPinA), std::string(kPinB)}));
  EXPECT_EQ(config.cores[0].domains.at(1).text(), "*.example.com");
  EXPECT_EQ(config.resolver_servers.at(1).text(), "192.0.2.54:53");
  EXPECT_EQ(config.trust_anchor, "/etc/sallyport/root.key");
  EXPECT_EQ(config.resolver_insecure, std::vector<std::string>{"corp"});
  EXPECT_EQ(config.outbound_ports, (std::vector<std::uint16_t>{5269, 443}));
  EXPECT_EQ(config.allow_networks.size(), 2U);
  EXPECT_EQ(config.refuse_networks, std::vector<Network>{*Network::parse("2a00:1:2:3::/96")});
  EXPECT_EQ(config.bind, std::vector<std::string>{"203.0.113.5"});
}

TEST(EdgeConfig, has_as_many_shards_as_the_limit_and_not_one_more) {
  const auto with = [](std::size_t shards) {
    return errors_of(kEdge + fmt::format("shards = {}\n", shards) + kIdentity + kCore);
  };
  EXPECT_EQ(with(limits::kShardsMax), std::vector<std::string>());
  EXPECT_EQ(with(limits::kShardsMax + 1).size(), 1U);
  EXPECT_EQ(with(0).size(), 1U);
}

TEST(EdgeConfig, what_is_left_out_has_its_default) {
  const auto loaded = parse_edge_config(kEdge + kIdentity + kCore, "edge.toml");
  ASSERT_EQ(shown(loaded.errors), std::vector<std::string>());
  EXPECT_EQ(loaded.value->control, "/run/sallyport/edge.sock");
  EXPECT_EQ(loaded.value->control_group, "");
  EXPECT_FALSE(loaded.value->metrics);
  EXPECT_EQ(loaded.value->shards, 1U);
  EXPECT_EQ(loaded.value->identity.key, "edge.key");
  EXPECT_TRUE(loaded.value->resolver_servers.empty());
  EXPECT_EQ(loaded.value->outbound_ports, std::vector<std::uint16_t>{5269});
  EXPECT_TRUE(loaded.value->allow_networks.empty());
}

TEST(EdgeConfig, every_fault_is_told_with_its_place) {
  struct Case {
    std::string name, text;
    std::vector<std::string> errors;
  };
  const Case cases[] = {
      {"nothing",
       "",
       {"edge.toml:1:1: [edge] is missing [config.missing]",
        "edge.toml:1:1: [identity] is missing [config.missing]",
        "edge.toml:1:1: [[core]] is missing [config.missing]"}},
      {"no TOML",
       "[edge\nname = 1",
       {"edge.toml:1:6: Error while parsing table header: expected ']', saw '\\n' [config.syntax]"}},
      {"unknown keys",
       "[edge]\nnmae = \"a.example\"\ns2s = [\"0.0.0.0\"]\ntraversal = [\"192.0.2.1\"]\n[outbuond]\n" +
           kIdentity + kCore,
       {"edge.toml:1:1: `name` in [edge] is missing [config.missing]",
        "edge.toml:2:1: unknown key `nmae` in [edge]; did you mean `name`? [config.key]",
        "edge.toml:5:2: unknown key `outbuond`; did you mean `outbound`? [config.key]"}},
      {"wrong types",
       "[edge]\nname = 7\ns2s = \"0.0.0.0:5269\"\ntraversal = [1]\ncontrol = \"\"\n" + kIdentity + kCore,
       {"edge.toml:2:8: `name` in [edge] must be a string [config.value]",
        "edge.toml:3:7: `s2s` in [edge] must be a list of strings: [\"...\"] [config.value]",
        "edge.toml:4:14: `traversal` in [edge] must be a list of strings only [config.value]",
        "edge.toml:5:11: `control` in [edge] must be a string that is not empty [config.value]"}},
      {"nobody to listen to",
       "[edge]\nname = \"a.example\"\ns2s = []\ntraversal = [\"edge.example:7400\"]\n" + kIdentity + kCore,
       {"edge.toml:3:7: `s2s` in [edge] must be a list of at least one string [config.value]",
        "edge.toml:4:14: `traversal` in [edge]: `edge.example:7400` is a name; an IP address is expected "
        "here [config.value]"}},
      {"one table where rows are",
       kEdge + kIdentity + "[core]\nname = \"x\"\n",
       {"edge.toml:8:1: `core` must be a row of a list, [[core]] [config.value]"}},
      {"rows where one table is",
       "[[edge]]\n" + kIdentity + kCore,
       {"edge.toml:1:1: `edge` must be one table, [edge] [config.value]"}},
      {"pins",
       kEdge + kIdentity + "[[core]]\nname = \"c\"\npins = [\"sha256:YQ==\"]\n",
       {"edge.toml:10:9: `pins` in [[core]]: `sha256:YQ==` is not a valid pin; expected sha256: and the "
        "base64 of 32 "
        "bytes, as "
        "`sallyport keygen` prints it [config.value]"}},
      {"one name, one pin",
       kEdge + kIdentity + kCore + kCore,
       {"edge.toml:12:8: two [[core]] rows have the name `core-1` [config.conflict]",
        fmt::format("edge.toml:13:8: the pin {} is listed twice [config.conflict]", kPinA)}},
      {"outbound",
       kEdge + kIdentity + kCore +
           "[outbound]\nports = [0, 65536]\nallow_networks = [\"10.0.0.5/8\", \"10.0.0.0/33\"]\nbind = "
           "[\"eth0\"]\n",
       {"edge.toml:12:10: `ports` in [outbound] must be a list of numbers from 1 to 65535, at least one "
        "[config.value]",
        "edge.toml:12:13: `ports` in [outbound] must be a list of numbers from 1 to 65535, at least one "
        "[config.value]",
        "edge.toml:13:19: `allow_networks` in [outbound]: `10.0.0.5/8` has bits set after its prefix "
        "[config.value]",
        "edge.toml:13:33: `allow_networks` in [outbound]: `10.0.0.0/33` needs a prefix length from 0 to 32 "
        "[config.value]",
        "edge.toml:14:9: `bind` in [outbound]: `eth0` is not an IP address [config.value]"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(errors_of(c.text), c.errors);
    EXPECT_FALSE(parse_edge_config(c.text, "edge.toml").value);
  }
}

TEST(EdgeConfig, insecure_names_without_an_anchor_are_warned_of) {
  const auto loaded =
      parse_edge_config(kEdge + kIdentity + kCore + "[resolver]\ninsecure = [\"corp\"]\n", "edge.toml");
  EXPECT_TRUE(loaded.value);
  EXPECT_EQ(
      shown(loaded.warnings),
      std::vector<std::string>{"edge.toml:12:12: `insecure` has no effect: without `trust_anchor` nothing is "
                               "validated [config.no-effect]"});
}

TEST(EdgeConfig, strings_from_the_file_are_shown_escaped) {
  const auto errors = errors_of(kEdge + kIdentity + kCore + "\"\\u001b[2J\\n\" = 1\n");
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find(R"(unknown key `\u001b[2J\u000a`)"), std::string::npos) << errors[0];
}

TEST(EdgeConfig, a_line_and_a_file_have_a_limit) {
  const std::string good = kEdge + kIdentity + kCore;
  EXPECT_TRUE(
      parse_edge_config(good + "#" + std::string(limits::kConfigLineBytesMax - 1, 'x') + "\n", "e").value);
  EXPECT_TRUE(parse_edge_config(good + "#" + std::string(limits::kConfigLineBytesMax - 1, 'x'), "e").value);
  for (const auto* end : {"\n", ""}) {
    const auto loaded =
        parse_edge_config(good + "#" + std::string(limits::kConfigLineBytesMax, 'x') + end, "e");
    EXPECT_EQ(shown(loaded.errors),
              std::vector<std::string>{"e:11:1: the line has more than 8192 bytes [config.syntax]"});
  }
  // At the limit the text is parsed: the error is about its content, not its size.
  std::string full = "?\n";
  const std::string comment = "#" + std::string(4094, 'x') + "\n";
  while (full.size() + comment.size() <= limits::kConfigFileBytesMax) full += comment;
  full.resize(limits::kConfigFileBytesMax, '\n');
  EXPECT_TRUE(errors_of(full).at(0).starts_with("edge.toml:1:1: Error while parsing"));
  full += '\n';
  EXPECT_EQ(errors_of(full),
            std::vector<std::string>{"edge.toml:1:1: the file has more than 67108864 bytes [config.syntax]"});
}

TEST(Network, holds_what_its_prefix_says) {
  struct Case {
    std::string network, ip;
    bool contains;
  };
  const Case cases[] = {
      {"10.0.0.0/8", "10.255.1.2", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"192.0.2.128/25", "192.0.2.129", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"2001:db8::/32", "2001:db8:ffff::", true},
      {"2001:db8::/32", "2001:db9::", false},
      {"2001:db8::1", "2001:db8::1", true},
      {"::/0", "10.0.0.1", true},
      {"fd00::/9", "fd7f::1", true},
      {"fd00::/9", "fd80::1", false},
  };
  for (const auto& c : cases) {
    const auto network = Network::parse(c.network);
    const auto ip = Network::parse(c.ip);
    ASSERT_TRUE(network && ip) << c.network << " " << c.ip;
    EXPECT_EQ(network->contains(ip->address), c.contains) << c.network << " " << c.ip;
  }
  for (const auto* text : {"", "/8", "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/-1", "10.0.0.0/256", "::/129",
                           "::1/127", "10.0.0.0/33", "10.0.0/8", "x"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

}  // namespace
}  // namespace sallyport::config
