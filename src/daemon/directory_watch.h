// Notices when the files of a directory, or of its subdirectories, have changed, so that renewed certificates
// are used without a reload.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace sallyport::daemon {

class DirectoryWatch {
 public:
  // Calls `changed` on the executor when a change has been followed by limits::kDirectoryQuiet without
  // another: a chain and its key are two files. Also every limits::kCertificatesLookAgain. `changed` outlives
  // the watch. Errors: kFileWatch, kFileUnreadable.
  static Result<std::unique_ptr<DirectoryWatch>> open(boost::asio::any_io_executor executor,
                                                      const std::string& directory,
                                                      std::function<void()> changed);
  ~DirectoryWatch();

 private:
  class Impl;
  explicit DirectoryWatch(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::daemon
