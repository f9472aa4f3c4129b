#include "traffic.h"

#include <algorithm>
#include <cstdio>

namespace bench {
namespace {

// Below a node's limit of unauthenticated connections.
constexpr std::size_t kOpeningMax = 32;
// A gateway opens streams at the first stanza of a pair; this many pairs do so at a time.
constexpr std::size_t kPrimingMax = 32;
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kAfterwards = kSecond / 10;

std::int64_t seconds(double s) { return static_cast<std::int64_t>(s * 1e9); }

double percentile_ms(const std::vector<std::int64_t>& sorted, double part) {
  if (sorted.empty()) return 0;
  auto at = static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1));
  return static_cast<double>(sorted[at]) / 1e6;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

Traffic::Traffic(const Options& options)
    : options_(options),
      pki_(options.folder),
      server_(server_context(pki_)),
      host_{loop_, pki_, client_.get(), server_.get(), options.secret, options.acks, {}, {}, {}} {
  host_.on_ready = [this](Stream& stream) {
    if (stream.user == &planned_) --opening_;
  };
  host_.on_bytes = [this](Stream& stream, std::string_view bytes) { handle_bytes(stream, bytes); };
  host_.on_end = [this](Stream& stream, const std::string& why) {
    if (failure_.empty()) failure_ = why;
    arriving_.erase(&stream);
    auto node = streams_.extract(&stream);
    if (!node.empty()) loop_.bury(std::move(node.mapped()));
  };
}

// --- opening

// Pairs on a grid of domains, each once as long as there are no more than it has places; a diagonal where
// there are as many domains of each kind as there are pairs.
void Traffic::make_flows() {
  std::size_t locals = options_.locals;
  std::size_t remotes = options_.remotes;
  flows_.reserve(2 * options_.pairs);
  for (std::size_t pair = 0; pair < options_.pairs; ++pair) {
    std::size_t local = pair % locals;
    std::size_t round = pair / locals;
    std::size_t remote = (locals >= remotes ? local + round : round) % remotes;
    if (options_.direction != Direction::kOut) make_flow(local, remote, Side::kInternal);
    if (options_.direction != Direction::kIn) make_flow(local, remote, Side::kPublic);
  }
}

void Traffic::make_flow(std::size_t local, std::size_t remote, Side goal) {
  std::string from = goal == Side::kInternal ? options_.remote(remote) : options_.local(local);
  std::string to = goal == Side::kInternal ? options_.local(local) : options_.remote(remote);
  std::size_t number = flows_.size();
  flows_.emplace_back(goal, Stanzas(number, from, to, options_.stanza_bytes));
  Side source = goal == Side::kInternal ? Side::kPublic : Side::kInternal;
  if (options_.transport != Transport::kComponent) {
    planned_.push_back({source, from, to, {number}});
    return;
  }
  if (options_.one_component) {
    from = goal == Side::kInternal ? options_.remote(0) : options_.local(0);
    to = goal == Side::kInternal ? options_.local(0) : options_.remote(0);
  }
  // A component sends and receives everything of its domain.
  auto [found, is_new] = planned_by_domain_.try_emplace(from, planned_.size());
  if (is_new) planned_.push_back({source, from, {}, {}});
  planned_[found->second].flows.push_back(number);
  if (planned_by_domain_.try_emplace(to, planned_.size()).second) planned_.push_back({goal, to, {}, {}});
}

void Traffic::listen() {
  if (options_.transport == Transport::kComponent) return;
  auto take = [this](std::unique_ptr<Stream> stream) {
    Stream* key = stream.get();
    streams_.emplace(key, std::move(stream));
  };
  if (options_.direction != Direction::kOut)
    listeners_.push_back(
        std::make_unique<StreamListener>(host_, Side::kInternal, options_.listen_inside, take));
  if (options_.direction != Direction::kIn)
    listeners_.push_back(std::make_unique<StreamListener>(host_, Side::kPublic, options_.listen_world, take));
}

void Traffic::open_some() {
  while (opening_ < kOpeningMax && opened_ < planned_.size()) {
    const Planned& plan = planned_[opened_];
    const std::string& entry = plan.side == Side::kPublic ? options_.entry_in : options_.entry_out;
    // 127.64.0.0/10, a new one for every 16 streams: nodes limit the streams of one address.
    auto source = static_cast<std::uint32_t>(0x7f400001 + opened_ / 16);
    auto stream = std::make_unique<Stream>(host_, plan.side, options_.transport, plan.own, plan.other,
                                           address_of(entry), source);
    stream->user = &planned_;
    for (std::size_t flow : plan.flows) flows_[flow].sender = stream.get();
    Stream* key = stream.get();
    streams_.emplace(key, std::move(stream));
    ++opened_;
    ++opening_;
  }
}

bool Traffic::open_all() {
  std::int64_t end = now_ns() + seconds(options_.setup_s);
  while (opened_ < planned_.size() || opening_ > 0) {
    open_some();
    loop_.turn(100);
    if (failed()) return false;
    if (now_ns() > end) {
      give_up(std::to_string(opening_) + " streams are not ready");
      return false;
    }
  }
  return true;
}

// The first stanza of each flow, a few flows at a time.
bool Traffic::prime() {
  std::int64_t end = now_ns() + seconds(options_.setup_s);
  std::size_t next = 0;
  while (received_ < flows_.size()) {
    for (; next < flows_.size() && next - received_ < kPrimingMax; ++next) {
      Flow& flow = flows_[next];
      scratch_.clear();
      flow.stanzas.append(scratch_, flow.sent++);
      flow.sender->write(scratch_);
      flow.sender->flush();
    }
    loop_.turn(100);
    if (failed()) return false;
    if (bounced_ > 0 || now_ns() > end) {
      give_up(std::to_string(flows_.size() - received_) + " of " + std::to_string(flows_.size()) +
              " flows have passed no stanza, " + std::to_string(bounced_) + " were bounced");
      return false;
    }
  }
  return true;
}

void Traffic::give_up(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = what;
  for (const auto& [stream, owned] : streams_) {
    if (stream->is_ready()) continue;
    failure_ += "; " + stream->shown();
    if (failure_.size() > 500) break;
  }
}

// --- stanzas

void Traffic::handle_bytes(Stream& stream, std::string_view bytes) {
  Arriving& arriving = arriving_[&stream];
  arriving.marks.scan(bytes, [&](std::uint32_t flow, std::uint32_t number) {
    ++arriving.stanzas;
    handle_mark(stream, flow, number);
  });
  const Acks::Asked asked = arriving.acks.scan(bytes);
  arriving.stanzas += asked.iqs;
  if (asked.enable) stream.write(Acks::enabled_xml());
  if (asked.request) stream.write(Acks::ack_xml(arriving.stanzas));
  if (asked.enable || asked.request) stream.flush();
}

void Traffic::acknowledge_all() {
  for (auto& [stream, owned] : streams_) {
    const auto found = arriving_.find(stream);
    if (found == arriving_.end() || !found->second.acks.enabled()) continue;
    stream->write(Acks::ack_xml(found->second.stanzas));
    stream->flush();
  }
}

void Traffic::handle_mark(Stream& stream, std::uint32_t number_of_flow, std::uint32_t number) {
  if (number_of_flow >= flows_.size() || stream.side() != flows_[number_of_flow].goal) {
    ++bounced_;
    return;
  }
  Flow& flow = flows_[number_of_flow];
  // Each pair has a stream of its own for each direction, except with components.
  auto& carried = arriving_[&stream].flow;
  if (!carried) carried = number_of_flow;
  if (options_.transport != Transport::kComponent && *carried != number_of_flow)
    return fail_at(number_of_flow, number, "came out on the stream of " + std::to_string(*carried));
  // A lost, duplicate or reordered stanza makes the run invalid.
  if (number != flow.received || flow.received == flow.sent)
    return fail_at(number_of_flow, number, std::to_string(flow.received) + " was due");
  ++flow.received;
  ++received_;
  if (!flow.scheduled.empty()) {
    std::int64_t scheduled = flow.scheduled.front();
    flow.scheduled.pop_front();
    if (measure_from_ != 0 && scheduled >= measure_from_) latencies_.push_back(now_ns() - scheduled);
  }
  if (!sending_ || flow.has_room) return;
  flow.has_room = true;
  with_room_.push_back(&flow);
}

void Traffic::fail_at(std::uint32_t flow, std::uint32_t number, const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = "stanza " + std::to_string(number) + " of flow " + std::to_string(flow) + ": " + what;
}

void Traffic::fill(Flow& flow) {
  std::size_t room = options_.window - (flow.sent - flow.received);
  if (room < options_.per_record) return;
  for (; room >= options_.per_record; room -= options_.per_record) {
    scratch_.clear();
    for (std::size_t i = 0; i < options_.per_record; ++i) flow.stanzas.append(scratch_, flow.sent++);
    flow.sender->write(scratch_);
  }
  flow.sender->flush();
}

void Traffic::saturate_until(std::int64_t end) {
  if (!sending_) {
    sending_ = true;
    for (Flow& flow : flows_) fill(flow);
  }
  loop_.wake_at(end);
  while (now_ns() < end && !failed()) {
    loop_.turn(-1);
    std::vector<Flow*> turn;
    turn.swap(with_room_);
    for (Flow* flow : turn) {
      flow->has_room = false;
      fill(*flow);
    }
    turn.clear();
    if (with_room_.empty()) with_room_.swap(turn);  // keeps its capacity
  }
}

void Traffic::send_due(std::int64_t now) {
  for (;; ++rate_sent_) {
    auto due = rate_begun_ + static_cast<std::int64_t>(static_cast<double>(rate_sent_) * 1e9 / options_.rate);
    if (due > now) {
      loop_.wake_at(due);
      return;
    }
    Flow& flow = flows_[next_flow_];
    next_flow_ = (next_flow_ + 1) % flows_.size();
    scratch_.clear();
    flow.stanzas.append(scratch_, flow.sent++);
    flow.scheduled.push_back(due);
    flow.sender->write(scratch_);
    flow.sender->flush();
  }
}

void Traffic::keep_rate_until(std::int64_t end) {
  rate_begun_ = now_ns();
  rate_sent_ = 0;
  for (std::int64_t now = now_ns(); now < end && !failed(); now = now_ns()) {
    send_due(now);
    loop_.turn(-1);
  }
}

void Traffic::drain() {
  sending_ = false;
  std::uint64_t sent = 0;
  for (const Flow& flow : flows_) sent += flow.sent;
  // A node that nobody has acknowledged anything finds that out in ten seconds, and lets little pass until
  // then.
  std::int64_t end = now_ns() + 30 * kSecond;
  while (received_ < sent && now_ns() < end && !failed()) loop_.turn(10);
  if (received_ < sent) give_up(std::to_string(sent - received_) + " stanzas did not come out");
}

// --- turns

void Traffic::idle_until(std::int64_t time) {
  loop_.wake_at(time);
  while (now_ns() < time && !failed()) loop_.turn(-1);
}

Traffic::Measured Traffic::send_for(double length_s) {
  Measured all;
  all.cpu_s.resize(options_.watch.size());
  if (options_.turns.alone()) {
    Snapshot begin = snapshot();
    send_until(begin.time + seconds(length_s));
    Snapshot end = snapshot();
    add(all, begin, end, end.time - begin.time);
    return all;
  }
  for (std::int64_t left = seconds(length_s); left > 0 && !failed(); left -= Turns::kSending) {
    std::int64_t slot = options_.turns.next(now_ns());
    idle_until(slot);
    Snapshot begin = snapshot();
    send_until(slot + std::min(left, Turns::kSending));
    drain();
    std::int64_t sent = now_ns();
    idle_until(slot + Turns::kSettled);
    add(all, begin, snapshot(), sent - begin.time);
  }
  return all;
}

void Traffic::send_until(std::int64_t end) {
  if (options_.mode == Mode::kRate) {
    keep_rate_until(end);
  } else {
    saturate_until(end);
  }
}

// --- results

Traffic::Snapshot Traffic::snapshot() const {
  return {now_ns(), received_, own_cpu_s(), usage_of(options_.watch)};
}

void Traffic::add(Measured& to, const Snapshot& begin, const Snapshot& end, std::int64_t elapsed) {
  to.stanzas += static_cast<double>(end.received - begin.received);
  to.elapsed_s += static_cast<double>(elapsed) / 1e9;
  to.own_cpu_s += end.own_cpu_s - begin.own_cpu_s;
  to.busiest_thread_cpu_s += busiest_thread_cpu_s(begin.usage, end.usage);
  to.rss_kb.clear();
  for (std::size_t i = 0; i < end.usage.size(); ++i) {
    to.cpu_s[i] += end.usage[i].cpu_s - begin.usage[i].cpu_s;
    to.rss_kb.push_back(end.usage[i].rss_kb);
  }
}

void Traffic::print(const Measured& measured) {
  double cpu_s = 0;
  std::string each;
  for (std::size_t i = 0; i < measured.rss_kb.size(); ++i) {
    cpu_s += measured.cpu_s[i];
    char text[160];
    std::snprintf(text, sizeof text, "%s{\"pid\": %d, \"cpu_s\": %.2f, \"rss_kb\": %llu}", i == 0 ? "" : ", ",
                  options_.watch[i], measured.cpu_s[i], static_cast<unsigned long long>(measured.rss_kb[i]));
    each += text;
  }
  std::sort(latencies_.begin(), latencies_.end());
  double hundred_thousands = measured.stanzas / 1e5;
  auto per = [&](double value) { return hundred_thousands > 0 ? value / hundred_thousands : 0; };
  std::printf(
      "{\"stanzas\": %.0f, \"seconds\": %.3f, \"stanzas_per_s\": %.0f, \"cpu_s\": %.2f, "
      "\"cpu_s_per_100k\": %.4f, \"busiest_thread_cpu_s_per_100k\": %.4f, \"generator_cpu_s_per_100k\": "
      "%.4f, ",
      measured.stanzas, measured.elapsed_s,
      measured.elapsed_s > 0 ? measured.stanzas / measured.elapsed_s : 0, cpu_s, per(cpu_s),
      per(measured.busiest_thread_cpu_s), per(measured.own_cpu_s));
  std::printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, ", percentile_ms(latencies_, 0.5),
              percentile_ms(latencies_, 0.99), percentile_ms(latencies_, 1));
  std::printf("\"bounced\": %llu, \"processes\": [%s], \"failure\": %s}\n",
              static_cast<unsigned long long>(bounced_), each.c_str(), quoted(failure_).c_str());
}

int Traffic::run() {
  make_flows();
  listen();
  Measured measured;
  if (open_all() && prime()) {
    std::fprintf(stderr, "ready\n");
    if (options_.waits) loop_.turn_until_told();
    send_for(options_.warm_s);
    std::fprintf(stderr, "measuring\n");
    measure_from_ = now_ns();
    measured = send_for(options_.measure_s);
    drain();
    acknowledge_all();
    idle_until(now_ns() + kAfterwards);  // a stanza that arrives now is a duplicate
  }
  if (failure_.empty() && bounced_ > 0) failure_ = "stanzas came back";
  print(measured);
  // Open streams end with the process, without events.
  host_.on_end = [](Stream&, const std::string&) {};
  return failed() ? 1 : 0;
}

}  // namespace bench
