// What the shards of a door answer to one question, as the one answer of the door (docs/control.md). Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::daemon {

// `answers`: one for each shard, by number; at least one, whose answer is the door's where it is the only
// one. `in_use`: so many of them, the first ones, carry streams.

// Streams, stanzas and what waits are summed; there is a row for each link of each shard in use, with its
// number; the policy is the oldest that one of them has, so that a change is there when it is everywhere.
boost::json::object join_status(std::vector<boost::json::object> answers, std::size_t in_use);
// The rows of all, each with its shard's number.
boost::json::object join_connections(std::vector<boost::json::object> answers);
// That of the shard which carries the pair, unless another one knows of something that failed.
boost::json::object join_explain(std::vector<boost::json::object> answers, std::size_t in_use);

// Whether all shards are asked that, since each has an answer of its own.
bool is_joined(std::string_view ask);
// The answers' texts joined as the question `ask` wants it: by one of these, or the first shard's.
std::string join_answers(const std::string& ask, std::vector<std::string> answers, std::size_t in_use);

}  // namespace sallyport::daemon
