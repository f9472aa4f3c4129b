// Answers as people read them: columns that line up, strings of peers made harmless. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::daemon {

// Rows below a heading, each column as wide as its widest cell, two spaces between; no spaces at a line's
// end. Cells are shown as base/log.h's `shown` does. Empty when there are no rows.
std::string aligned(const std::vector<std::string>& heading,
                    const std::vector<std::vector<std::string>>& rows);

// A text of any length as part of a line of its own: as base/log.h's `shown`, but whole, and with quotation
// marks as they are.
std::string in_line(std::string_view text);

// A member as text: strings as they are, numbers and truths written out, "-" when absent or null. Lists are
// joined with ", ".
std::string field(const boost::json::object& object, std::string_view name);
// The member if it is an object or a list; an empty one otherwise. For answers of doors of another version.
const boost::json::object& object_at(const boost::json::object& object, std::string_view name);
const boost::json::array& list_at(const boost::json::object& object, std::string_view name);

// The answers of docs/control.md for people. Each ends with a line feed.
std::string show_status(const boost::json::object& answer);
std::string show_connections(const boost::json::object& answer);
std::string show_explain(const boost::json::object& answer);
std::string show_policy(const boost::json::object& answer);
// One of the `changes` of `policy diff` and `policy apply`: "+" has come, "-" has gone, "~" is otherwise.
std::string show_policy_change(const boost::json::object& change);
std::string show_policy_diff(const boost::json::object& answer);
std::string show_policy_test(const boost::json::object& answer);
// What `check dns` found (net/dial_explain.h).
std::string show_dns(const boost::json::object& answer);
std::string show_error(const boost::json::object& error);

}  // namespace sallyport::daemon
