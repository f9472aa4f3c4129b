#include "s2s/header_hint.h"

#include "base/bytes.h"
#include "base/limits.h"

namespace sallyport::s2s {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kNameEnd = " \t\r\n=<>/'\"";

// The rest of the bytes; each step says whether there were enough of them.
class Scan {
 public:
  explicit Scan(std::string_view bytes) : rest_(bytes) {}

  bool skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size()));
    return !rest_.empty();
  }
  // `<?xml version='1.0'?>`
  bool skip_declaration() {
    if (rest_.size() < 2) return false;
    if (!rest_.starts_with("<?")) return true;
    const std::size_t end = rest_.find("?>");
    if (end == std::string_view::npos) return false;
    rest_.remove_prefix(end + 2);
    return skip_space();
  }
  bool take_name(std::string_view& name) {
    const std::size_t end = rest_.find_first_of(kNameEnd);
    if (end == std::string_view::npos) return false;
    name = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return true;
  }
  bool take_value(std::string_view& value) {
    const std::size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return false;
    value = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return true;
  }
  // At least one byte is there.
  char front() const { return rest_.front(); }
  void skip() { rest_.remove_prefix(1); }

 private:
  std::string_view rest_;
};

std::string domain_in(std::string_view value) {
  if (value.ends_with('.')) value.remove_suffix(1);
  if (value.size() > limits::kDomainBytesMax) return {};
  std::string domain(value);
  for (char& c : domain) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return domain;
}

// Nothing: the bytes end before that is known.
std::optional<std::string> look_for(std::string_view attribute, Scan scan) {
  if (!scan.skip_space() || !scan.skip_declaration()) return std::nullopt;
  if (scan.front() != '<') return std::string();
  scan.skip();
  std::string_view name;
  std::string_view value;
  if (!scan.take_name(name)) return std::nullopt;
  if (name.starts_with('!')) return std::string();  // no element
  for (;;) {
    if (!scan.skip_space() || !scan.take_name(name)) return std::nullopt;
    if (name.empty() || !scan.skip_space())
      return name.empty() ? std::optional<std::string>("") : std::nullopt;
    if (scan.front() != '=') return std::string();
    scan.skip();
    if (!scan.skip_space()) return std::nullopt;
    if (scan.front() != '\'' && scan.front() != '"') return std::string();
    if (!scan.take_value(value)) return std::nullopt;
    if (name == attribute) return domain_in(value);
  }
}

}  // namespace

std::optional<std::string> header_hint(std::string_view bytes, std::string_view attribute) {
  auto hint = look_for(attribute, Scan(bytes.substr(0, limits::kStreamHeaderBytesMax)));
  return hint || bytes.size() < limits::kStreamHeaderBytesMax ? hint : std::string();
}

std::size_t shard_of(std::string_view domain, std::size_t shards) {
  const Digest256 digest = sha256(domain);
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < sizeof first; ++i) first = first << 8 | digest[i];
  return static_cast<std::size_t>(first % shards);
}

}  // namespace sallyport::s2s
