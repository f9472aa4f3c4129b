#include "dns/targets.h"

#include "base/limits.h"

namespace sallyport::dns {
namespace {

// splitmix64: small, and random enough to test a distribution.
class Seeded : public Random {
 public:
  explicit Seeded(std::uint64_t seed) : state_(seed) {}
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) {
      state_ += 0x9e3779b97f4a7c15ULL;
      std::uint64_t z = state_;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      out[i] = static_cast<std::uint8_t>(z >> 56);
    }
  }

 private:
  std::uint64_t state_;
};

xmpp::Domain domain() { return *xmpp::Domain::parse("partner.example"); }

SrvAnswer found(std::vector<SrvRecord> records, bool secure = false) {
  return {LookupOutcome::kFound, secure, std::move(records), {}};
}
SrvAnswer none(LookupOutcome outcome) { return {outcome, false, {}, "why"}; }

const std::vector<std::uint16_t> kPorts{5269, 5270};

Targets targets(const SrvAnswer& direct, const SrvAnswer& starttls, std::uint64_t seed = 1) {
  Seeded random(seed);
  return order_targets(domain(), direct, starttls, kPorts, random);
}

std::string shown(const Targets& t) {
  std::string out;
  for (const auto& target : t.list) out += target.text() + "; ";
  for (const auto& skipped : t.skipped) {
    out += "skipped " + skipped.record.target + " " + std::string(code_row(skipped.why.code).name) + "; ";
  }
  if (t.refusal) out += "refused " + std::string(code_row(t.refusal->code).name) + "; ";
  if (t.srv_failure) out += "after " + std::string(code_row(t.srv_failure->code).name) + "; ";
  return out;
}

TEST(Targets, each_pair_of_answers_has_one_meaning) {
  using enum LookupOutcome;
  struct Row {
    const char* name;
    SrvAnswer direct;
    SrvAnswer starttls;
    const char* expected;
  };
  const auto dot = found({{0, 0, 0, "."}});
  const auto one = found({{0, 0, 5269, "a.example"}});
  const auto tls = found({{0, 0, 5270, "t.example"}});
  const char* fallback = "address of partner.example:5269; ";
  const Row rows[] = {
      {"no records at all", none(kNoData), none(kNoData), fallback},
      {"no such names", none(kNoName), none(kNoName), fallback},
      {"both fail", none(kFailure), none(kFailure), "address of partner.example:5269; after dns.failure; "},
      {"one fails", none(kNoData), none(kFailure), "address of partner.example:5269; after dns.failure; "},
      {"starttls only", none(kNoName), one, "SRV a.example:5269; "},
      {"direct only", tls, none(kNoData), "SRV (Direct TLS) t.example:5270; "},
      {"direct while the other fails", tls, none(kFailure), "SRV (Direct TLS) t.example:5270; "},
      {"starttls while the other fails", none(kFailure), one, "SRV a.example:5269; "},
      {"direct bogus", none(kBogus), one, "refused dns.bogus; "},
      {"starttls bogus", tls, none(kBogus), "refused dns.bogus; "},
      {"bogus without another", none(kNoName), none(kBogus), "refused dns.bogus; "},
      {"declined", none(kNoData), dot, "skipped . dns.decline; refused dns.decline; "},
      {"declined by direct only", dot, none(kNoData), "skipped . dns.decline; refused dns.decline; "},
      {"declined twice", dot, dot, "skipped . dns.decline; skipped . dns.decline; refused dns.decline; "},
      {"no direct TLS, declared", dot, one, "SRV a.example:5269; skipped . dns.decline; "},
      {"no STARTTLS, declared", tls, dot, "SRV (Direct TLS) t.example:5270; skipped . dns.decline; "},
      {"declined while the other fails", dot, none(kFailure), "skipped . dns.decline; refused dns.failure; "},
      {"a port that is not allowed", none(kNoData), found({{0, 0, 22, "a.example"}}),
       "skipped a.example dial.port; refused dial.port; "},
      {"port 0", none(kNoData), found({{0, 0, 0, "a.example"}}),
       "skipped a.example dial.port; refused dial.port; "},
      {"a port tells more than a decline", dot, found({{0, 0, 443, "a.example"}}),
       "skipped . dns.decline; skipped a.example dial.port; refused dial.port; "},
      {"an allowed port after another", none(kNoData),
       found({{0, 0, 22, "a.example"}, {1, 0, 5269, "b.example"}}),
       "SRV b.example:5269; skipped a.example dial.port; "},
      {"the same record twice", none(kNoData), found({{0, 0, 5269, "a.example"}, {1, 0, 5269, "a.example"}}),
       "SRV a.example:5269; "},
      {"the same server both ways", found({{1, 0, 5269, "a.example"}}), one,
       "SRV a.example:5269; SRV (Direct TLS) a.example:5269; "},
  };
  for (const auto& row : rows) EXPECT_EQ(shown(targets(row.direct, row.starttls)), row.expected) << row.name;
}

TEST(Targets, both_services_are_one_list_by_priority) {
  const auto t =
      targets(found({{20, 0, 5270, "d.example"}, {5, 0, 5270, "a.example"}}),
              found({{10, 0, 5269, "b.example"}, {15, 0, 5269, "c.example"}, {30, 0, 5269, "e.example"}}));
  EXPECT_EQ(shown(t),
            "SRV (Direct TLS) a.example:5270; SRV b.example:5269; SRV c.example:5269; "
            "SRV (Direct TLS) d.example:5270; SRV e.example:5269; ");
}

TEST(Targets, a_target_is_secure_when_its_own_answer_is) {
  const auto t = targets(found({{1, 0, 5270, "a.example"}}, true), found({{2, 0, 5269, "b.example"}}, false));
  ASSERT_EQ(t.list.size(), 2U);
  EXPECT_TRUE(t.list[0].secure);
  EXPECT_FALSE(t.list[1].secure);
  SrvAnswer proven = none(LookupOutcome::kNoName);
  proven.secure = true;
  EXPECT_TRUE(targets(proven, proven).list[0].secure);
  EXPECT_FALSE(targets(proven, none(LookupOutcome::kNoName)).list[0].secure);
}

TEST(Targets, sixteen_are_tried_and_the_seventeenth_is_not) {
  std::vector<SrvRecord> records;
  for (std::size_t i = 0; i < limits::kTargetsMax; ++i) {
    records.push_back({static_cast<std::uint16_t>(i), 0, 5269, fmt::format("h{}.example", i)});
  }
  EXPECT_EQ(targets(none(LookupOutcome::kNoData), found(records)).list.size(), limits::kTargetsMax);
  EXPECT_TRUE(targets(none(LookupOutcome::kNoData), found(records)).skipped.empty());
  records.push_back({100, 0, 5269, "more.example"});
  const auto t = targets(none(LookupOutcome::kNoData), found(records));
  EXPECT_EQ(t.list.size(), limits::kTargetsMax);
  ASSERT_EQ(t.skipped.size(), 1U);
  EXPECT_EQ(t.skipped[0].why.code, Code::kDnsTooMany);
}

// Pearson's statistic of how often each record came first, against the odds of RFC 2782: the random number is
// drawn from 0 to the sum, inclusive, and only 0 selects a weight of 0.
TEST(Targets, weights_0_10_90_come_first_as_often_as_rfc_2782_says) {
  const auto answer = found({{0, 90, 5269, "ninety"}, {0, 0, 5269, "zero"}, {0, 10, 5269, "ten"}});
  constexpr int kDraws = 10'000;
  Seeded random(20260725);
  std::map<std::string, int> first;
  for (int i = 0; i < kDraws; ++i) {
    ++first[order_targets(domain(), none(LookupOutcome::kNoData), answer, kPorts, random).list.front().host];
  }
  const std::map<std::string, double> odds{{"zero", 1.0 / 101}, {"ten", 10.0 / 101}, {"ninety", 90.0 / 101}};
  double chi_square = 0;
  for (const auto& [name, probability] : odds) {
    const double expected = probability * kDraws;
    chi_square += (first[name] - expected) * (first[name] - expected) / expected;
  }
  EXPECT_LT(chi_square, 13.82) << "two degrees of freedom, p = 0.001";
  EXPECT_EQ(first.size(), 3U);
}

TEST(Targets, all_weights_0_still_change_places_only_within_their_priority) {
  const auto answer = found({{0, 0, 5269, "a"}, {0, 0, 5269, "b"}, {1, 0, 5269, "c"}});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto t = targets(none(LookupOutcome::kNoData), answer, seed);
    ASSERT_EQ(t.list.size(), 3U);
    EXPECT_EQ(t.list[2].host, "c");
  }
}

TEST(Targets, families_take_turns_with_ipv6_first) {
  const Ip a = *Ip::parse("2001:db8::1");
  const Ip b = *Ip::parse("2001:db8::2");
  const Ip x = *Ip::parse("192.0.2.1");
  using List = std::vector<std::pair<Ip, bool>>;
  EXPECT_EQ(take_turns(std::vector{a, b}, std::vector{x}), (List{{a, true}, {x, false}, {b, true}}));
  EXPECT_EQ(take_turns({}, std::vector{x}), (List{{x, false}}));
  EXPECT_EQ(take_turns(std::vector{a}, {}), (List{{a, true}}));
}

}  // namespace
}  // namespace sallyport::dns
