#include "dns/address.h"

namespace sallyport::dns {
namespace {

TEST(Address, is_written_in_its_canonical_form) {
  struct Row {
    const char* input;
    const char* expected;
  };
  const Row rows[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"0:0:1:1:1:1:0:0", "::1:1:1:1:0:0"},
      {"1:1:1:1:1:1:0:0", "1:1:1:1:1:1::"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"::ffff:a00:1", "10.0.0.1"},
      {"1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"},
  };
  for (const auto& row : rows) {
    const auto ip = Ip::parse(row.input);
    ASSERT_TRUE(ip) << row.input;
    EXPECT_EQ(ip->text(), row.expected) << row.input;
    EXPECT_EQ(Ip::parse(ip->text()), ip) << row.input;
  }
}

TEST(Address, anything_else_is_no_address) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "01.2.3.4",
                           "1.2.3.04",
                           "1.2.3.4 ",
                           "0x7f.0.0.1",
                           "1.2.3.-4",
                           "1..2.3",
                           ".1.2.3.4",
                           ":",
                           ":::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "::12345",
                           "::g",
                           "1:2:3:4:5:6:7::8",
                           "1:2:3:4::5:6:7:8",
                           "::1%eth0",
                           "[::1]",
                           "1:2:3:4:5:6:7:",
                           ":1:2:3:4:5:6:7:8",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "::1.2.3",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "localhost",
                           "2001:db8::1\n"}) {
    EXPECT_FALSE(Ip::parse(text)) << text;
  }
}

TEST(Address, each_special_range_is_known_at_both_ends) {
  struct Row {
    const char* text;
    AddressKind kind;
  };
  using enum AddressKind;
  const Row rows[] = {
      {"0.0.0.0", kUnspecified},
      {"0.255.255.255", kUnspecified},
      {"1.0.0.0", kGlobal},
      {"9.255.255.255", kGlobal},
      {"10.0.0.0", kPrivate},
      {"10.255.255.255", kPrivate},
      {"11.0.0.0", kGlobal},
      {"100.63.255.255", kGlobal},
      {"100.64.0.0", kCgnat},
      {"100.127.255.255", kCgnat},
      {"100.128.0.0", kGlobal},
      {"126.255.255.255", kGlobal},
      {"127.0.0.1", kLoopback},
      {"127.255.255.255", kLoopback},
      {"128.0.0.0", kGlobal},
      {"169.253.255.255", kGlobal},
      {"169.254.169.254", kLinkLocal},
      {"169.255.0.0", kGlobal},
      {"172.15.255.255", kGlobal},
      {"172.16.0.0", kPrivate},
      {"172.31.255.255", kPrivate},
      {"172.32.0.0", kGlobal},
      {"192.0.0.8", kReserved},
      {"192.0.1.0", kGlobal},
      {"192.0.2.1", kGlobal},
      {"198.51.100.7", kGlobal},
      {"203.0.113.5", kGlobal},
      {"192.88.99.1", kReserved},
      {"192.167.255.255", kGlobal},
      {"192.168.0.0", kPrivate},
      {"192.168.255.255", kPrivate},
      {"192.169.0.0", kGlobal},
      {"198.17.255.255", kGlobal},
      {"198.18.0.0", kReserved},
      {"198.19.255.255", kReserved},
      {"198.20.0.0", kGlobal},
      {"223.255.255.255", kGlobal},
      {"224.0.0.1", kMulticast},
      {"239.255.255.255", kMulticast},
      {"240.0.0.0", kReserved},
      {"255.255.255.255", kReserved},
      {"::", kUnspecified},
      {"::1", kLoopback},
      {"::2", kMapped},
      {"::10.0.0.1", kMapped},
      {"::ffff:0:10.0.0.1", kMapped},
      {"64:ff9b::a00:1", kMapped},
      {"64:ff9b:0:0:1::", kReserved},
      {"64:ff9b:1::", kMapped},
      {"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", kMapped},
      {"64:ff9b:2::", kReserved},
      {"100::1", kReserved},
      {"1fff:ffff::1", kReserved},
      {"2001::1", kMapped},
      {"2001:2::1", kReserved},
      {"2001:20::1", kReserved},
      {"2001:1ff::1", kReserved},
      {"2001:200::1", kGlobal},
      {"2001:db8::1", kGlobal},
      {"2002::1", kMapped},
      {"2002:a00:1::1", kMapped},
      {"2003::1", kGlobal},
      {"2606:4700::1", kGlobal},
      {"3fff::1", kGlobal},
      {"4000::1", kReserved},
      {"5f00::1", kReserved},
      {"fbff::1", kReserved},
      {"fc00::1", kUniqueLocal},
      {"fdff:ffff::1", kUniqueLocal},
      {"fe00::1", kReserved},
      {"fe80::1", kLinkLocal},
      {"febf::1", kLinkLocal},
      {"fec0::1", kPrivate},
      {"feff::1", kPrivate},
      {"ff00::1", kMulticast},
      {"ff02::1", kMulticast},
      {"ffff:ffff::1", kMulticast},
  };
  for (const auto& row : rows) {
    const auto ip = Ip::parse(row.text);
    ASSERT_TRUE(ip) << row.text;
    EXPECT_EQ(kind_name(classify(*ip, !ip->is_v4())), kind_name(row.kind)) << row.text;
  }
}

TEST(Address, v4_written_as_v6_is_a_trick_wherever_it_leads) {
  for (const char* text : {"::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:192.0.2.1"}) {
    EXPECT_EQ(classify(*Ip::parse(text), true), AddressKind::kMapped) << text;
  }
  EXPECT_EQ(classify(*Ip::parse("192.0.2.1"), false), AddressKind::kGlobal);
}

TEST(SocketAddress, brackets_stand_around_ipv6_only) {
  EXPECT_EQ((SocketAddress{*Ip::parse("192.0.2.1"), 5269}.text()), "192.0.2.1:5269");
  EXPECT_EQ((SocketAddress{*Ip::parse("2001:db8::1"), 5269}.text()), "[2001:db8::1]:5269");
}

}  // namespace
}  // namespace sallyport::dns
