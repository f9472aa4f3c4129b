// Formats answers for people: aligned columns, and peers' strings escaped. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::daemon {

// Rows below a heading. Each column is as wide as its widest cell, with two spaces between; lines do not end
// with spaces. Cells are shown as base/log.h's `shown` does. Empty when there are no rows.
std::string aligned(const std::vector<std::string>& heading,
                    const std::vector<std::vector<std::string>>& rows);

// A text of any length for one line: escaped as by base/log.h's `shown`, but not cut, and with quotation
// marks as they are.
std::string in_line(std::string_view text);

// A member as text: strings as they are, numbers, "yes" or "no", "-" when absent or null. Lists are joined
// with
// ", ".
std::string field(const boost::json::object& object, std::string_view name);
// The member if it is an object or a list, else an empty one: nodes of another version may lack it.
const boost::json::object& object_at(const boost::json::object& object, std::string_view name);
const boost::json::array& list_at(const boost::json::object& object, std::string_view name);

// The answers of docs/control.md for people. Each ends with a line feed.
std::string show_status(const boost::json::object& answer);
std::string show_connections(const boost::json::object& answer);
std::string show_explain(const boost::json::object& answer);
std::string show_policy(const boost::json::object& answer);
// One of the `changes` of `policy diff` and `policy apply`: "+" added, "-" removed, "~" changed.
std::string show_policy_change(const boost::json::object& change);
std::string show_policy_diff(const boost::json::object& answer);
std::string show_policy_test(const boost::json::object& answer);
// The answer of `check dns` (net/dial_explain.h).
std::string show_dns(const boost::json::object& answer);
std::string show_error(const boost::json::object& error);

}  // namespace sallyport::daemon
