// The direction of a rule says who may start. Where only one side may, its requests are noted, and of the
// other side's stanzas those pass that answer one (policy/open_questions.h).
#include "gate/core_impl.h"

namespace sallyport::gate {

using policy::Direction;

// On the path of every stanza. Where both sides may start nothing is noted and nothing is looked up.
Result<void> Core::Impl::may_pass(PairEntry& entry, const xmpp::Stanza& stanza, Direction start, Now now) {
  Decided& decided = up_to_date(entry.second.decided, now);
  if (decided.in && decided.out) return {};
  return may_pass_one_way(entry.first, decided, stanza, start, now);
}

// Also where nothing is known of the pair yet, and where neither side may start.
Result<void> Core::Impl::may_pass_one_way(const Pair& pair, Decided& decided, const xmpp::Stanza& stanza,
                                          Direction start, Now now) {
  const auto& rules = policy.in_force->rules();
  if (!decided.is_known) {
    decided.in = rules.decide(pair, Direction::kIn, now.civil).result.has_value();
    decided.out = rules.decide(pair, Direction::kOut, now.civil).result.has_value();
    decided.is_known = true;
  }
  const bool may_start = start == Direction::kIn ? decided.in : decided.out;
  if (may_start) {
    if (!decided.in || !decided.out) policy.questions.note({pair, start}, stanza, now.mono);
    return {};
  }
  const bool other_may_start = decided.in || decided.out;
  if (other_may_start && policy.questions.is_answered_by(stanza, now.mono)) return {};
  return rules.decide(pair, start, now.civil).result;
}

// Rows may have changed or expired. Where both sides may start nothing was noted meanwhile, so what was noted
// before says nothing any more: such a pair begins with an empty memory when it becomes one-way again.
void Core::Impl::forget_questions(Now now) {
  if (policy.questions.empty()) return;
  const auto& rules = policy.in_force->rules();
  policy.questions.retain([&](const policy::OneWay& way) {
    const Direction other = way.start == Direction::kIn ? Direction::kOut : Direction::kIn;
    return rules.decide(way.pair, way.start, now.civil).result.has_value() &&
           !rules.decide(way.pair, other, now.civil).result.has_value();
  });
}

}  // namespace sallyport::gate
