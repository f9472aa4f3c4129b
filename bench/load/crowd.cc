#include "crowd.h"

#include <cstdio>

namespace bench {
namespace {

// The time until the streams opened last have been processed everywhere.
constexpr double kSettleS = 1;

}  // namespace

Crowd::Crowd(const Options& options)
    : options_(options),
      pki_(options.folder),
      server_(server_context(pki_)),
      host_{loop_, pki_, client_.get(), server_.get(), options.secret, options.acks, {}, {}, {}},
      entry_(address_of(options.entry_in)) {
  host_.on_ready = [this](Stream& stream) {
    ++ready_;
    if (options_.mode == Mode::kIdle) return;
    auto node = streams_.extract(&stream);
    loop_.bury(std::move(node.mapped()));
  };
  host_.on_bytes = [](Stream&, std::string_view) {};
  host_.on_end = [this](Stream& stream, const std::string& why) {
    ++failed_;
    if (failure_.empty()) failure_ = why;
    auto node = streams_.extract(&stream);
    if (!node.empty()) loop_.bury(std::move(node.mapped()));
  };
}

void Crowd::open(std::size_t number) {
  // 127.64.0.0/10, a new one for every 16 streams: nodes limit the streams of one address.
  auto source = static_cast<std::uint32_t>(0x7f400001 + number / 16);
  auto stream = std::make_unique<Stream>(host_, Side::kPublic, options_.transport, options_.remote(number),
                                         options_.to, entry_, source);
  Stream* key = stream.get();
  streams_.emplace(key, std::move(stream));
}

void Crowd::pause(double s) {
  std::int64_t end = now_ns() + static_cast<std::int64_t>(s * 1e9);
  while (now_ns() < end) loop_.turn(10);
}

int Crowd::run() {
  // Made first, so that it does not slow down the generator later.
  for (std::size_t i = 0; i < options_.count; ++i) pki_.certificate(options_.remote(i));
  std::fprintf(stderr, "ready\n");
  if (options_.waits) loop_.turn_until_told();
  std::uint64_t overflows = listen_overflows();
  std::vector<Usage> before = usage_of(options_.watch);
  std::int64_t started = now_ns();
  std::int64_t end = started + static_cast<std::int64_t>(options_.setup_s * 1e9);
  std::int64_t slot = options_.turns.next(started);
  while (ready_ + failed_ < options_.count && failed_ == 0 && now_ns() < end) {
    if (!options_.turns.alone() && now_ns() >= slot + Turns::kSending) slot = options_.turns.next(now_ns());
    while (now_ns() >= slot && begun_ < options_.count && begun_ - ready_ - failed_ < options_.at_once)
      open(begun_++);
    loop_.wake_at(slot);
    loop_.turn(100);
  }
  double elapsed_s = static_cast<double>(now_ns() - started) / 1e9;
  if (ready_ < options_.count && failure_.empty() && !streams_.empty())
    failure_ = "not ready in time: " + streams_.begin()->first->shown();
  std::fprintf(stderr, "open\n");
  pause(kSettleS);
  print(before, usage_of(options_.watch), elapsed_s, listen_overflows() - overflows);
  std::fflush(stdout);
  if (options_.hold_s > 0) pause(options_.hold_s);
  host_.on_end = [](Stream&, const std::string&) {};
  return failure_.empty() ? 0 : 1;
}

void Crowd::print(const std::vector<Usage>& before, const std::vector<Usage>& after, double elapsed_s,
                  std::uint64_t overflows) {
  double cpu_s = 0;
  double rss_kb = 0;
  std::string each;
  for (std::size_t i = 0; i < options_.watch.size(); ++i) {
    double grown = static_cast<double>(after[i].rss_kb) - static_cast<double>(before[i].rss_kb);
    cpu_s += after[i].cpu_s - before[i].cpu_s;
    rss_kb += grown;
    char text[200];
    std::snprintf(text, sizeof text,
                  "%s{\"pid\": %d, \"cpu_s\": %.2f, \"rss_kb\": %llu, \"rss_grown_kb\": %.0f}",
                  i == 0 ? "" : ", ", options_.watch[i], after[i].cpu_s - before[i].cpu_s,
                  static_cast<unsigned long long>(after[i].rss_kb), grown);
    each += text;
  }
  double streams = ready_ > 0 ? static_cast<double>(ready_) : 1;
  std::string why;
  for (char c : failure_) why += c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ? '\'' : c;
  std::printf(
      "{\"streams\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"cpu_s\": %.2f, \"cpu_ms_per_stream\": %.3f, "
      "\"rss_kb_per_stream\": %.2f, \"listen_overflows\": %llu, \"processes\": [%s], \"failure\": \"%s\"}\n",
      ready_, failed_, elapsed_s, cpu_s, cpu_s * 1e3 / streams, rss_kb / streams,
      static_cast<unsigned long long>(overflows), each.c_str(), why.c_str());
}

}  // namespace bench
