// The direction of a rule says who may start. Where only one side may, its requests are noted, and of the
// other side's stanzas those pass that answer one (policy/open_questions.h).
#include "gate/core_impl.h"

namespace sallyport::gate {

using policy::Direction;

// On the path of every stanza. Where both sides may start nothing is noted and nothing is looked up.
Result<void> Core::Impl::may_pass(const Pair& pair, const xmpp::Stanza& stanza, Direction start, Now now) {
  Judged& judged = up_to_date(state_of(pair).second.judged, now);
  if (judged.in && judged.out) return {};
  return may_pass_one_way(pair, judged, stanza, start, now);
}

// Also where nothing is known of the pair yet, and where neither side may start.
Result<void> Core::Impl::may_pass_one_way(const Pair& pair, Judged& judged, const xmpp::Stanza& stanza,
                                          Direction start, Now now) {
  const auto& rules = policy.in_force->rules();
  if (!judged.is_known) {
    judged.in = rules.judge(pair, Direction::kIn, now.civil).result.has_value();
    judged.out = rules.judge(pair, Direction::kOut, now.civil).result.has_value();
    judged.is_known = true;
  }
  const bool may_start = start == Direction::kIn ? judged.in : judged.out;
  if (may_start) {
    if (!judged.in || !judged.out) policy.questions.note({pair, start}, stanza, now.mono);
    return {};
  }
  const bool other_may_start = judged.in || judged.out;
  if (other_may_start && policy.questions.is_answered_by(stanza, now.mono)) return {};
  return rules.judge(pair, start, now.civil).result;
}

// Rows may have changed or expired. Where both sides may start nothing was noted meanwhile, so what was noted
// before says nothing any more: such a pair begins with an empty memory when it becomes one-way again.
void Core::Impl::forget_questions(Now now) {
  if (policy.questions.empty()) return;
  const auto& rules = policy.in_force->rules();
  policy.questions.retain([&](const policy::OneWay& way) {
    const Direction other = way.start == Direction::kIn ? Direction::kOut : Direction::kIn;
    return rules.judge(way.pair, way.start, now.civil).result.has_value() &&
           !rules.judge(way.pair, other, now.civil).result.has_value();
  });
}

}  // namespace sallyport::gate
