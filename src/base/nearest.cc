#include "base/nearest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace sallyport {
namespace {

// Longer words are not mistyped keys, and the distance costs the product of both lengths.
constexpr std::size_t kComparedBytesMax = 64;

// The Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known) {
  word = word.substr(0, kComparedBytesMax);
  std::optional<std::string_view> best;
  std::size_t least = 0;
  for (const std::string_view one : known) {
    const std::size_t distance = edit_distance(word, one);
    if (best && distance >= least) continue;
    best = one;
    least = distance;
  }
  if (!best) return std::nullopt;
  const std::size_t longer = std::max(word.size(), best->size());
  const std::size_t allowed =
      std::max<std::size_t>(longer / 3, std::min(word.size(), best->size()) >= 4 ? 2 : 1);
  if (least > allowed) return std::nullopt;
  return best;
}

}  // namespace sallyport
