#include "net/dns_server.h"

#include <algorithm>
#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/limits.h"
#include "base/shares.h"
#include "net/listener.h"
#include "net/socket_address.h"

namespace sallyport::net {

using asio::ip::udp;

namespace {

// An open question or a TCP connection, which occupies a place.
struct Flight {
  // Keeps the owner of the places alive, so it is declared before them.
  std::shared_ptr<void> state;
  dns::Ip client;
  Shares<Flight*>::Part place;
  Shares<Flight*>::Part idle;
  asio::cancellation_signal cancelled;
  // Of a question that arrived on a connection: that connection, whose coroutine answers it.
  std::shared_ptr<Flight> ends;

  // Releases its places and ends its coroutine.
  void end() {
    place.reset();
    idle.reset();
    if (ends) return ends->end();
    cancelled.emit(asio::cancellation_type::terminal);
  }
};
using Places = Shares<Flight*>;

Places::Keys keys_of(const dns::Ip& client) { return {source_of_address(client.bytes)}; }

}  // namespace

struct DnsServer::State {
  State(asio::io_context& io_in, DnsServerSetup setup_in, dns::Answering answering_in, Random& random_in)
      : io(io_in),
        setup(std::move(setup_in)),
        answering(std::move(answering_in)),
        random(random_in),
        questions({setup.questions_max,
                   {std::max<std::uint64_t>(1, setup.questions_max / limits::kDnsInFlightPerClientPart)}}) {}

  using Self = std::shared_ptr<State>;
  static asio::awaitable<void> serve_datagrams(Self self, std::size_t index);
  static asio::awaitable<void> answer_datagram(Self self, std::size_t index, udp::endpoint client,
                                               std::string query, std::shared_ptr<Flight> question);
  static asio::awaitable<void> serve_streams(Self self, std::size_t index);
  static asio::awaitable<void> serve_stream(Self self, tcp::socket socket,
                                            std::shared_ptr<Flight> connection);
  // The response to a query; nothing for a message that is itself a response or is malformed.
  static asio::awaitable<std::optional<std::string>> respond(Self self, std::string bytes, bool by_datagram);
  static asio::awaitable<std::optional<std::string>> forward(Self self, std::string bytes, dns::Head head,
                                                             bool by_datagram);

  Result<void> bind(const dns::SocketAddress& endpoint);
  bool may_ask(const dns::Ip& ip) const {
    return std::ranges::any_of(setup.clients,
                               [&ip](const config::Network& n) { return n.contains(ip.bytes); });
  }
  // Nothing where the client's share is used up. The one that lost its place for it has been ended.
  static std::shared_ptr<Flight> open_question(const Self& self, const dns::Ip& client);
  static std::shared_ptr<Flight> open_connection(const Self& self, const dns::Ip& client);
  static std::shared_ptr<Flight> open(const Self& self, const dns::Ip& client, Places& places);
  // Runs it until it ends or loses its place.
  void run(std::shared_ptr<Flight> flight, asio::awaitable<void> life);

  asio::io_context& io;
  DnsServerSetup setup;
  dns::Answering answering;
  Random& random;
  DnsServerCounters counters;
  std::vector<std::unique_ptr<udp::socket>> datagrams;
  std::vector<std::unique_ptr<tcp::acceptor>> acceptors;
  Places questions;
  Places connections{{limits::kDnsConnectionsMax, {limits::kDnsConnectionsPerClientMax}}};
  // The connections that wait for a question.
  Places idle{{limits::kDnsConnectionsMax, {limits::kDnsConnectionsMax}}};
  bool stopped = false;
};

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

udp::endpoint to_udp(const dns::SocketAddress& endpoint) {
  const tcp::endpoint same = to_asio(endpoint);
  return {same.address(), same.port()};
}

// Closes a socket when its time is up, so that no wait on it, begun or not, lasts longer.
template <typename Socket>
class CloseAfter {
 public:
  CloseAfter(Socket& socket, Duration after)
      : alive_(std::make_shared<Socket*>(&socket)), timer_(socket.get_executor(), after) {
    timer_.async_wait([alive = alive_](const boost::system::error_code& error) {
      boost::system::error_code ignored;
      if (!error && *alive != nullptr) (*alive)->close(ignored);
    });
  }
  ~CloseAfter() { *alive_ = nullptr; }
  CloseAfter(const CloseAfter&) = delete;
  CloseAfter& operator=(const CloseAfter&) = delete;

 private:
  // Its handler may run after it is destroyed; then there is no socket.
  std::shared_ptr<Socket*> alive_;
  asio::steady_timer timer_;
};

void put_id(std::string& message, std::uint16_t id) {
  message[0] = static_cast<char>(id >> 8);
  message[1] = static_cast<char>(id & 0xff);
}

// Whether `reply` answers the question that was sent with `id`: a spoofed reply must guess both.
bool is_reply(std::string_view reply, std::uint16_t id, const dns::Question& question) {
  const auto head = dns::parse_head(reply);
  return head && head->id == id && (head->flags & dns::kResponse) != 0 && head->question &&
         head->question->name.is_same(question.name) && head->question->type == question.type &&
         head->question->class_ == question.class_;
}

asio::awaitable<std::optional<std::string>> ask_by_datagram(asio::io_context& io, dns::SocketAddress upstream,
                                                            std::string query, std::uint16_t id,
                                                            dns::Question question) {
  // A socket of its own, for an unpredictable source port.
  udp::socket socket(io);
  boost::system::error_code error;
  const udp::endpoint server = to_udp(upstream);
  socket.open(server.protocol(), error);
  if (!error) socket.connect(server, error);
  if (error) co_return std::nullopt;
  const CloseAfter deadline(socket, limits::kDnsUpstreamTimeout);
  auto [send_error, sent] = co_await socket.async_send(asio::buffer(query), kAwait);
  if (send_error) co_return std::nullopt;
  std::string reply(limits::kDnsMessageBytesMax, '\0');
  for (;;) {
    auto [receive_error, size] = co_await socket.async_receive(asio::buffer(reply), kAwait);
    if (receive_error) co_return std::nullopt;
    if (!is_reply(std::string_view(reply).substr(0, size), id, question)) continue;
    reply.resize(size);
    co_return reply;
  }
}

asio::awaitable<std::optional<std::string>> read_message(tcp::socket& socket) {
  std::array<unsigned char, 2> length{};
  auto [head_error, head_size] = co_await asio::async_read(socket, asio::buffer(length), kAwait);
  if (head_error) co_return std::nullopt;
  std::string message(static_cast<std::size_t>(length[0]) << 8 | length[1], '\0');
  auto [error, size] = co_await asio::async_read(socket, asio::buffer(message), kAwait);
  if (error) co_return std::nullopt;
  co_return message;
}

asio::awaitable<bool> write_message(tcp::socket& socket, std::string message) {
  std::string framed;
  Appender to(framed);
  to.u16(static_cast<std::uint16_t>(message.size()));
  to.raw(message);
  auto [error, size] = co_await asio::async_write(socket, asio::buffer(framed), kAwait);
  co_return !error;
}

asio::awaitable<std::optional<std::string>> ask_by_stream(asio::io_context& io, dns::SocketAddress upstream,
                                                          std::string query, std::uint16_t id,
                                                          dns::Question question) {
  tcp::socket socket(io);
  const CloseAfter deadline(socket, limits::kDnsUpstreamTimeout);
  auto [error] = co_await socket.async_connect(to_asio(upstream), kAwait);
  if (error) co_return std::nullopt;
  const bool written = co_await write_message(socket, std::move(query));
  if (!written) co_return std::nullopt;
  auto reply = co_await read_message(socket);
  if (!reply || !is_reply(*reply, id, question)) co_return std::nullopt;
  co_return reply;
}

}  // namespace

// --- places

std::shared_ptr<Flight> DnsServer::State::open(const Self& self, const dns::Ip& client, Places& places) {
  Places::Place found = places.place(keys_of(client));
  if (found.room == Places::Room::kYields) {
    ++self->counters.displaced;
    (*found.loser)->end();
    found = places.place(keys_of(client));
  }
  if (found.room != Places::Room::kFree) {
    ++self->counters.refused;
    return nullptr;
  }
  auto flight = std::make_shared<Flight>();
  flight->state = self;
  flight->client = client;
  flight->place = places.hold(keys_of(client), flight.get());
  return flight;
}

std::shared_ptr<Flight> DnsServer::State::open_question(const Self& self, const dns::Ip& client) {
  return open(self, client, self->questions);
}

std::shared_ptr<Flight> DnsServer::State::open_connection(const Self& self, const dns::Ip& client) {
  Places& all = self->connections;
  if (all.place(keys_of(client)).room == Places::Room::kYields) {
    // Prefers a connection without a question.
    Flight* const* quiet = self->idle.oldest_of_largest();
    const auto held = [&all](const dns::Ip& by) { return all.held_by(0, keys_of(by)[0]); };
    if (quiet != nullptr && held((*quiet)->client) > held(client)) {
      ++self->counters.displaced;
      (*quiet)->end();
    }
  }
  return open(self, client, all);
}

void DnsServer::State::run(std::shared_ptr<Flight> flight, asio::awaitable<void> life) {
  const asio::cancellation_slot slot = flight->cancelled.slot();
  // A cancelled coroutine ends by an exception, which nobody needs.
  asio::co_spawn(
      io, std::move(life),
      asio::bind_cancellation_slot(slot, [flight = std::move(flight)](const std::exception_ptr&) {}));
}

// --- one question

asio::awaitable<std::optional<std::string>> DnsServer::State::respond(Self self, std::string bytes,
                                                                      bool by_datagram) {
  const auto head = dns::parse_head(bytes);
  if (!head || (head->flags & dns::kResponse) != 0) co_return std::nullopt;
  const auto query = dns::Message::parse(bytes);
  if (!query) co_return dns::refusal(*head, dns::Rcode::kFormErr).build();
  if (auto own = dns::answer(*query, self->answering)) {
    ++self->counters.answered;
    if (!by_datagram) co_return own->build();
    const auto edns = dns::edns_of(*query);
    co_return dns::build_datagram(*own, dns::datagram_bytes_max(edns ? *edns : std::nullopt));
  }
  if (auto reply = co_await forward(self, std::move(bytes), *head, by_datagram)) {
    ++self->counters.forwarded;
    co_return reply;
  }
  ++self->counters.failed;
  co_return dns::refusal(*head, dns::Rcode::kServFail).build();
}

// Returns a truncated reply as it is: the client repeats the question over TCP, and so do we.
asio::awaitable<std::optional<std::string>> DnsServer::State::forward(Self self, std::string bytes,
                                                                      dns::Head head, bool by_datagram) {
  if (!head.question) co_return std::nullopt;
  const auto id = static_cast<std::uint16_t>(self->random.below(0x10000));
  put_id(bytes, id);
  for (const auto& upstream : self->setup.upstream) {
    std::optional<std::string> reply;
    // Not a ?: with two co_await: GCC 12 destroys what it passes to them twice.
    if (by_datagram) {
      reply = co_await ask_by_datagram(self->io, upstream, bytes, id, *head.question);
    } else {
      reply = co_await ask_by_stream(self->io, upstream, bytes, id, *head.question);
    }
    if (!reply) continue;
    put_id(*reply, head.id);
    co_return reply;
  }
  co_return std::nullopt;
}

// --- datagrams

asio::awaitable<void> DnsServer::State::serve_datagrams(Self self, std::size_t index) {
  udp::socket& socket = *self->datagrams[index];
  std::string buffer(limits::kDnsMessageBytesMax, '\0');
  while (!self->stopped) {
    udp::endpoint client;
    auto [error, size] = co_await socket.async_receive_from(asio::buffer(buffer), client, kAwait);
    if (self->stopped) co_return;
    if (error) continue;  // an ICMP error of an earlier reply
    const dns::Ip ip = from_asio(tcp::endpoint(client.address(), client.port())).ip;
    if (!self->may_ask(ip)) {
      ++self->counters.refused;
      const auto head = dns::parse_head(std::string_view(buffer).substr(0, size));
      if (!head || (head->flags & dns::kResponse) != 0) continue;
      const std::string no = dns::refusal(*head, dns::Rcode::kRefused).build();
      boost::system::error_code ignored;
      socket.send_to(asio::buffer(no), client, 0, ignored);
      continue;
    }
    auto question = open_question(self, ip);
    if (!question) continue;
    self->run(question, answer_datagram(self, index, client, buffer.substr(0, size), question));
  }
}

asio::awaitable<void> DnsServer::State::answer_datagram(Self self, std::size_t index, udp::endpoint client,
                                                        std::string query, std::shared_ptr<Flight> question) {
  auto reply = co_await respond(self, std::move(query), true);
  question->place.reset();
  if (!reply || self->stopped) co_return;
  co_await self->datagrams[index]->async_send_to(asio::buffer(*reply), client, kAwait);
}

// --- streams

asio::awaitable<void> DnsServer::State::serve_streams(Self self, std::size_t index) {
  tcp::acceptor& acceptor = *self->acceptors[index];
  while (!self->stopped) {
    auto [error, socket] = co_await acceptor.async_accept(kAwait);
    if (self->stopped) co_return;
    if (error) {
      asio::steady_timer rest(self->io, limits::kAcceptRest);
      co_await rest.async_wait(kAwait);
      continue;
    }
    boost::system::error_code gone;
    const tcp::endpoint peer = socket.remote_endpoint(gone);
    if (gone || !self->may_ask(from_asio(peer).ip)) {
      ++self->counters.refused;
      continue;
    }
    auto connection = open_connection(self, from_asio(peer).ip);
    if (!connection) continue;
    self->run(connection, serve_stream(self, std::move(socket), connection));
  }
}

asio::awaitable<void> DnsServer::State::serve_stream(Self self, tcp::socket socket,
                                                     std::shared_ptr<Flight> connection) {
  while (!self->stopped) {
    const CloseAfter deadline(socket, limits::kDnsStreamIdle);
    connection->idle = self->idle.hold(keys_of(connection->client), connection.get());
    auto query = co_await read_message(socket);
    connection->idle.reset();
    if (!query) break;
    auto question = open_question(self, connection->client);
    if (!question) break;
    // The question runs in this coroutine: ending it ends the connection.
    question->ends = connection;
    auto reply = co_await respond(self, std::move(*query), false);
    question->place.reset();
    if (!reply) break;
    const bool written = co_await write_message(socket, std::move(*reply));
    if (!written) break;
  }
  connection->place.reset();
}

// --- start and end of the server

Result<void> DnsServer::State::bind(const dns::SocketAddress& endpoint) {
  boost::system::error_code error;
  const auto failed = [&](const char* what) { return listen_error(what, endpoint, error); };
  auto datagram = std::make_unique<udp::socket>(io);
  const udp::endpoint where = to_udp(endpoint);
  const bool v6 = where.protocol() == udp::v6();
  datagram->open(where.protocol(), error);
  // As the s2s listeners: "[::]" and "0.0.0.0" are two.
  if (!error && v6) datagram->set_option(asio::ip::v6_only(true), error);
  if (!error) datagram->bind(where, error);
  if (error) return failed("answering DNS over UDP on");
  // The same port over TCP, also where the system chose it.
  auto acceptor = std::make_unique<tcp::acceptor>(io);
  const tcp::endpoint stream(where.address(), datagram->local_endpoint(error).port());
  acceptor->open(stream.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && v6) acceptor->set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor->bind(stream, error);
  if (!error) acceptor->listen(limits::kListenBacklog, error);
  if (error) return failed("answering DNS over TCP on");
  datagrams.push_back(std::move(datagram));
  acceptors.push_back(std::move(acceptor));
  return {};
}

Result<std::unique_ptr<DnsServer>> DnsServer::start(asio::io_context& io, DnsServerSetup setup,
                                                    dns::Answering answering, Random& random) {
  auto state = std::make_shared<State>(io, std::move(setup), std::move(answering), random);
  for (const auto& endpoint : state->setup.listen)
    if (auto bound = state->bind(endpoint); !bound) return bound.error();
  for (std::size_t i = 0; i < state->datagrams.size(); ++i) {
    asio::co_spawn(io, State::serve_datagrams(state, i), asio::detached);
    asio::co_spawn(io, State::serve_streams(state, i), asio::detached);
  }
  return std::unique_ptr<DnsServer>(new DnsServer(std::move(state)));
}

DnsServer::DnsServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

DnsServer::~DnsServer() {
  state_->stopped = true;
  boost::system::error_code ignored;
  for (auto& socket : state_->datagrams) socket->close(ignored);
  for (auto& acceptor : state_->acceptors) acceptor->close(ignored);
}

void DnsServer::use(dns::Answering answering) { state_->answering = std::move(answering); }
const DnsServerCounters& DnsServer::counters() const { return state_->counters; }

std::vector<dns::SocketAddress> DnsServer::endpoints() const {
  std::vector<dns::SocketAddress> all;
  boost::system::error_code ignored;
  for (const auto& socket : state_->datagrams) {
    const udp::endpoint local = socket->local_endpoint(ignored);
    all.push_back(from_asio(tcp::endpoint(local.address(), local.port())));
  }
  return all;
}

}  // namespace sallyport::net
