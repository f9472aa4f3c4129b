// Which shard of a core restores a flow.
#include "gate/contents_of_shard.h"

#include "gate/durable_queue_fixture.h"
#include "s2s/header_hint.h"

namespace sallyport::gate {
namespace {

store::SpoolContents::Held held(std::uint64_t number, const std::string& remote) {
  return {{number, {Direction::kOut, {domain("example.com"), domain(remote)}}},
          number,
          {{UnixTime{60s}, 1, 100}}};
}

// The flows of each shard, by number.
std::vector<std::vector<std::uint64_t>> given(const store::SpoolContents& all, std::size_t shards) {
  std::vector<std::vector<std::uint64_t>> numbers(shards);
  for (std::size_t shard = 0; shard < shards; ++shard) {
    const auto own = contents_of_shard(all, shard, shards);
    EXPECT_EQ(own.last_message, all.last_message);
    EXPECT_EQ(own.last_flow, all.last_flow);
    for (const auto& each : own.flows) numbers[shard].push_back(each.flow.number);
  }
  return numbers;
}

TEST(ContentsOfShardTest, with_an_edge_of_fewer_shards_nothing_is_given_to_those_without_a_link) {
  // Two of the core's four shards have a link, so that only they accepted messages, of any domain.
  store::SpoolContents all{{}, 900, 800};
  std::vector<std::vector<std::uint64_t>> accepted(4);
  for (std::uint64_t i = 1; i <= 40; ++i) {
    const std::uint64_t number = i * limits::kShardsMax + i % 2;
    all.flows.push_back(held(number, fmt::format("d{}.example", i)));
    accepted[i % 2].push_back(number);
  }
  EXPECT_EQ(given(all, 4), accepted);
}

TEST(ContentsOfShardTest, a_core_of_fewer_shards_gives_each_flow_to_one_of_them) {
  const std::size_t shards = 2;
  store::SpoolContents all{{}, 900, 800};
  std::vector<std::vector<std::uint64_t>> expected(shards);
  for (std::uint64_t i = 1; i <= 40; ++i) {
    const std::uint64_t number = i * limits::kShardsMax + 2 + i % 2;  // of the third and the fourth
    all.flows.push_back(held(number, fmt::format("d{}.example", i)));
    expected[s2s::shard_of(fmt::format("d{}.example", i), shards)].push_back(number);
  }
  EXPECT_EQ(given(all, shards), expected);
}

TEST_F(DurableQueueTest, what_a_shard_has_accepted_is_given_to_it_again) {
  for (std::uint64_t shard = 0; shard < limits::kShardsMax; ++shard) {
    spool = {};
    queue.emplace(DurableQueue::Setup{
        .bytes_max = 64 << 20, .lifetime = 24h, .random = random, .log = log, .shard = shard});
    for (const store::Flow& flow : {kOut, kIn, kElsewhere}) accepts("1", flow);
    stores();
    const auto all = spool.contents();
    EXPECT_EQ(contents_of_shard(all, shard, limits::kShardsMax).flows, all.flows) << shard;
    EXPECT_EQ(all.flows.size(), 3u);
  }
}

}  // namespace
}  // namespace sallyport::gate
