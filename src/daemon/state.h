// The core's state directory: files that the core makes and keeps. Only one core at a time uses it.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::daemon {

// Reads a dialback secret. Errors: kFileUnreadable, kFileFormat (shorter than 32 characters).
Result<std::string> read_dialback_secret(const std::string& path);

// Whether the private CA (net/internal_ca.h) may be made in the state directory `path`: only in an empty one.
// A lost CA is not replaced silently, because the internal servers trust the old one. To be called before
// anything else is stored. Errors: kConfigMissing.
Result<void> may_make_internal_ca(const std::string& path);

// Whether the generation that is stored in the state directory `path` has its form; also where none is.
// Errors: kFileUnreadable, kFileFormat.
Result<void> check_generation(const std::string& path);

// Whether the folder of `spool` (a path) is there. That may be the state directory `path`, which a start
// makes. Errors: kConfigMissing.
Result<void> check_spool_folder(const std::string& path, const std::string& spool);

class StateDirectory {
 public:
  // Makes the directory (0700) if only it is absent, and locks it. Errors: kFileUnreadable;
  // kConfigConflict when another core uses it.
  static Result<StateDirectory> open(const std::string& path);
  StateDirectory(StateDirectory&& other) noexcept;
  StateDirectory& operator=(StateDirectory&&) = delete;
  ~StateDirectory();

  const std::string& path() const { return path_; }

  // The dialback secret: the one in `configured` (a path), else `dialback.secret` here, which is made on
  // first use: 256 random bits (THREATS B2), mode 0600. Errors: kFileUnreadable, kFileFormat (shorter
  // than 32 characters).
  Result<std::string> dialback_secret(const std::string& configured, Random& random) const;

  // The generation of the policy in force: the stored one if `fingerprint` is unchanged, else the next one,
  // which is stored. Errors: kFileUnreadable, kFileFormat.
  Result<std::uint64_t> generation(const std::string& fingerprint) const;

 private:
  StateDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace sallyport::daemon
