#include "daemon/state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "daemon/file.h"

namespace sallyport::daemon {
namespace {

constexpr std::size_t kSecretCharactersMin = 32;
constexpr std::size_t kSmallFileBytesMax = 4096;

struct StoredGeneration {
  std::uint64_t generation = 0;
  std::string fingerprint;
};

// "17 <fingerprint>\n"
std::optional<StoredGeneration> parse_generation(const std::string& text) {
  StoredGeneration stored;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, stored.generation);
  if (failed != std::errc{} || rest == end || *rest != ' ' || text.back() != '\n') return std::nullopt;
  stored.fingerprint.assign(rest + 1, end - 1);
  return stored;
}

// Generation 0 where none is stored.
Result<StoredGeneration> read_generation(const std::string& directory) {
  const std::string path = directory + "/generation";
  if (!file_exists(path)) return StoredGeneration{};
  const Result<std::string> text = read_file(path, kSmallFileBytesMax);
  if (!text) return text.error();
  auto parsed = parse_generation(*text);
  if (!parsed)
    return Error{Code::kFileFormat,
                 fmt::format("{}: the content is not a generation and a fingerprint", path)};
  return *std::move(parsed);
}

}  // namespace

Result<StateDirectory> StateDirectory::open(const std::string& path) {
  if (Result<void> made = make_directory(path, 0700); !made) return std::move(made).error();
  const std::string lock_path = path + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return file_error(lock_path, errno);
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return Error{Code::kConfigConflict, fmt::format("{}: another core uses this directory", path)};
  }
  return StateDirectory(path, lock);
}

StateDirectory::StateDirectory(StateDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

StateDirectory::~StateDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

Result<std::string> StateDirectory::dialback_secret(const std::string& configured, Random& random) const {
  const std::string path = configured.empty() ? path_ + "/dialback.secret" : configured;
  if (configured.empty() && !file_exists(path)) {
    std::string fresh = random.hex(32) + "\n";
    Result<void> written = write_new_file(path, fresh, 0600);
    wipe(fresh);
    if (!written) return std::move(written).error();
  }
  return read_dialback_secret(path);
}

Result<std::string> read_dialback_secret(const std::string& path) {
  Result<std::string> secret = read_file(path, kSmallFileBytesMax);
  if (!secret) return secret;
  while (!secret->empty() && (secret->back() == '\n' || secret->back() == '\r')) secret->pop_back();
  if (secret->size() < kSecretCharactersMin) {
    return Error{Code::kFileFormat, fmt::format("{}: a dialback secret must have at least {} characters",
                                                path, kSecretCharactersMin)};
  }
  return secret;
}

Result<void> may_make_internal_ca(const std::string& path) {
  const bool stored = file_exists(path + "/generation") || file_exists(path + "/dialback.secret");
  if (!stored || file_exists(path + "/internal-ca.crt") || file_exists(path + "/internal-ca.key")) return {};
  return Error{
      Code::kConfigMissing,
      fmt::format(
          "{0}/internal-ca.crt and .key are missing: restore them from a backup, or empty {0} to start "
          "again with a new CA, which the internal servers must then trust",
          path)};
}

Result<void> check_generation(const std::string& path) {
  if (const auto stored = read_generation(path); !stored) return stored.error();
  return {};
}

Result<void> check_spool_folder(const std::string& path, const std::string& spool) {
  const std::filesystem::path folder = std::filesystem::path(spool).parent_path();
  if (folder == (std::filesystem::path(path) / "spool.db").parent_path()) return {};
  std::error_code failed;
  const auto type = std::filesystem::status(folder, failed).type();
  // Another user than the daemon's may not look into the state directory.
  if (type == std::filesystem::file_type::directory || type == std::filesystem::file_type::none) return {};
  return Error{
      Code::kConfigMissing,
      fmt::format("the directory of `spool` in [delivery], `{}`, does not exist; make it, and let the core's "
                  "user write to it",
                  folder.string())};
}

Result<std::uint64_t> StateDirectory::generation(const std::string& fingerprint) const {
  const Result<StoredGeneration> stored = read_generation(path_);
  if (!stored) return stored.error();
  if (stored->generation > 0 && stored->fingerprint == fingerprint) return stored->generation;
  const std::uint64_t next = stored->generation + 1;
  const std::string text = fmt::format("{} {}\n", next, fingerprint);
  if (Result<void> written = replace_file(path_ + "/generation", text, 0600); !written)
    return std::move(written).error();
  return next;
}

}  // namespace sallyport::daemon
