// The result of a check as a list of steps, each with a verdict and, unless it passes, one remedy: what
// `check tls` and `check domain` print (docs/control.md "Checks"). Pure.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::daemon {

// The names of the steps. They are stable: programs find a step by its name.
namespace step {
inline constexpr std::string_view kOurCertificate = "our certificate";
inline constexpr std::string_view kPolicy = "policy";
inline constexpr std::string_view kDns = "DNS";
inline constexpr std::string_view kConnection = "connection";
inline constexpr std::string_view kStreamHeader = "stream header";  // only where it fails
inline constexpr std::string_view kFeatures = "features";
inline constexpr std::string_view kStartTls = "STARTTLS";  // only where it fails
inline constexpr std::string_view kTls = "TLS";
inline constexpr std::string_view kCertificate = "certificate";
inline constexpr std::string_view kChain = "chain";
inline constexpr std::string_view kDates = "dates";
inline constexpr std::string_view kUsage = "EKU";
inline constexpr std::string_view kProvesDomain = "proves the domain";
inline constexpr std::string_view kFeaturesAfterTls = "features after TLS";
inline constexpr std::string_view kOurProof = "our proof";
inline constexpr std::string_view kSession = "session";
}  // namespace step

class CheckSteps {
 public:
  void pass(std::string_view what, std::string detail);
  // The detail is the code's sentence and the error's text. The remedy is the code's, unless one is given.
  void warn(std::string_view what, const Error& error, std::string_view remedy = {});
  void fail(std::string_view what, const Error& error, std::string_view remedy = {});
  // A warning without a code.
  void warn(std::string_view what, std::string detail, std::string_view remedy);

  bool has_failed() const { return failed_; }
  // [{`what`, `verdict`, `ok`, `detail`, `code`, `remedy`}]
  const boost::json::array& list() const { return list_; }
  // `ok` unless a step failed.
  std::string_view result() const { return failed_ ? "failed" : "ok"; }

 private:
  void add(std::string_view what, std::string_view verdict, std::string detail, const Error* error,
           std::string_view remedy);
  boost::json::array list_;
  bool failed_ = false;
};

// The answer of a check for people; ends with a line feed.
std::string show_check(const boost::json::object& answer);

}  // namespace sallyport::daemon
