// The load generator of Sallyport's benchmarks: plays the internal servers and the remote ones.
#include <csignal>

#include "crowd.h"
#include "traffic.h"

namespace {

// "core/certs/local=l0.inside.example,l1.inside.example"
int write_pki(const bench::Options& options) {
  bench::Pki pki(options.folder);
  for (const std::string& row : options.names) {
    std::size_t equals = row.find('=');
    bench::must(equals != std::string::npos, "--certificate wants STEM=NAME,NAME...");
    std::vector<std::string> names;
    for (std::size_t at = equals + 1; at < row.size();) {
      std::size_t end = std::min(row.find(',', at), row.size());
      names.push_back(row.substr(at, end - at));
      at = end + 1;
    }
    bench::must(!names.empty(), "--certificate wants names");
    pki.write(options.folder + "/" + row.substr(0, equals), names);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Options options = bench::parse_options(argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  bench::raise_descriptor_limit();
  switch (options.mode) {
    case bench::Mode::kPki:
      return write_pki(options);
    case bench::Mode::kSetup:
    case bench::Mode::kIdle:
      return bench::Crowd(options).run();
    default:
      return bench::Traffic(options).run();
  }
}
