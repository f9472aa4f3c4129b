// Set-up and idle: inbound streams from distinct domains, opened and closed, or held.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proc.h"
#include "stream.h"

namespace bench {

class Crowd {
 public:
  explicit Crowd(const Options& options);
  // Prints the result as JSON; the program's exit code.
  int run();

 private:
  void open(std::size_t number);
  void pause(double s);
  void print(const std::vector<Usage>& before, const std::vector<Usage>& after, double elapsed_s,
             std::uint64_t overflows);

  const Options& options_;
  Loop loop_;
  Pki pki_;
  Owned<SSL_CTX> client_ = client_context();
  Owned<SSL_CTX> server_;
  StreamHost host_;
  sockaddr_in entry_;
  std::unordered_map<Stream*, std::unique_ptr<Stream>> streams_;
  std::size_t begun_ = 0;
  std::size_t ready_ = 0;
  std::size_t failed_ = 0;
  std::string failure_;
};

}  // namespace bench
