#include "daemon/door.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <csignal>

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

json::object refused_reload(const std::vector<gate::Finding>& errors, LogSink& log) {
  json::array lines;
  for (const gate::Finding& finding : errors) {
    log.log({LogLevel::kError,
             "reload.refused",
             {{"code", std::string(code_row(finding.code).name)}, {"why", finding.shown()}}});
    lines.emplace_back(finding.shown());
  }
  return {{"errors", lines}};
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
  for (const gate::Finding& warning : warnings) {
    log_.log({LogLevel::kWarning,
              "config.warning",
              {{"code", std::string(code_row(warning.code).name)}, {"what", warning.shown()}}});
  }
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
  auto control =
      ControlServer::open(io_.get_executor(), interfaces.control, interfaces.control_group,
                          question_bytes_max, [this](std::string_view question) { return answer(question); });
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
  metrics.reset();
  driver.stop();
  signals_.cancel();
  io_.restart();
  // What was waiting is told that it is over, before what it refers to goes.
  io_.run_for(limits::kStopTimeout);
  log_.log({LogLevel::kInfo, "door.ended", {}});
  return Exit::kGood;
}

std::string Door::answer(std::string_view question) {
  error_code failed;
  const json::value value = json::parse(question, failed);
  if (failed || !value.is_object()) {
    return json::serialize(error_object({Code::kControlRefused, "a question is a JSON object"}));
  }
  const json::object& asked = value.get_object();
  const std::string ask = text_at(asked, "ask");
  if (ask == "reload") return json::serialize(answers_.reload ? answers_.reload() : unanswered());
  if (ask == "policy diff")
    return json::serialize(answers_.policy_diff ? answers_.policy_diff(asked) : unanswered());
  if (ask == "policy apply")
    return json::serialize(answers_.policy_apply ? answers_.policy_apply(asked) : unanswered());
  if (ask == "log level") return json::serialize(set_log_level(asked));
  if (ask == "ports") return json::serialize(answers_.ports ? answers_.ports() : unanswered());
  if (ask == "dns records") {
    const std::string text = text_at(asked, "port");
    std::uint16_t port = 5269;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return json::serialize(answers_.dns_records ? answers_.dns_records(port) : unanswered());
  }
  if (ask == "drain") {
    driver_->drain_streams();
    return json::serialize(json::object{{"draining", true}});
  }
  return driver_->control(question);
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
    if (answers_.reload) answers_.reload();
    notify_.ready("serving");
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
