#include "dns/trust_anchor.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::dns {
namespace {

const std::string kDigest = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

TEST(TrustAnchor, an_anchor_is_a_ds_or_dnskey_record_that_can_validate) {
  const struct {
    std::string text;
    bool usable;
  } cases[] = {
      {". IN DS 20326 8 2 " + kDigest + "\n", true},
      {".\t86400\tIN\tDS\t20326 8 2 " + kDigest, true},
      {". ds 20326 8 2 " + kDigest, true},
      {"; the root\n\n. 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8 ;{id = 20326 (ksk)}\n", true},
      {". IN DS ( 20326 8 2\n  " + kDigest.substr(0, 32) + "\n  " + kDigest.substr(32) + " )\n", true},
      {". IN A 192.0.2.1\n. IN DS 20326 8 2 " + kDigest + "\r\n", true},
      {"", false},
      {"; only a comment\n", false},
      {". IN A 1.2.3.4\n", false},
      {". IN DS 20326 99 99 " + kDigest, false},
      {". IN DS 20326 99 2 " + kDigest, false},
      {". IN DS 20326 8 2 E06D44B8\n", false},
      {". IN DS 20326 8 2 " + kDigest + "00", false},
      {". IN DS 20326 8 2 " + kDigest.substr(0, 63) + "x", false},
      {". IN DS 20326 8\n", false},
      {". IN DNSKEY 257 2 8 AwEAAaz/tAm8\n", false},
      {". IN DNSKEY 257 3 99 AwEAAaz/tAm8\n", false},
      {". IN DNSKEY 257 3 8\n", false},
      {". IN DS 20326 8 2 ; " + kDigest, false},
      {"DS 20326 8 2 " + kDigest, false},
      {"( ( ) ) ;", false},
  };
  for (const auto& [text, usable] : cases) EXPECT_EQ(has_usable_anchor(text), usable) << text;
}

}  // namespace
}  // namespace sallyport::dns
