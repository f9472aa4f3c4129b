#include "net/driver.h"

#include <ctime>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "net/credentials.h"
#include "net/socket_address.h"

namespace sallyport::net {

namespace {

std::chrono::steady_clock::time_point to_steady(Time time) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(time.time_since_epoch()));
}

// Names of connections that the role dials are even (gate/event.h).
bool is_dialled(gate::ConnId conn) { return conn % 2 == 0; }

std::vector<dns::SocketAddress> endpoints_of(const std::vector<std::unique_ptr<Listener>>& listeners) {
  std::vector<dns::SocketAddress> endpoints;
  for (const auto& listener : listeners) endpoints.push_back(listener->endpoint());
  return endpoints;
}

}  // namespace

Driver::Driver(Parts parts, DriverConfig config)
    : ConnectionHost(resources_),
      parts_(parts),
      resources_{parts.role, parts.dialer, parts.s2s_tls, parts.link_tls, config.limits.dead_peer_seconds},
      config_(std::move(config)),
      shards_(parts.shards != nullptr ? *parts.shards : alone_.emplace(1)),
      timer_(parts.io) {
  shards_.enter(parts.shard, parts.io, *this);
  if (parts.shard == 0) bound_connections();
}

Driver::~Driver() { stop(); }

Now Driver::now() const {
  auto mono = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
  // Called for every event, and seconds are enough: the coarse clock does not read a hardware counter.
  timespec civil{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &civil);
  return Now{Time(mono), UnixTime(std::chrono::seconds(civil.tv_sec))};
}

Result<void> Driver::start() {
  if (parts_.shard == 0) {
    if (auto bound = bind(); !bound) return bound;
  }
  parts_.dialer.set_own_listeners(shards_.driver(0).own_listeners());
  if (config_.listen_from_start && parts_.shard == 0) {
    if (auto opened = listen(true); !opened) return opened;
  }
  take_outputs_soon();
  return {};
}

Result<void> Driver::bind() {
  auto s2s = [this](tcp::socket socket) { handle_s2s_accepted(std::move(socket)); };
  auto traversal = [this](tcp::socket socket) { handle_traversal_accepted(std::move(socket)); };
  for (const dns::SocketAddress& endpoint : config_.s2s) {
    auto listener = Listener::bind(parts_.io, endpoint, resources_.dead_peer_seconds, s2s);
    if (!listener) return std::move(listener).error();
    s2s_listeners_.push_back(std::move(*listener));
  }
  for (const dns::SocketAddress& endpoint : config_.traversal) {
    auto listener = Listener::bind(parts_.io, endpoint, resources_.dead_peer_seconds, traversal);
    if (!listener) return std::move(listener).error();
    if (auto opened = (*listener)->open(); !opened) return opened;
    traversal_listeners_.push_back(std::move(*listener));
    parts_.log.log(
        {LogLevel::kInfo, "net.listen", {{"traversal", traversal_listeners_.back()->endpoint().text()}}});
  }
  return {};
}

void Driver::stop() {
  if (stopped_) return;
  stopped_ = true;
  timer_.cancel();
  s2s_listeners_.clear();
  traversal_listeners_.clear();
  undecided_.clear();
  // The coroutines end when the loop runs on, or are destroyed with it.
  auto connections = std::move(connections_);
  connections_.clear();
  for (auto& [id, entry] : connections) entry.connection->abandon();
}

std::string Driver::control(std::string_view question) {
  std::string answer = parts_.role.control(question, now());
  take_outputs_soon();
  return answer;
}

void Driver::drain_streams() {
  (void)listen(false);
  parts_.role.drain(now());
  take_outputs_soon();
}

bool Driver::is_drained() const {
  auto is_closing = [](const auto& entry) { return entry.second.connection->is_closing(); };
  return parts_.role.is_drained() && std::none_of(connections_.begin(), connections_.end(), is_closing);
}

std::vector<dns::SocketAddress> Driver::s2s_endpoints() const { return endpoints_of(s2s_listeners_); }
std::vector<dns::SocketAddress> Driver::traversal_endpoints() const {
  return endpoints_of(traversal_listeners_);
}

std::vector<dns::SocketAddress> Driver::own_listeners() const {
  std::vector<dns::SocketAddress> own = s2s_endpoints();
  for (const dns::SocketAddress& endpoint : traversal_endpoints()) own.push_back(endpoint);
  return own;
}

Driver::Entry& Driver::add(gate::ConnId conn, tcp::socket socket, const dns::SocketAddress& peer) {
  auto& host = static_cast<ConnectionHost&>(*this);
  Entry entry{std::make_shared<Connection>(host, conn, std::move(socket), peer), nullptr, 0, 0, false, {}};
  shards_.connection_begins();
  return connections_.get(conn, std::move(entry)).second;
}

void Driver::spawn(std::shared_ptr<Connection> connection, asio::awaitable<void> run) {
  auto ended = [this, connection](std::exception_ptr failure) {
    if (failure) handle_failure(*connection, failure);
  };
  // Posted: a coroutine that begins while the role's outputs are taken must not call the role.
  asio::post(parts_.io,
             [&io = parts_.io, connection, run = std::move(run), ended = std::move(ended)]() mutable {
               asio::co_spawn(io, std::move(run),
                              asio::bind_cancellation_slot(connection->cancellation(), std::move(ended)));
             });
}

// Our code does not throw; if a library does, that connection ends and the others go on.
void Driver::handle_failure(Connection& connection, std::exception_ptr failure) {
  if (stopped_) return;
  std::string text = "unknown";
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    text = error.what();
  } catch (...) {
  }
  parts_.log.log({LogLevel::kError,
                  "net.failed",
                  {{"code", std::string(code_row(Code::kInternal).name)}, {"text", text}}});
  parts_.role.handle_disconnected(connection.id(), {Code::kInternal, text}, now());
  connection.abandon();
  handle_end(connection.id(), std::nullopt);
  take_outputs_soon();
}

void Driver::handle_known(gate::ConnId conn) {
  auto* found = connections_.find(conn);
  if (found == nullptr) return;
  if (found->second.is_link) {
    uncount(found->second);
    if (is_dialled(conn)) note_dialled_link(*found->second.link_to, std::nullopt);
  } else {
    unproved_ids_.insert(conn);
  }
}

void Driver::handle_end(gate::ConnId conn, const std::optional<Error>& why) {
  if (connections_.find(conn) == nullptr) return;
  Entry entry = connections_.take(conn);
  unproved_ids_.erase(conn);
  uncount(entry);
  shards_.streams().remove(entry.stream);
  shards_.connection_ends();
  if (has_shards() && entry.link_to && !is_dialled(conn)) {
    shards_.post(0, [core = *entry.link_to](Driver& first) { first.forget_link(core); });
  }
  if (!why || !entry.is_link) return;
  if (is_dialled(conn)) return note_dialled_link(*entry.link_to, why);
  ++counters_.link_refused;
  const dns::SocketAddress& peer = entry.connection->peer();
  parts_.role.handle_link_refused(peer, *why, now());
  const std::string code(code_row(why->code).name);
  const auto times = handshakes_logged_.happened(counted_as(peer.ip).text() + " " + code, now().mono);
  if (!times) return;
  LogEvent event{
      LogLevel::kWarning, "link.handshake", {{"code", code}, {"peer", peer.text()}, {"text", why->text}}};
  if (*times > 1) event.fields.emplace_back("times", std::to_string(*times));
  log_limited(std::move(event));
}

Result<void> Driver::listen(bool on) {
  Result<void> all;
  std::string where;
  for (auto& listener : s2s_listeners_) {
    if (!on) {
      listener->close();
      continue;
    }
    auto opened = listener->open();
    if (!opened && all) all = opened;
    if (listener->is_open()) where += (where.empty() ? "" : " ") + listener->endpoint().text();
  }
  listening_ = on && all.has_value();
  if (where == listening_on_) return all;
  parts_.log.log({LogLevel::kInfo,
                  on ? "net.listen" : "net.unlisten",
                  {{"s2s", on ? where : std::exchange(listening_on_, {})}}});
  listening_on_ = where;
  return all;
}

void Driver::handle_listening(const Result<void>& opened) {
  if (stopped_) return;
  parts_.role.handle_listening(opened, now());
  take_outputs_soon();
}

// Limits the log lines that unauthenticated peers cause.
void Driver::log_limited(LogEvent event) {
  auto second = std::chrono::floor<std::chrono::seconds>(now().mono.time_since_epoch());
  if (second != limited_second_) {
    limited_second_ = second;
    limited_lines_ = 0;
    if (lines_suppressed_ > 0) event.fields.emplace_back("unsaid_before", std::to_string(lines_suppressed_));
    lines_suppressed_ = 0;
  }
  if (++limited_lines_ > limits::kStrangerLinesPerSecondMax) {
    ++lines_suppressed_;
    return;
  }
  parts_.log.log(std::move(event));
}

// --- the loop

void Driver::take_outputs_soon() {
  if (take_posted_ || taking_ || stopped_) return;
  take_posted_ = true;
  // Posted behind the events that are ready now, so that they share one batch.
  asio::post(parts_.io, [this] {
    take_posted_ = false;
    take_outputs();
  });
}

void Driver::finish_event() {
  if (take_posted_ || taking_ || stopped_) return;
  if (now().mono < taken_at_ + limits::kQuietAfter) return take_outputs_soon();
  take_outputs();
}

void Driver::take_outputs() {
  if (taking_ || stopped_) return;
  taking_ = true;
  ++batch_;
  for (;;) {
    bool was_idle = true;
    while (std::optional<gate::Output> output = parts_.role.poll()) {
      was_idle = false;
      std::visit([this](auto&& wanted) { apply(std::move(wanted)); }, std::move(*output));
    }
    flushing_.swap(to_flush_);
    for (gate::ConnId conn : flushing_) {
      if (Connection* connection = find(conn)) connection->flush();
    }
    // Writing informs the role, which may produce more outputs.
    if (was_idle && flushing_.empty()) break;
    flushing_.clear();
  }
  taking_ = false;
  taken_at_ = now().mono;
  arm_timer();
}

void Driver::arm_timer() {
  std::optional<Time> wanted = parts_.role.poll_timeout();
  // A timer that is too early stays armed and is checked when it fires: cheaper than moving it each time.
  if (!wanted || (armed_for_ && *armed_for_ <= *wanted)) return;
  armed_for_ = wanted;
  timer_.expires_at(to_steady(*wanted));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    armed_for_.reset();
    Now now = this->now();
    std::optional<Time> due = parts_.role.poll_timeout();
    if (due && *due <= now.mono) parts_.role.handle_timeout(now);
    // At once: a stream that is to end at once is written no more.
    take_outputs();
  });
}

// --- carrying out the role's outputs

Connection* Driver::find(gate::ConnId conn) {
  auto* found = connections_.find(conn);
  return found == nullptr ? nullptr : found->second.connection.get();
}

void Driver::apply(gate::Dial output) {
  ++counters_.dialled;
  Entry& entry = add(output.conn, tcp::socket(parts_.io), {});
  entry.stream = shards_.streams().add_own({parts_.shard, output.conn});
  spawn(entry.connection, Connection::run_dialled(entry.connection, std::move(output.plan)));
}

void Driver::apply(gate::DialLink output) {
  const LinkTarget& target = config_.edges.at(output.edge);
  gate::DialPlan plan;
  // Our administrator wrote the address, perhaps as a name: it may be private, as most DMZs are.
  plan.steps.push_back({target.address, true});
  Entry& entry = add(output.conn, tcp::socket(parts_.io), {});
  entry.stream = shards_.streams().add_own({parts_.shard, output.conn});
  entry.is_link = true;
  entry.link_to = output.edge;
  spawn(entry.connection,
        Connection::run_link_dialled(entry.connection, std::move(plan), output.edge, target.pins));
}

void Driver::apply(gate::BeginTls output) {
  if (Connection* connection = find(output.conn)) connection->begin_tls(output);
}

void Driver::apply(gate::Flush output) { to_flush_.push_back(output.conn); }

void Driver::apply(gate::Hold output) {
  if (Connection* connection = find(output.conn)) connection->hold(output.on);
}

void Driver::apply(gate::Disconnect output) {
  if (Connection* connection = find(output.conn)) connection->disconnect(output.at_once);
  // A connection that was over already sends nothing; the role need not keep its final bytes.
  std::string unsent;
  while (parts_.role.take_output(output.conn, unsent, now())) unsent.clear();
}

void Driver::apply(gate::Listen output) {
  if (!has_shards()) {
    const auto opened = listen(output.on);
    if (output.on) handle_listening(opened);
    return;
  }
  shards_.post(0, [shard = parts_.shard, on = output.on](Driver& first) { first.listen_of(shard, on); });
}

void Driver::apply(gate::Prepare output) {
  parts_.worker.run(
      parts_.io.get_executor(),
      [work = std::move(output.work)]() mutable { return prepare_push(std::move(work)); },
      [this, id = output.id](Result<config::PreparedPush> prepared) {
        if (stopped_) return;
        parts_.role.handle_prepared(id, std::move(prepared), now());
        take_outputs_soon();
      });
}

void Driver::apply(gate::UseCredentials output) {
  if (parts_.pushed == nullptr) return;
  parts_.worker.discard(std::exchange(credentials_, std::move(output.credentials)));
  const auto* pushed = static_cast<const PushedCredentials*>(credentials_.get());
  if (pushed == nullptr) {
    parts_.pushed->use(nullptr);
    return parts_.s2s_tls.trust_system();
  }
  parts_.pushed->use(pushed->certificates);
  if (pushed->trust) parts_.s2s_tls.trust(**pushed->trust);
  const auto log_error = [this](std::string name, const Error& error) {
    parts_.log.log({LogLevel::kError,
                    std::move(name),
                    {{"code", std::string(code_row(error.code).name)}, {"text", error.text}}});
  };
  for (const Error& error : pushed->unusable) log_error("net.certificate", error);
  if (!pushed->trust) log_error("net.trust", pushed->trust.error());
}

void Driver::apply(gate::SpoolWork output) {
  parts_.spool->run(std::move(output.batch), parts_.io.get_executor(), [this](store::SpoolAnswer answer) {
    if (stopped_) return;
    parts_.role.handle_spooled(std::move(answer), now());
    take_outputs_soon();
  });
}

void Driver::apply(gate::Discard output) { parts_.worker.discard(std::move(output.value)); }

}  // namespace sallyport::net
