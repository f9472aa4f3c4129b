#include "daemon/joined.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <tuple>

#include "daemon/table.h"
#include "s2s/header_hint.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

std::uint64_t number_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  boost::system::error_code failed;
  const auto number = value != nullptr ? value->to_number<std::uint64_t>(failed) : 0;
  return failed ? 0 : number;
}

// An object of numbers, summed member by member.
json::object sum_of(const std::vector<json::object>& answers, std::string_view member) {
  json::object sum = object_at(answers.front(), member);
  for (auto& [name, value] : sum) {
    std::uint64_t all = 0;
    for (const json::object& answer : answers) all += number_at(object_at(answer, member), name);
    value = all;
  }
  return sum;
}

// The `queue` of all; it is failing where one shard's is.
json::object queue_of(const std::vector<json::object>& answers) {
  json::object queue = sum_of(answers, "queue");
  queue.erase("failing");
  for (const json::object& answer : answers) {
    const json::object& failing = object_at(object_at(answer, "queue"), "failing");
    if (!failing.empty()) queue["failing"] = failing;
  }
  return queue;
}

// An edge that has none yet has no generation either: 0.
json::object oldest_policy(const std::vector<json::object>& answers, std::size_t in_use) {
  const auto oldest = std::min_element(answers.begin(), answers.begin() + static_cast<std::ptrdiff_t>(in_use),
                                       [](const json::object& a, const json::object& b) {
                                         return number_at(object_at(a, "policy"), "generation") <
                                                number_at(object_at(b, "policy"), "generation");
                                       });
  return object_at(*oldest, "policy");
}

constexpr std::array<std::string_view, 6> kJoined{"status",     "connections", "explain",
                                                  "queue list", "queue retry", "queue purge"};

json::array links_of(const std::vector<json::object>& answers, std::size_t in_use) {
  json::array rows;
  for (std::size_t link = 0; link < list_at(answers.front(), "links").size(); ++link) {
    for (std::size_t shard = 0; shard < in_use; ++shard) {
      const json::array& links = list_at(answers[shard], "links");
      if (link >= links.size() || !links[link].is_object()) continue;
      json::object row = links[link].get_object();
      row["shard"] = shard;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace

json::object join_status(std::vector<json::object> answers, std::size_t in_use) {
  json::object joined = answers.front();
  if (answers.size() == 1) return joined;
  joined["shards"] = json::object{{"count", answers.size()}, {"in_use", in_use}};
  joined["policy"] = oldest_policy(answers, in_use);
  joined["links"] = links_of(answers, in_use);
  for (const char* member : {"streams", "stanzas", "waiting"}) joined[member] = sum_of(answers, member);
  if (joined.contains("queue")) joined["queue"] = queue_of(answers);
  if (joined.contains("listening")) {
    joined["listening"] =
        std::all_of(answers.begin(), answers.begin() + static_cast<std::ptrdiff_t>(in_use),
                    [](const json::object& one) { return field(one, "listening") == "yes"; });
  }
  return joined;
}

json::object join_connections(std::vector<json::object> answers) {
  if (answers.size() == 1) return std::move(answers.front());
  json::array rows;
  for (std::size_t shard = 0; shard < answers.size(); ++shard) {
    json::value* of_shard = answers[shard].if_contains("connections");
    if (of_shard == nullptr || !of_shard->is_array()) continue;
    for (json::value& row : of_shard->get_array()) {
      if (row.is_object()) row.get_object()["shard"] = shard;
      rows.push_back(std::move(row));
    }
  }
  return {{"connections", std::move(rows)}};
}

json::object join_explain(std::vector<json::object> answers, std::size_t in_use) {
  const std::size_t home = s2s::shard_of(field(answers.front(), "remote"), in_use);
  std::size_t best = home;
  const auto tells = [&](std::size_t shard) {
    const json::object& answer = answers[shard];
    return std::tuple(field(answer, "result") != "ok", list_at(answer, "steps").size(), shard == home);
  };
  for (std::size_t shard = 0; shard < in_use; ++shard) {
    if (tells(shard) > tells(best)) best = shard;
  }
  return std::move(answers[best]);
}

json::object join_queue(std::vector<json::object> answers) {
  const auto refused = std::ranges::find_if(answers, [](const auto& one) { return one.contains("error"); });
  if (refused != answers.end()) return std::move(*refused);
  json::object joined = answers.front();
  if (!joined.contains("queue")) {
    for (auto& [name, value] : joined) {
      std::uint64_t sum = 0;
      for (const json::object& answer : answers) sum += number_at(answer, name);
      value = sum;
    }
    return joined;
  }
  joined["queue"] = queue_of(answers);
  json::array rows;
  for (json::object& answer : answers) {
    json::value* flows = answer.if_contains("flows");
    if (flows == nullptr || !flows->is_array()) continue;
    for (json::value& row : flows->get_array()) rows.push_back(std::move(row));
  }
  joined["flows"] = std::move(rows);
  return joined;
}

bool is_joined(std::string_view ask) { return std::ranges::find(kJoined, ask) != kJoined.end(); }

std::string join_answers(const std::string& ask, std::vector<std::string> answers, std::size_t in_use) {
  if (answers.size() == 1 || !is_joined(ask)) return std::move(answers.front());
  std::vector<json::object> objects;
  for (const std::string& answer : answers) {
    boost::system::error_code failed;
    json::value value = json::parse(answer, failed);
    objects.push_back(failed || !value.is_object() ? json::object() : std::move(value.get_object()));
  }
  if (ask == "status") return json::serialize(join_status(std::move(objects), in_use));
  if (ask == "connections") return json::serialize(join_connections(std::move(objects)));
  if (ask == "explain") return json::serialize(join_explain(std::move(objects), in_use));
  return json::serialize(join_queue(std::move(objects)));
}

}  // namespace sallyport::daemon
