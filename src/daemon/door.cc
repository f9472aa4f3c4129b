#include "daemon/door.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <csignal>
#include <span>
#include <utility>

#include "base/limits.h"
#include "daemon/joined.h"
#include "daemon/load.h"
#include "daemon/metrics.h"
#include "daemon/report.h"
#include "net/certificate.h"
#include "net/record_memory.h"

namespace sallyport::daemon {

namespace asio = boost::asio;
namespace json = boost::json;
using boost::system::error_code;

namespace {

LogLevel level_of(const Invocation& invocation) {
  return log_level_named(invocation.value("--log-level", "info")).value_or(LogLevel::kInfo);
}

LogFormat format_of(const Invocation& invocation) {
  return invocation.value("--log-format") == "json" ? LogFormat::kJson : LogFormat::kText;
}

std::string text_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string{};
}

// What the process answers itself, not its roles.
constexpr std::array<std::string_view, 7> kOfTheProcess{"reload", "policy diff", "policy apply", "log level",
                                                        "ports",  "dns records", "drain"};

json::object unanswered() {
  return error_object({Code::kControlRefused, "this door does not answer that; ask the core"});
}

}  // namespace

json::object error_object(const Error& error) {
  const CodeRow& row = code_row(error.code);
  return {{"error",
           {{"code", row.name}, {"sentence", row.sentence}, {"text", error.text}, {"remedy", row.remedy}}}};
}

namespace {

void log_findings(const std::vector<config::Finding>& findings, LogLevel level, const std::string& name,
                  const std::string& field, LogSink& log) {
  const std::size_t said = std::min(findings.size(), limits::kFindingsLoggedMax);
  for (const config::Finding& finding : std::span(findings).first(said)) {
    log.log({level, name, {{"code", std::string(code_row(finding.code).name)}, {field, finding.shown()}}});
  }
  if (said == findings.size()) return;
  log.log({level, name, {{field, fmt::format("and {} more of that kind", findings.size() - said)}}});
}

}  // namespace

json::object refused_reload(const std::vector<config::Finding>& errors, LogSink& log) {
  log_findings(errors, LogLevel::kError, "reload.refused", "why", log);
  json::array lines;
  for (const config::Finding& finding : errors) lines.emplace_back(finding.shown());
  return {{"errors", std::move(lines)}};
}

void log_warnings(const std::vector<config::Finding>& warnings, LogSink& log) {
  log_findings(warnings, LogLevel::kWarning, "config.warning", "what", log);
}

dns::Endpoint endpoint_of(const route::HostPort& address) {
  return {dns::Ip::parse(address.host).value_or(dns::Ip{}), address.port};
}

std::vector<dns::Endpoint> endpoints_of(const std::vector<route::HostPort>& addresses) {
  std::vector<dns::Endpoint> out;
  for (const route::HostPort& address : addresses) out.push_back(endpoint_of(address));
  return out;
}

Door::Door(const Invocation& invocation)
    : log_(2, format_of(invocation), level_of(invocation)), signals_(io_), drain_timer_(io_) {
  harden_process();
  net::reuse_record_memory();
  net::lock_secret_memory();
}

Door::~Door() = default;

Now Door::now() {
  const auto mono = std::chrono::steady_clock::now().time_since_epoch();
  return {Time(std::chrono::duration_cast<Duration>(mono)),
          std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())};
}

bool Door::judge(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings) {
  log_warnings(warnings, log_);
  return report(errors, {}, errors.empty());
}

Exit Door::fail(const Error& error) {
  const CodeRow& row = code_row(error.code);
  log_.log({LogLevel::kError,
            "door.failed",
            {{"code", std::string(row.name)},
             {"why", fmt::format("{} {}", row.sentence, error.text)},
             {"remedy", std::string(row.remedy)}}});
  return Exit::kFailed;
}

void Door::make_shards(std::size_t count) {
  shards_.emplace(count);
  for (std::size_t shard = 1; shard < count; ++shard) more_loops_.emplace_back(1);
  for (std::size_t shard = 0; shard < count; ++shard) shard_logs_.emplace_back(log_, shard);
}

asio::io_context& Door::loop_of(std::size_t shard) { return shard == 0 ? io_ : more_loops_[shard - 1]; }

LogSink& Door::log_of(std::size_t shard) {
  return shards_->count() == 1 ? static_cast<LogSink&>(log_) : shard_logs_[shard];
}

Result<void> Door::start_shards() {
  for (std::size_t shard = 0; shard < shards_->count(); ++shard) {
    if (Result<void> started = shards_->driver(shard).start(); !started) return started;
  }
  return {};
}

void Door::run_shard(asio::io_context& loop, net::Driver& driver) {
  block_signals();
  auto work = asio::make_work_guard(loop);
  loop.run();
  work.reset();
  driver.stop();
  loop.restart();
  loop.run_for(limits::kStopTimeout);
}

Exit Door::serve(const Interfaces& interfaces, Answers answers) {
  answers_ = std::move(answers);
  const std::size_t question_bytes_max =
      answers_.policy_apply ? limits::kControlPolicyBytesMax : limits::kControlQuestionBytesMax;
  auto control =
      ControlServer::open(io_.get_executor(), interfaces.control, interfaces.control_group,
                          question_bytes_max, [this](std::string question, const Asker& asker, Reply reply) {
                            take_question(std::move(question), asker, std::move(reply));
                          });
  if (!control) return fail(control.error());
  if (Result<void> started = start_shards(); !started) return fail(started.error());
  std::unique_ptr<MetricsServer> metrics;
  if (interfaces.metrics) {
    auto opened = MetricsServer::open(
        io_.get_executor(), endpoint_of(*interfaces.metrics),
        [this](const std::function<void(const json::object&)>& done) { tell_status(done); });
    if (!opened) return fail(opened.error());
    metrics = std::move(*opened);
  }
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) signals_.add(signal);
  wait_for_signal();
  if (interfaces.metrics)
    log_.log({LogLevel::kInfo, "net.listen", {{"metrics", interfaces.metrics->text()}}});
  log_.log({LogLevel::kInfo, "door.ready", {{"control", interfaces.control}}});
  notify_.ready("serving");
  for (std::size_t shard = 1; shard < shards_->count(); ++shard) {
    threads_.emplace_back(
        [&loop = loop_of(shard), &driver = shards_->driver(shard)] { run_shard(loop, driver); });
  }
  io_.run();
  // Whoever looks for the socket from here on finds no daemon.
  control->reset();
  for (asio::io_context& loop : more_loops_) loop.stop();
  aside_.stop();
  metrics.reset();
  shards_->driver(0).stop();
  signals_.cancel();
  io_.restart();
  // What was waiting is told that it is over, before what it refers to goes.
  io_.run_for(limits::kStopTimeout);
  for (std::thread& thread : threads_) thread.join();
  log_.log({LogLevel::kInfo, "door.ended", {}});
  return Exit::kGood;
}

Door::Asked Door::read(std::string question) {
  error_code failed;
  json::value value = json::parse(question, failed);
  Asked asked{std::move(question), std::nullopt};
  if (!failed && value.is_object()) asked.object = std::move(value.get_object());
  return asked;
}

void Door::take_question(std::string question, const Asker& asker, Reply reply) {
  if (question.size() <= limits::kControlQuestionBytesMax)
    return answer(read(std::move(question)), asker, reply);
  // A whole policy: stanzas do not wait until it is parsed.
  aside_.run(
      io_.get_executor(), [text = std::move(question)]() mutable { return read(std::move(text)); },
      [this, asker, reply = std::move(reply)](Asked asked) { answer(std::move(asked), asker, reply); });
}

void Door::answer(Asked asked, const Asker& asker, const Reply& reply) {
  const std::string ask = asked.object ? text_at(*asked.object, "ask") : std::string();
  if (ask == "reload" || ask == "policy apply")
    log_.log({LogLevel::kInfo, "control.order", {{"order", ask}, {"by", asker.text()}}});
  if (ask == "reload" && answers_.reload) return answers_.reload(reply);
  if (ask == "policy diff" && answers_.policy_diff)
    return answers_.policy_diff(std::move(*asked.object), reply);
  if (ask == "policy apply" && answers_.policy_apply)
    return answers_.policy_apply(std::move(*asked.object), reply);
  if ((ask == "check domain" || ask == "check tls") && answers_.check)
    return answers_.check(*asked.object, reply);
  const bool of_the_process = !asked.object || asked.text.size() > limits::kControlQuestionBytesMax ||
                              std::ranges::find(kOfTheProcess, ask) != kOfTheProcess.end();
  if (of_the_process) return reply(answer_at_once(asked, asker, ask));
  ask_shards(ask, asked.text, reply);
}

// What counts or lists goes to all of them; the rest is the same for each.
void Door::ask_shards(const std::string& ask, const std::string& question, const Reply& reply) {
  if (!is_joined(ask)) return reply(shards_->driver(0).control(question));
  shards_->ask_all([question](net::Driver& driver) { return driver.control(question); },
                   [this, ask, reply](std::vector<std::string> answers) {
                     const std::size_t in_use = shards_->in_use();
                     if (answers.size() == 1 || ask != "connections")
                       return reply(join_answers(ask, std::move(answers), in_use));
                     // The rows of fifty thousand streams: stanzas do not wait for that.
                     aside_.run(
                         io_.get_executor(),
                         [ask, answers = std::move(answers), in_use]() mutable {
                           return join_answers(ask, std::move(answers), in_use);
                         },
                         reply);
                   });
}

std::string Door::answer_at_once(const Asked& asked, const Asker& asker, const std::string& ask) {
  const auto refusal = [](std::string_view text) {
    return json::serialize(error_object({Code::kControlRefused, std::string(text)}));
  };
  if (!asked.object) return refusal("a question is a JSON object");
  if (asked.text.size() > limits::kControlQuestionBytesMax)
    return refusal("the question is longer than the limit");
  if (ask == "reload" || ask == "policy diff" || ask == "policy apply") return json::serialize(unanswered());
  if (ask == "log level") return json::serialize(set_log_level(*asked.object, asker));
  if (ask == "ports") return json::serialize(answers_.ports ? answers_.ports() : unanswered());
  if (ask == "dns records") {
    const std::string text = text_at(*asked.object, "port");
    std::uint16_t port = 5269;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return json::serialize(answers_.dns_records ? answers_.dns_records(port) : unanswered());
  }
  drain_shards(asker.text());
  return json::serialize(json::object{{"draining", true}});
}

void Door::tell_status(const std::function<void(const json::object&)>& done) {
  ask_shards("status", R"({"ask":"status"})", [done](const std::string& text) {
    const json::value answer = json::parse(text);
    done(answer.is_object() ? answer.get_object() : json::object{});
  });
}

json::object Door::set_log_level(const json::object& question, const Asker& asker) {
  const std::string name = text_at(question, "level");
  const auto level = log_level_named(name);
  if (!level) return error_object({Code::kControlRefused, fmt::format("there is no log level `{}`", name)});
  // While the wider of the two levels is in force: the order stands in the log, whatever they are.
  const LogLevel widest = std::max(log_.level(), *level);
  log_.set_level(widest);
  log_.log({std::min(LogLevel::kInfo, widest), "log.level", {{"level", name}, {"by", asker.text()}}});
  log_.set_level(*level);
  return {{"level", name}};
}

void Door::wait_for_signal() {
  signals_.async_wait([this](error_code cancelled, int signal) {
    if (cancelled) return;
    handle_signal(signal);
    wait_for_signal();
  });
}

void Door::handle_signal(int signal) {
  if (signal == SIGHUP) {
    log_.log({LogLevel::kInfo, "control.order", {{"order", "reload"}, {"by", "signal HUP"}}});
    notify_.reloading();
    answers_.reload([this](const std::string&) {
      if (!draining_) notify_.ready("serving");
    });
    return;
  }
  if (draining_) return end();
  draining_ = true;
  notify_.stopping();
  drain_shards(signal == SIGTERM ? "signal TERM" : "signal INT");
  drain_until_ = std::chrono::steady_clock::now() + limits::kDrainTimeout;
  wait_until_drained();
}

// The first at once, so that nothing is accepted behind it.
void Door::drain_shards(const std::string& by) {
  log_.log({LogLevel::kInfo, "door.draining", {{"by", by}}});
  shards_->driver(0).drain_streams();
  for (std::size_t shard = 1; shard < shards_->count(); ++shard) {
    shards_->post(shard, [](net::Driver& driver) { driver.drain_streams(); });
  }
}

void Door::wait_until_drained() {
  if (std::chrono::steady_clock::now() >= drain_until_) return end();
  shards_->ask_all([](net::Driver& driver) { return driver.is_drained(); },
                   [this](const std::vector<bool>& drained) {
                     if (std::ranges::find(drained, false) == drained.end()) return end();
                     drain_timer_.expires_after(std::chrono::milliseconds(20));
                     drain_timer_.async_wait([this](error_code cancelled) {
                       if (!cancelled) wait_until_drained();
                     });
                   });
}

void Door::end() { io_.stop(); }

}  // namespace sallyport::daemon
