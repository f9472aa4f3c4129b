#include "daemon/node_process.h"

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
#include "gate/control.h"
#include "net/certificate.h"
#include "net/record_memory.h"
#include "net/signals.h"

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

// The questions that the process answers itself, not its roles.
constexpr std::array<std::string_view, 8> kProcessQuestions{
    "reload", "policy diff", "policy apply", "log level", "ports", "dns records", "drain", "queue show"};

// The orders that `answer` logs; the others are logged where they are carried out.
constexpr std::array<std::string_view, 4> kOrders{"reload", "policy apply", "queue retry", "queue purge"};

}  // namespace

json::object refusal_object(const Error& error) { return {{"error", gate::error_object(error)}}; }

namespace {

void log_findings(const std::vector<config::Finding>& findings, LogLevel level, const std::string& name,
                  const std::string& field, LogSink& log) {
  const std::size_t logged = std::min(findings.size(), limits::kFindingsLoggedMax);
  for (const config::Finding& finding : std::span(findings).first(logged)) {
    log.log({level, name, {{"code", std::string(code_row(finding.code).name)}, {field, finding.shown()}}});
  }
  if (logged == findings.size()) return;
  log.log({level, name, {{field, fmt::format("and {} more", findings.size() - logged)}}});
}

}  // namespace

json::object refused_reload(const std::vector<config::Finding>& errors, LogSink& log) {
  log_findings(errors, LogLevel::kError, "reload.refused", "why", log);
  json::array lines;
  for (const config::Finding& finding : errors) lines.emplace_back(finding.shown());
  json::object answer{{"errors", std::move(lines)}};
  add_error_of(errors, answer);
  return answer;
}

void log_warnings(const std::vector<config::Finding>& warnings, LogSink& log) {
  log_findings(warnings, LogLevel::kWarning, "config.warning", "what", log);
}

dns::SocketAddress endpoint_of(const route::HostPort& address) {
  return {dns::Ip::parse(address.host).value_or(dns::Ip{}), address.port};
}

std::vector<dns::SocketAddress> endpoints_of(const std::vector<route::HostPort>& addresses) {
  std::vector<dns::SocketAddress> out;
  for (const route::HostPort& address : addresses) out.push_back(endpoint_of(address));
  return out;
}

NodeProcess::NodeProcess(const Invocation& invocation)
    : log_(2, format_of(invocation), level_of(invocation)), signals_(io_), drain_timer_(io_) {
  harden_process();
  net::reuse_record_memory();
  net::lock_secret_memory();
}

NodeProcess::~NodeProcess() = default;

Now NodeProcess::now() {
  const auto mono = std::chrono::steady_clock::now().time_since_epoch();
  return {Time(std::chrono::duration_cast<Duration>(mono)),
          std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())};
}

bool NodeProcess::report_findings(const std::vector<config::Finding>& errors,
                                  const std::vector<config::Finding>& warnings) {
  log_warnings(warnings, log_);
  return report(errors, {}, errors.empty());
}

Exit NodeProcess::fail(const Error& error) {
  const CodeRow& row = code_row(error.code);
  log_.log({LogLevel::kError,
            "door.failed",
            {{"code", std::string(row.name)},
             {"why", fmt::format("{} {}", row.sentence, error.text)},
             {"remedy", std::string(row.remedy)}}});
  // What stays as it is until an administrator acts: a supervisor should not start the node again.
  const bool is_lasting = error.code == Code::kSpoolCorrupt || error.code == Code::kSpoolVersion;
  return is_lasting ? Exit::kConfiguration : Exit::kFailed;
}

void NodeProcess::make_shards(std::size_t count) {
  shards_.emplace(count);
  for (std::size_t shard = 1; shard < count; ++shard) more_loops_.emplace_back(1);
  for (std::size_t shard = 0; shard < count; ++shard) shard_logs_.emplace_back(log_, shard);
}

asio::io_context& NodeProcess::loop_of(std::size_t shard) {
  return shard == 0 ? io_ : more_loops_[shard - 1];
}

LogSink& NodeProcess::log_of(std::size_t shard) {
  return shards_->count() == 1 ? static_cast<LogSink&>(log_) : shard_logs_[shard];
}

Result<void> NodeProcess::start_shards() {
  for (std::size_t shard = 0; shard < shards_->count(); ++shard) {
    if (Result<void> started = shards_->driver(shard).start(); !started) return started;
  }
  return {};
}

void NodeProcess::run_shard(asio::io_context& loop, net::Driver& driver) {
  net::block_signals();
  auto work = asio::make_work_guard(loop);
  loop.run();
  work.reset();
  driver.stop();
  loop.restart();
  loop.run_for(limits::kStopTimeout);
}

Exit NodeProcess::serve(const Interfaces& interfaces, ControlHandlers handlers) {
  handlers_ = std::move(handlers);
  const std::size_t question_bytes_max =
      handlers_.policy_apply ? limits::kControlPolicyBytesMax : limits::kControlQuestionBytesMax;
  auto control =
      ControlServer::open(io_.get_executor(), interfaces.control, interfaces.control_group,
                          question_bytes_max, [this](std::string question, const Asker& asker, Reply reply) {
                            handle_question(std::move(question), asker, std::move(reply));
                          });
  if (!control) return fail(control.error());
  if (Result<void> started = start_shards(); !started) return fail(started.error());
  std::unique_ptr<MetricsServer> metrics;
  if (interfaces.metrics) {
    auto opened = MetricsServer::open(
        io_.get_executor(), endpoint_of(*interfaces.metrics),
        [this](const std::function<void(const json::object&)>& done) { get_status(done); });
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
  // From here on commands find no daemon.
  control->reset();
  for (asio::io_context& loop : more_loops_) loop.stop();
  worker_.stop();
  metrics.reset();
  shards_->driver(0).stop();
  signals_.cancel();
  io_.restart();
  // Pending handlers are cancelled before the objects that they refer to are destroyed.
  io_.run_for(limits::kStopTimeout);
  for (std::thread& thread : threads_) thread.join();
  log_.log({LogLevel::kInfo, "door.ended", {}});
  return Exit::kGood;
}

NodeProcess::Question NodeProcess::parse(std::string text) {
  error_code failed;
  json::value value = json::parse(text, failed);
  Question question{std::move(text), std::nullopt};
  if (!failed && value.is_object()) question.object = std::move(value.get_object());
  return question;
}

void NodeProcess::handle_question(std::string text, const Asker& asker, Reply reply) {
  if (text.size() <= limits::kControlQuestionBytesMax) return answer(parse(std::move(text)), asker, reply);
  // A whole policy is parsed off the loop.
  worker_.run(
      io_.get_executor(), [text = std::move(text)]() mutable { return parse(std::move(text)); },
      [this, asker, reply = std::move(reply)](Question question) {
        answer(std::move(question), asker, reply);
      });
}

void NodeProcess::answer(Question question, const Asker& asker, const Reply& reply) {
  const std::string ask = question.object ? text_at(*question.object, "ask") : std::string();
  if (std::ranges::find(kOrders, ask) != kOrders.end())
    log_.log({LogLevel::kInfo, "control.order", {{"order", ask}, {"by", asker.text()}}});
  if (ask == "reload" && handlers_.reload) return handlers_.reload(reply);
  if (ask == "policy diff" && handlers_.policy_diff)
    return handlers_.policy_diff(std::move(*question.object), reply);
  if (ask == "policy apply" && handlers_.policy_apply)
    return handlers_.policy_apply(std::move(*question.object), reply);
  if ((ask == "check domain" || ask == "check tls") && handlers_.check)
    return handlers_.check(*question.object, reply);
  if (ask == "queue show" && handlers_.queue_show) return handlers_.queue_show(*question.object, reply);
  const bool of_the_process = !question.object || question.text.size() > limits::kControlQuestionBytesMax ||
                              std::ranges::find(kProcessQuestions, ask) != kProcessQuestions.end();
  if (of_the_process) return reply(answer_at_once(question, asker, ask));
  ask_shards(ask, question.text, reply);
}

// A question about counts or lists goes to all shards; others have the same answer in each.
void NodeProcess::ask_shards(const std::string& ask, const std::string& question, const Reply& reply) {
  if (!is_joined(ask)) return reply(shards_->driver(0).control(question));
  shards_->ask_all([question](net::Driver& driver) { return driver.control(question); },
                   [this, ask, reply](std::vector<std::string> answers) {
                     const std::size_t in_use = shards_->in_use();
                     if (answers.size() == 1 || (ask != "connections" && ask != "queue list"))
                       return reply(join_answers(ask, std::move(answers), in_use));
                     // The rows of fifty thousand streams are joined off the loop.
                     worker_.run(
                         io_.get_executor(),
                         [ask, answers = std::move(answers), in_use]() mutable {
                           return join_answers(ask, std::move(answers), in_use);
                         },
                         reply);
                   });
}

std::string NodeProcess::answer_at_once(const Question& question, const Asker& asker,
                                        const std::string& ask) {
  const auto refusal = [](std::string_view text) {
    return json::serialize(refusal_object({Code::kControlRefused, std::string(text)}));
  };
  if (!question.object) return refusal("The question is not a JSON object.");
  if (question.text.size() > limits::kControlQuestionBytesMax)
    return refusal("The question is longer than the limit.");
  if (ask == "reload" || ask == "policy diff" || ask == "policy apply" || ask == "queue show")
    return json::serialize(gate::core_only_object(ask));
  if (ask == "log level") return json::serialize(set_log_level(*question.object, asker));
  if (ask == "ports")
    return json::serialize(handlers_.ports ? handlers_.ports() : gate::core_only_object(ask));
  if (ask == "dns records") {
    const std::string text = text_at(*question.object, "port");
    std::uint16_t port = 5269;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return json::serialize(handlers_.dns_records ? handlers_.dns_records(port) : gate::core_only_object(ask));
  }
  drain_shards(asker.text());
  return json::serialize(json::object{{"draining", true}});
}

void NodeProcess::get_status(const std::function<void(const json::object&)>& done) {
  ask_shards("status", R"({"ask":"status"})", [done](const std::string& text) {
    const json::value answer = json::parse(text);
    done(answer.is_object() ? answer.get_object() : json::object{});
  });
}

json::object NodeProcess::set_log_level(const json::object& question, const Asker& asker) {
  const std::string name = text_at(question, "level");
  const auto level = log_level_named(name);
  if (!level)
    return refusal_object({Code::kControlRefused, fmt::format("The log level `{}` does not exist.", name)});
  // Logged at the more verbose of the two levels, so that the order is always in the log.
  const LogLevel widest = std::max(log_.level(), *level);
  log_.set_level(widest);
  log_.log({std::min(LogLevel::kInfo, widest), "log.level", {{"level", name}, {"by", asker.text()}}});
  log_.set_level(*level);
  return {{"level", name}};
}

void NodeProcess::wait_for_signal() {
  signals_.async_wait([this](error_code cancelled, int signal) {
    if (cancelled) return;
    handle_signal(signal);
    wait_for_signal();
  });
}

void NodeProcess::handle_signal(int signal) {
  if (signal == SIGHUP) {
    log_.log({LogLevel::kInfo, "control.order", {{"order", "reload"}, {"by", "signal HUP"}}});
    notify_.reloading();
    handlers_.reload([this](const std::string&) {
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

// The first shard at once, so that it accepts nothing more.
void NodeProcess::drain_shards(const std::string& by) {
  log_.log({LogLevel::kInfo, "door.draining", {{"by", by}}});
  shards_->driver(0).drain_streams();
  for (std::size_t shard = 1; shard < shards_->count(); ++shard) {
    shards_->post(shard, [](net::Driver& driver) { driver.drain_streams(); });
  }
}

void NodeProcess::wait_until_drained() {
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

void NodeProcess::end() { io_.stop(); }

}  // namespace sallyport::daemon
