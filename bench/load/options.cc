#include "options.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

namespace bench {
namespace {

constexpr const char* kUsage = R"(usage: sallyport-load MODE [--WORD VALUE]...

modes
  saturate   as many stanzas as pass, a bounded number in flight
  rate       a fixed number a second; latency from the scheduled time
  setup      opens --count streams, --at-once of them at a time, and closes them
  idle       opens --count streams and holds them
  pki        writes ca.crt, ca.key and certificates into --folder

words
  --transport starttls|direct|tls|component  --direction in|out|both
  --entry-in ADDRESS:PORT     --entry-out ADDRESS:PORT      where stanzas go in
  --listen-inside A:P         --listen-world A:P            the servers that we play
  --pairs N  --locals N  --remotes N  --local-suffix DOMAIN  --remote-suffix DOMAIN
  --acks yes|no               whether the servers that we play acknowledge stanzas (XEP-0198)
  --window N  --per-record N  --stanza-bytes N  --rate N
  --setup SECONDS  --warm SECONDS  --measure SECONDS
  --turn I/N                  works in every N-th half second only, beside N - 1 others
  --begin ready|told          as soon as it is ready, or when standard input ends
  --count N  --at-once N  --hold SECONDS  --to DOMAIN
  --folder FOLDER  --certificate STEM=NAME,NAME...  --secret TEXT
  --components each|one       a component for each domain, or one on each side for all
  --watch PID[,PID]...        CPU and memory of these are in the result (JSON, standard output)
)";

[[noreturn]] void usage(const std::string& why) {
  std::fprintf(stderr, "sallyport-load: %s\n\n%s", why.c_str(), kUsage);
  std::exit(2);
}

double number(const std::string& word, const std::string& text) {
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || value < 0)
    usage(word + ": `" + text + "` is no number");
  return value;
}

std::size_t whole(const std::string& word, const std::string& text) {
  double value = number(word, text);
  if (value != std::floor(value) || value > 1e9) usage(word + ": `" + text + "` is no whole number");
  return static_cast<std::size_t>(value);
}

template <typename T>
T one_of(const std::string& word, const std::string& text, const std::map<std::string, T>& known) {
  auto found = known.find(text);
  if (found == known.end()) usage(word + ": `" + text + "` is unknown");
  return found->second;
}

std::vector<int> pids_of(const std::string& word, const std::string& text) {
  std::vector<int> pids;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find(',', at), text.size());
    pids.push_back(static_cast<int>(whole(word, text.substr(at, end - at))));
    at = end + 1;
  }
  return pids;
}

using Setters = std::map<std::string, std::function<void(const std::string&)>>;

Setters setters_of(Options& options) {
  Setters set;
  auto text = [&](const char* word, std::string& to) { set[word] = [&to](const std::string& v) { to = v; }; };
  auto count = [&](const char* word, std::size_t& to) {
    set[word] = [&to, word](const std::string& v) { to = whole(word, v); };
  };
  auto real = [&](const char* word, double& to) {
    set[word] = [&to, word](const std::string& v) { to = number(word, v); };
  };
  text("--entry-in", options.entry_in);
  text("--entry-out", options.entry_out);
  text("--listen-inside", options.listen_inside);
  text("--listen-world", options.listen_world);
  text("--local-suffix", options.local_suffix);
  text("--remote-suffix", options.remote_suffix);
  text("--to", options.to);
  text("--secret", options.secret);
  text("--folder", options.folder);
  count("--pairs", options.pairs);
  count("--locals", options.locals);
  count("--remotes", options.remotes);
  count("--window", options.window);
  count("--per-record", options.per_record);
  count("--stanza-bytes", options.stanza_bytes);
  count("--count", options.count);
  count("--at-once", options.at_once);
  real("--rate", options.rate);
  real("--setup", options.setup_s);
  real("--warm", options.warm_s);
  real("--measure", options.measure_s);
  real("--hold", options.hold_s);
  set["--certificate"] = [&](const std::string& v) { options.names.push_back(v); };
  set["--components"] = [&](const std::string& v) {
    options.one_component = one_of<bool>("--components", v, {{"one", true}, {"each", false}});
  };
  set["--turn"] = [&](const std::string& v) {
    std::size_t slash = std::min(v.find('/'), v.size());
    options.turns.own = whole("--turn", v.substr(0, slash));
    options.turns.count = whole("--turn", v.substr(std::min(slash + 1, v.size())));
    if (options.turns.own >= options.turns.count) usage("--turn wants I/N, I below N");
  };
  set["--acks"] = [&](const std::string& v) {
    options.acks = one_of<bool>("--acks", v, {{"no", false}, {"yes", true}});
  };
  set["--begin"] = [&](const std::string& v) {
    options.waits = one_of<bool>("--begin", v, {{"ready", false}, {"told", true}});
  };
  set["--watch"] = [&](const std::string& v) { options.watch = pids_of("--watch", v); };
  set["--transport"] = [&](const std::string& v) {
    options.transport = one_of<Transport>("--transport", v,
                                          {{"starttls", Transport::kStartTls},
                                           {"direct", Transport::kDirectTls},
                                           {"tls", Transport::kBareTls},
                                           {"component", Transport::kComponent}});
  };
  set["--direction"] = [&](const std::string& v) {
    options.direction = one_of<Direction>(
        "--direction", v, {{"in", Direction::kIn}, {"out", Direction::kOut}, {"both", Direction::kBoth}});
  };
  return set;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  if (argc < 2) usage("which mode?");
  options.mode = one_of<Mode>("mode", argv[1],
                              {{"saturate", Mode::kSaturate},
                               {"rate", Mode::kRate},
                               {"setup", Mode::kSetup},
                               {"idle", Mode::kIdle},
                               {"pki", Mode::kPki}});
  Setters set = setters_of(options);
  for (int at = 2; at < argc; at += 2) {
    auto found = set.find(argv[at]);
    if (found == set.end()) usage(std::string("`") + argv[at] + "` is unknown");
    if (at + 1 == argc) usage(std::string(argv[at]) + " wants a value");
    found->second(argv[at + 1]);
  }
  if (options.locals == 0) options.locals = options.pairs;
  if (options.remotes == 0) options.remotes = options.pairs;
  if (options.to.empty()) options.to = options.local(0);
  if (options.pairs == 0 || options.per_record == 0 || options.at_once == 0) usage("none is not enough");
  if (options.window < options.per_record) usage("--window is smaller than --per-record");
  if (options.folder.empty()) usage("--folder is missing");
  bool is_crowd = options.mode == Mode::kSetup || options.mode == Mode::kIdle;
  bool has_out = !is_crowd && options.direction != Direction::kIn;
  bool has_in = is_crowd || options.direction != Direction::kOut;
  if (options.mode != Mode::kPki && has_in && options.entry_in.empty()) usage("--entry-in is missing");
  if (options.mode != Mode::kPki && has_out && options.entry_out.empty()) usage("--entry-out is missing");
  return options;
}

}  // namespace bench
