#include "daemon/door.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <csignal>
#include <span>
#include <utility>

#include "base/limits.h"
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

void log_findings(const std::vector<gate::Finding>& findings, LogLevel level, const std::string& name,
                  const std::string& field, LogSink& log) {
  const std::size_t said = std::min(findings.size(), limits::kFindingsLoggedMax);
  for (const gate::Finding& finding : std::span(findings).first(said)) {
    log.log({level, name, {{"code", std::string(code_row(finding.code).name)}, {field, finding.shown()}}});
  }
  if (said == findings.size()) return;
  log.log({level, name, {{field, fmt::format("and {} more of that kind", findings.size() - said)}}});
}

}  // namespace

json::object refused_reload(const std::vector<gate::Finding>& errors, LogSink& log) {
  log_findings(errors, LogLevel::kError, "reload.refused", "why", log);
  json::array lines;
  for (const gate::Finding& finding : errors) lines.emplace_back(finding.shown());
  return {{"errors", std::move(lines)}};
}

void log_warnings(const std::vector<gate::Finding>& warnings, LogSink& log) {
  log_findings(warnings, LogLevel::kWarning, "config.warning", "what", log);
}

dns::Endpoint endpoint_of(const gate::HostPort& address) {
  return {dns::Ip::parse(address.host).value_or(dns::Ip{}), address.port};
}

std::vector<dns::Endpoint> endpoints_of(const std::vector<gate::HostPort>& addresses) {
  std::vector<dns::Endpoint> out;
  for (const gate::HostPort& address : addresses) out.push_back(endpoint_of(address));
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

bool Door::judge(const std::vector<gate::Finding>& errors, const std::vector<gate::Finding>& warnings) {
  log_warnings(warnings, log_);
  return report(errors, {}, errors.empty());
}

Exit Door::fail(const Error& error) {
  const CodeRow& row = code_row(error.code);
  log_.log({LogLevel::kError,
            "door.failed",
            {{"code", std::string(row.name)}, {"why", fmt::format("{} {}", row.sentence, error.text)}}});
  return Exit::kFailed;
}

Exit Door::serve(net::Driver& driver, const Interfaces& interfaces, Answers answers) {
  driver_ = &driver;
  answers_ = std::move(answers);
  const std::size_t question_bytes_max =
      answers_.policy_apply ? limits::kControlPolicyBytesMax : limits::kControlQuestionBytesMax;
  auto control = ControlServer::open(
      io_.get_executor(), interfaces.control, interfaces.control_group, question_bytes_max,
      [this](std::string question, Reply reply) { take_question(std::move(question), std::move(reply)); });
  if (!control) return fail(control.error());
  if (Result<void> started = driver.start(); !started) return fail(started.error());
  std::unique_ptr<MetricsServer> metrics;
  if (interfaces.metrics) {
    auto opened = MetricsServer::open(io_.get_executor(), endpoint_of(*interfaces.metrics),
                                      [this] { return status(); });
    if (!opened) return fail(opened.error());
    metrics = std::move(*opened);
  }
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) signals_.add(signal);
  wait_for_signal();
  log_.log({LogLevel::kInfo, "door.ready", {{"control", interfaces.control}}});
  notify_.ready("serving");
  io_.run();
  // Whoever looks for the socket from here on finds no daemon.
  control->reset();
  aside_.stop();
  metrics.reset();
  driver.stop();
  signals_.cancel();
  io_.restart();
  // What was waiting is told that it is over, before what it refers to goes.
  io_.run_for(limits::kStopTimeout);
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

void Door::take_question(std::string question, Reply reply) {
  if (question.size() <= limits::kControlQuestionBytesMax) return answer(read(std::move(question)), reply);
  // A whole policy: stanzas do not wait until it is parsed.
  aside_.run(
      io_.get_executor(), [text = std::move(question)]() mutable { return read(std::move(text)); },
      [this, reply = std::move(reply)](Asked asked) { answer(std::move(asked), reply); });
}

void Door::answer(Asked asked, const Reply& reply) {
  const std::string ask = asked.object ? text_at(*asked.object, "ask") : std::string();
  if (ask == "reload" && answers_.reload) return answers_.reload(reply);
  if (ask == "policy diff" && answers_.policy_diff)
    return answers_.policy_diff(std::move(*asked.object), reply);
  if (ask == "policy apply" && answers_.policy_apply)
    return answers_.policy_apply(std::move(*asked.object), reply);
  reply(answer_at_once(asked, ask));
}

std::string Door::answer_at_once(const Asked& asked, const std::string& ask) {
  const auto refusal = [](std::string_view text) {
    return json::serialize(error_object({Code::kControlRefused, std::string(text)}));
  };
  if (!asked.object) return refusal("a question is a JSON object");
  if (asked.text.size() > limits::kControlQuestionBytesMax)
    return refusal("the question is longer than the limit");
  if (ask == "reload" || ask == "policy diff" || ask == "policy apply") return json::serialize(unanswered());
  if (ask == "log level") return json::serialize(set_log_level(*asked.object));
  if (ask == "ports") return json::serialize(answers_.ports ? answers_.ports() : unanswered());
  if (ask == "dns records") {
    const std::string text = text_at(*asked.object, "port");
    std::uint16_t port = 5269;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return json::serialize(answers_.dns_records ? answers_.dns_records(port) : unanswered());
  }
  if (ask == "drain") {
    driver_->drain_streams();
    return json::serialize(json::object{{"draining", true}});
  }
  return driver_->control(asked.text);
}

json::object Door::status() {
  json::value answer = json::parse(driver_->control(R"({"ask":"status"})"));
  return answer.is_object() ? std::move(answer.get_object()) : json::object{};
}

json::object Door::set_log_level(const json::object& question) {
  const std::string name = text_at(question, "level");
  const auto level = log_level_named(name);
  if (!level) return error_object({Code::kControlRefused, fmt::format("there is no log level `{}`", name)});
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
    notify_.reloading();
    answers_.reload([this](const std::string&) {
      if (!draining_) notify_.ready("serving");
    });
    return;
  }
  if (draining_) return end();
  draining_ = true;
  log_.log({LogLevel::kInfo, "door.draining", {{"signal", signal == SIGTERM ? "TERM" : "INT"}}});
  notify_.stopping();
  driver_->drain_streams();
  drain_until_ = std::chrono::steady_clock::now() + limits::kDrainTimeout;
  wait_until_drained();
}

void Door::wait_until_drained() {
  if (driver_->is_drained() || std::chrono::steady_clock::now() >= drain_until_) return end();
  drain_timer_.expires_after(std::chrono::milliseconds(20));
  drain_timer_.async_wait([this](error_code cancelled) {
    if (!cancelled) wait_until_drained();
  });
}

void Door::end() { io_.stop(); }

}  // namespace sallyport::daemon
