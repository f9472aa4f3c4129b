// Joins the answers of a node's shards to one question into the node's answer (docs/control.md). Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::daemon {

// `answers`: one for each shard, by number, at least one; a single one is the node's answer. `in_use`: how
// many of the first ones carry streams.

// Streams, stanzas, waiting stanzas and the queue are summed. Each link of each shard in use has a row with
// the shard's number. The policy is the oldest of them, so a change shows when all shards have it.
boost::json::object join_status(std::vector<boost::json::object> answers, std::size_t in_use);
// The rows of all, each with its shard's number.
boost::json::object join_connections(std::vector<boost::json::object> answers);
// The answer of the shard that carries the pair, unless another shard knows of a failure.
boost::json::object join_explain(std::vector<boost::json::object> answers, std::size_t in_use);
// `queue list`: the flows of all, and the sum of their queues. `queue retry`, `queue purge`: the sums.
boost::json::object join_queue(std::vector<boost::json::object> answers);

// Whether the question goes to all shards because each has its own answer.
bool is_joined(std::string_view ask);
// Joins the answers' texts by one of these for the question `ask`; else returns the first shard's.
std::string join_answers(const std::string& ask, std::vector<std::string> answers, std::size_t in_use);

}  // namespace sallyport::daemon
