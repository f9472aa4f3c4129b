#include "gate/shown_page.h"

#include <boost/json.hpp>

namespace sallyport::gate {

namespace json = boost::json;

namespace {

constexpr std::string_view kAsk = "presence";

std::optional<ShownPresence> entry(const json::value& value) {
  const auto* row = value.if_array();
  if (row == nullptr || row->size() != 3) return {};
  for (const auto& field : *row)
    if (!field.is_string()) return {};
  const std::string_view direction = row->at(0).get_string();
  for (const auto each : {policy::Direction::kOut, policy::Direction::kIn})
    if (direction == policy::direction_name(each))
      return ShownPresence{each, std::string(row->at(1).get_string()), std::string(row->at(2).get_string())};
  return {};
}

}  // namespace

std::string shown_question(std::uint64_t after) {
  return json::serialize(json::object{{"ask", kAsk}, {"after", after}});
}

std::optional<std::uint64_t> shown_after(std::string_view question) {
  boost::system::error_code ec;
  const json::value value = json::parse(question, ec);
  const auto* object = ec ? nullptr : value.if_object();
  const auto* ask = object == nullptr ? nullptr : object->if_contains("ask");
  const auto* after = object == nullptr ? nullptr : object->if_contains("after");
  if (ask == nullptr || after == nullptr || !ask->is_string() || ask->get_string() != kAsk) return {};
  const auto number = after->to_number<std::uint64_t>(ec);
  if (ec) return {};
  return number;
}

std::string shown_answer(const ShownPage& page) {
  json::array rows;
  for (const auto& each : page.shown)
    rows.push_back(json::array{policy::direction_name(each.direction), each.from, each.to});
  return json::serialize(json::object{{"shown", std::move(rows)}, {"last", page.last}, {"more", page.more}});
}

Result<ShownPage> parse_shown(std::string_view answer) {
  const Error not_a_page{Code::kControlRefused, "the answer is no page of shown presence"};
  boost::system::error_code ec;
  const json::value value = json::parse(answer, ec);
  const auto* object = ec ? nullptr : value.if_object();
  if (object == nullptr) return not_a_page;
  const auto* rows = object->if_contains("shown");
  const auto* last = object->if_contains("last");
  const auto* more = object->if_contains("more");
  if (rows == nullptr || last == nullptr || more == nullptr || !rows->is_array() || !more->is_bool())
    return not_a_page;
  ShownPage page{.shown = {}, .last = last->to_number<std::uint64_t>(ec), .more = more->get_bool()};
  if (ec) return not_a_page;
  for (const auto& row : rows->get_array()) {
    auto shown = entry(row);
    if (!shown) return not_a_page;
    page.shown.push_back(*std::move(shown));
  }
  return page;
}

}  // namespace sallyport::gate
