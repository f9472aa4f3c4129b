// For tests only: the two halves of stream management, each on a stream of its own.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/stream_fixture.h"
#include "s2s/stream_management.h"

namespace sallyport::s2s::dialogue {

inline xmpp::Element element(const std::string& name, const std::string& h = {}) {
  xmpp::Element made{{std::string(kManagement), name}, {}, {}, {}};
  if (!h.empty()) made.attributes.push_back({{{}, "h"}, h});
  return made;
}
using Attributes = std::vector<std::pair<std::string, std::string>>;
inline xmpp::Element element_with(const std::string& name, const Attributes& attributes) {
  xmpp::Element made = element(name);
  for (const auto& [key, value] : attributes) made.attributes.push_back({{{}, key}, value});
  return made;
}
inline xmpp::Element features(bool offered) {
  xmpp::Element made{{std::string(xmpp::ns::kStreams), "features"}, {}, {}, {}};
  if (offered) made.children.push_back(element("sm"));
  return made;
}
inline std::string answer(unsigned h) { return fmt::format("<a xmlns='urn:xmpp:sm:3' h='{}'/>", h); }
inline const std::string kEnable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
inline const std::string kEnabled = "<enabled xmlns='urn:xmpp:sm:3'/>";
inline const std::string kRequest = "<r xmlns='urn:xmpp:sm:3'/>";

// --- the entity that sends

struct AckRequestsTest : ::testing::Test {
  AckRequestsTest() { lane.add(proof(pair("local.example", "remote.example"))); }
  void offers(bool offered = true) { requests.handle_features(features(offered)); }
  void sends(int count = 1) {
    for (int i = 0; i < count; ++i) {
      lone.stream.write("s");
      lane.add(lone.stream.output().end(), 1);
      requests.handle_sent();
    }
  }
  void is_on() {
    offers();
    requests.start();
    requests.handle_element(element("enabled"));
    writes();
  }
  std::string writes() {
    std::string out;
    lone.stream.output().take(out);
    lane.handle_written(lone.stream.output().end(), lone.stream.output().end());
    return out;
  }
  std::string gets(const xmpp::Element& element) {
    const auto outcome = requests.handle_element(element);
    std::string text;
    if (outcome.delivered) text += fmt::format("{} delivered", outcome.delivered->count);
    if (outcome.in_doubt) text += fmt::format("in doubt until {}", outcome.in_doubt->mark);
    if (outcome.resume) {
      text += outcome.resume->resumed ? "resumed" : "not resumed";
      if (outcome.resume->handled) text += fmt::format(", {} handled", *outcome.resume->handled);
    }
    return text;
  }
  LoneStream lone;
  SendLane lane;
  AckRequests requests{lone.stream, lane};
};

// --- the entity that receives

struct AckAnswersTest : ::testing::Test {
  void is_on() {
    answers.handle_element(element("enable"), true);
    writes();
  }
  std::string writes() {
    std::string out;
    lone.stream.output().take(out);
    return out;
  }
  void receives(int count) {
    for (int i = 0; i < count; ++i) answers.handle_received();
  }
  LoneStream lone;
  CountingRandom random;
  AckAnswers answers{lone.stream, random};
};

}  // namespace sallyport::s2s::dialogue
