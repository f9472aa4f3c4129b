// Connections: bytes, TLS, holds, ends.
#include "net/credentials.h"
#include "net/driver_fixture.h"
#include "net/key_update_fixture.h"

namespace sallyport::net {
namespace {

TEST_F(DriverTest, bytes_pass_both_ways_and_what_was_written_is_told) {
  gate::ConnId conn = connect();
  EXPECT_EQ(conn % 2, 1U);
  EXPECT_FALSE(server_.role.direct_tls_);
  server_.say(conn, "welcome");
  ASSERT_TRUE(run_until([&] { return client_.role.received_[2] == "welcome"; }));
  EXPECT_EQ(server_.role.received_[conn], "hello");
  EXPECT_EQ(client_.role.written_[2], 5U);
  EXPECT_EQ(server_.role.written_[conn], 7U);
}

TEST_F(DriverTest, starttls_on_both_ends_begins_behind_what_was_said_before) {
  gate::ConnId conn = connect_secure();
  EXPECT_EQ(client_.role.received_[2], "<proceed/>");
  ASSERT_TRUE(server_.role.tls_.at(conn));
  ASSERT_TRUE(client_.role.tls_.at(2));
  EXPECT_EQ(server_.role.tls_.at(conn)->names.dns, std::vector<std::string>{"client.example"});
  EXPECT_TRUE(server_.role.tls_.at(conn)->chain.has_value());
  EXPECT_EQ(client_.role.tls_.at(2)->names.dns, std::vector<std::string>{"server.example"});
  EXPECT_EQ(client_.role.tls_.at(2)->own_certificate, "client.example");
  client_.say(2, "secret");
  server_.say(conn, "mine");
  ASSERT_TRUE(run_until([&] {
    return server_.role.received_[conn] == "hellosecret" && client_.role.received_[2] == "<proceed/>mine";
  }));
  // Counted from the connection's beginning, across the handshake.
  EXPECT_EQ(client_.role.written_[2], 11U);
}

TEST_F(DriverTest, tls_waits_until_all_that_was_said_before_is_written) {
  gate::ConnId conn = connect();
  // More than the socket accepts at once; the peer does not read yet.
  client_.want(gate::Hold{2, true});
  std::string much(4 * 1024 * 1024, 'x');
  server_.say(conn, much);
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 0; }));
  EXPECT_LT(server_.role.written_[conn], much.size());
  EXPECT_FALSE(server_.role.tls_.contains(conn));
  client_.role.on_bytes = [&](gate::ConnId, std::string_view) {
    if (client_.role.received_[2].size() == much.size()) client_.role.wants_.emplace_back(initiating(2));
  };
  client_.want(gate::Hold{2, false});
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn) && client_.role.tls_.contains(2); }));
  EXPECT_TRUE(server_.role.tls_.at(conn).has_value());
  EXPECT_EQ(client_.role.received_[2].size(), much.size());
}

TEST_F(DriverTest, what_is_said_while_writing_is_blocked_still_comes_before_tls) {
  gate::ConnId conn = connect();
  client_.want(gate::Hold{2, true});
  std::string much(4 * 1024 * 1024, 'x');
  server_.say(conn, much);
  ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 0; }));
  server_.say(conn, "<proceed/>");
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  // Sent after the order: it belongs after the handshake.
  server_.say(conn, "<features/>");
  client_.role.on_bytes = [&](gate::ConnId, std::string_view) {
    if (client_.role.received_[2].ends_with("<proceed/>")) client_.role.wants_.emplace_back(initiating(2));
  };
  client_.want(gate::Hold{2, false});
  ASSERT_TRUE(run_until([&] { return client_.role.received_[2].ends_with("<features/>"); }));
  EXPECT_TRUE(server_.role.tls_.at(conn).has_value());
  EXPECT_EQ(client_.role.received_[2].size(), much.size() + 21);
}

TEST_F(DriverTest, a_first_byte_of_tls_is_answered_with_tls) {
  client_.dialer.direct_tls = true;
  client_.role.on_connected = [&](gate::ConnId conn, const gate::Connected& connected) {
    EXPECT_TRUE(connected.direct_tls);
    client_.role.wants_.emplace_back(initiating(conn, true));
  };
  client_.want(dial(2));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.size() == 1 && client_.role.tls_.size() == 1; }));
  gate::ConnId conn = server_.role.accepted_.front();
  EXPECT_TRUE(server_.role.direct_tls_);
  ASSERT_TRUE(server_.role.tls_.at(conn));
  EXPECT_EQ(server_.role.tls_.at(conn)->server_name, "server.example");
  EXPECT_EQ(server_.role.tls_.at(conn)->alpn, "xmpp-server");
  client_.say(2, "hi");
  EXPECT_TRUE(run_until([&] { return server_.role.received_[conn] == "hi"; }));
}

TEST_F(DriverTest, a_failed_handshake_is_told_once_and_ends_the_connection) {
  gate::ConnId conn = connect();
  client_.say(2, "this is not TLS, and long enough to be seen as such");
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_FALSE(server_.role.tls_.at(conn));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsHandshake);
  ASSERT_TRUE(
      run_until([&] { return !client_.role.disconnected_.empty() && server_.driver->connections() == 0; }));
  EXPECT_TRUE(server_.role.disconnected_.empty());
}

TEST_F(DriverTest, a_domain_without_certificate_fails_the_handshake_before_it_begins) {
  gate::ConnId conn = connect();
  server_.want(gate::BeginTls{conn, true, domain("other.example"), {}, false});
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsNoLocalCertificate);
}

TEST_F(DriverTest, a_megabyte_under_hold_arrives_whole_in_turns_of_a_bounded_size) {
  for (bool is_secure : {false, true}) {
    SCOPED_TRACE(is_secure);
    gate::ConnId conn = 0;
    if (is_secure) {
      client_.want(gate::Disconnect{2});
      ASSERT_TRUE(
          run_until([&] { return client_.driver->connections() + server_.driver->connections() == 0; }));
      server_.role = ScriptedRole();
      client_.role = ScriptedRole();
      conn = connect_secure();
    } else {
      conn = connect();
    }
    std::size_t before = client_.role.received_[2].size();
    client_.want(gate::Hold{2, true});
    std::string much;
    while (much.size() < 8 * 1024 * 1024) much += "line " + std::to_string(much.size()) + "\n";
    server_.say(conn, much);
    ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > 64 * 1024; }));
    EXPECT_EQ(client_.role.received_[2].size(), before);
    EXPECT_LT(server_.role.written_[conn], much.size());
    client_.want(gate::Hold{2, false});
    ASSERT_TRUE(run_until([&] { return client_.role.received_[2].size() == before + much.size(); }));
    EXPECT_EQ(client_.role.received_[2].substr(before), much);
    EXPECT_LE(client_.role.largest_, limits::kReadBytes + kTlsRecordBytesMax);
  }
}

TEST_F(DriverTest, records_that_are_there_together_are_given_at_once) {
  gate::ConnId conn = connect_secure();
  server_.want(gate::Hold{conn, true});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  // Each is written by itself, so that each is a record.
  for (int i = 0; i < 10; ++i) {
    client_.say(2, "stanza");
    ASSERT_TRUE(run_until([&] { return client_.role.written_[2] == 5U + 6U * (i + 1U); }));
  }
  int times = 0;
  server_.role.on_bytes = [&](gate::ConnId, std::string_view bytes) {
    ++times;
    EXPECT_EQ(bytes.size(), 60U);
  };
  server_.want(gate::Hold{conn, false});
  ASSERT_TRUE(run_until([&] { return server_.role.received_[conn].size() == 65; }));
  EXPECT_EQ(times, 1);
}

TEST_F(DriverTest, on_a_quiet_node_an_event_is_answered_at_once) {
  gate::ConnId conn = connect();
  server_.role.on_bytes = [&](gate::ConnId, std::string_view) { server_.role.say(conn, "answer"); };
  client_.say(2, "question");
  ASSERT_TRUE(run_until([&] { return client_.role.written_[2] == 13U; }));
  auto quiet_at = std::chrono::steady_clock::now() + limits::kQuietAfter;
  while (std::chrono::steady_clock::now() < quiet_at) continue;
  EXPECT_EQ(server_.role.written_[conn], 0U);
  ASSERT_TRUE(run_until([&] { return server_.role.received_[conn] == "helloquestion"; }));
  // No further turn of the loop was needed.
  EXPECT_EQ(server_.role.written_[conn], 6U);
}

TEST_F(DriverTest, disconnect_writes_what_is_left_first) {
  for (bool is_secure : {false, true}) {
    SCOPED_TRACE(is_secure);
    server_.role = ScriptedRole();
    client_.role = ScriptedRole();
    gate::ConnId conn = is_secure ? connect_secure() : connect();
    std::size_t before = client_.role.received_[2].size();
    std::string much(3 * 1024 * 1024, 'x');
    server_.role.pending_[conn] = much;  // without a Flush: Disconnect takes it
    server_.want(gate::Disconnect{conn});
    ASSERT_TRUE(run_until([&] { return !client_.role.disconnected_.empty(); }));
    EXPECT_EQ(client_.role.received_[2].size(), before + much.size());
    EXPECT_EQ(client_.role.last_error_->code, Code::kStreamLost);
    ASSERT_TRUE(
        run_until([&] { return client_.driver->connections() + server_.driver->connections() == 0; }));
    EXPECT_TRUE(server_.role.disconnected_.empty());
  }
}

TEST_F(DriverTest, a_disconnect_at_once_writes_no_more_than_it_has_told) {
  for (bool is_secure : {false, true}) {
    SCOPED_TRACE(is_secure);
    server_.role = ScriptedRole();
    client_.role = ScriptedRole();
    gate::ConnId conn = is_secure ? connect_secure() : connect();
    client_.want(gate::Hold{2, true});
    ASSERT_TRUE(run_until([&] { return client_.role.wants_.empty(); }));
    const std::uint64_t before = server_.role.written_[conn];
    const std::size_t read_before = client_.role.received_[2].size();
    server_.role.pending_[conn] = std::string(64 * 1024 * 1024, 'x');
    server_.want(gate::Flush{conn});
    ASSERT_TRUE(run_until([&] { return server_.role.written_[conn] > before; }));
    server_.want(gate::Disconnect{conn, true});
    ASSERT_TRUE(run_until([&] { return server_.driver->connections() == 0; }));
    client_.want(gate::Hold{2, false});
    ASSERT_TRUE(run_until([&] { return !client_.role.disconnected_.empty(); }));
    EXPECT_LE(client_.role.received_[2].size() - read_before, server_.role.written_[conn] - before);
    ASSERT_TRUE(run_until([&] { return client_.driver->connections() == 0; }));
    EXPECT_TRUE(server_.role.disconnected_.empty());
  }
}

TEST_F(DriverTest, what_came_before_the_end_is_given_before_the_end) {
  gate::ConnId conn = connect();
  client_.role.pending_[2] = "</stream:stream>";
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  EXPECT_EQ(server_.role.received_[conn], "hello</stream:stream>");
}

TEST_F(DriverTest, an_end_is_noticed_under_hold_when_it_is_a_reset) {
  gate::ConnId conn = connect();
  server_.want(gate::Hold{conn, true});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  tcp::socket rude(io_);
  rude.connect(to_asio(server_.driver->s2s_endpoints().front()));
  asio::write(rude, asio::buffer("x", 1));
  ASSERT_TRUE(run_until([&] { return server_.role.accepted_.size() == 2; }));
  gate::ConnId second = server_.role.accepted_.back();
  server_.want(gate::Hold{second, true});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  rude.set_option(asio::socket_base::linger(true, 0));
  rude.close();
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  EXPECT_EQ(server_.role.disconnected_.front(), second);
}

TEST_F(DriverTest, outputs_for_a_connection_that_is_over_are_ignored) {
  gate::ConnId conn = connect();
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return !server_.role.disconnected_.empty(); }));
  server_.role.pending_[conn] = "last words";
  server_.want(gate::Flush{conn});
  server_.want(gate::Hold{conn, true});
  server_.want(accepting(conn));
  server_.want(gate::Disconnect{conn});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  // The driver has taken them from the role.
  EXPECT_TRUE(server_.role.pending_[conn].empty());
}

TEST_F(DriverTest, timeouts_come_when_they_are_due_and_move_with_the_role) {
  Now now = server_.driver->now();
  server_.role.timeout_ = now.mono + std::chrono::hours(1);
  server_.driver->wake();
  io_.poll();
  server_.role.timeout_ = now.mono + 20ms;
  server_.driver->wake();
  ASSERT_TRUE(run_until([&] { return server_.role.timeouts_ == 1; }));
  // A timer that moved back fires late, not early: handle_timeout checks.
  now = server_.driver->now();
  server_.role.timeout_ = now.mono + 10ms;
  server_.driver->wake();
  io_.poll();
  server_.role.timeout_ = now.mono + 40ms;
  ASSERT_TRUE(run_until([&] { return server_.role.timeouts_ == 2; }));
}

TEST_F(DriverTest, control_asks_the_role_and_drain_ends_it) {
  EXPECT_EQ(server_.driver->control("status"), "answer to status");
  EXPECT_FALSE(server_.driver->is_drained());
  server_.driver->drain_streams();
  EXPECT_TRUE(server_.role.drained_);
  EXPECT_FALSE(server_.driver->is_listening());
  EXPECT_TRUE(server_.driver->is_drained());
}

TEST_F(DriverTest, a_push_is_prepared_while_the_loop_goes_on) {
  const auto bring = [this](std::uint64_t id, std::string bytes) {
    server_.want(gate::Prepare{id, {SecretBytes(std::move(bytes)), domain("edge.example"), {}}});
  };
  config::Push push;
  push.generation = 7;
  push.certificates = {pem_for("other.example")};
  bring(1, push.encode());
  bring(2, "nonsense");
  ASSERT_TRUE(run_until([&] { return server_.role.prepared_.size() == 2; }));
  const auto& good = server_.role.prepared_.at(1);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->policy->generation(), 7u);
  EXPECT_NE(good->credentials, nullptr);
  ASSERT_FALSE(server_.role.prepared_.at(2));
  EXPECT_EQ(server_.role.prepared_.at(2).error().code, Code::kLinkFrame);
}

TEST_F(DriverTest, pushed_certificates_and_trust_count_from_the_next_handshake_on) {
  config::CertificatePem broken;
  broken.chain = "nonsense";
  config::Push push;
  push.certificates = {pem_for("other.example"), broken};
  push.trusted_ca = "nonsense";
  auto prepared = prepare_push({SecretBytes(push.encode()), domain("edge.example"), {}});
  ASSERT_TRUE(prepared);
  server_.want(gate::UseCredentials{prepared->credentials});
  ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
  EXPECT_TRUE(server_.log.has("net.certificate"));
  EXPECT_TRUE(server_.log.has("net.trust"));
  gate::ConnId conn = connect();
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn); }));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsNoLocalCertificate);
}

TEST_F(DriverTest, what_a_role_discards_is_freed_and_without_credentials_nothing_is_shown) {
  const auto value = std::make_shared<int>(1);
  server_.want(gate::Discard{value});
  server_.want(gate::Discard{nullptr});
  server_.want(gate::UseCredentials{});
  gate::ConnId conn = connect();
  server_.want(accepting(conn));
  ASSERT_TRUE(run_until([&] { return server_.role.tls_.contains(conn) && value.use_count() == 1; }));
  EXPECT_EQ(server_.role.last_error_->code, Code::kTlsNoLocalCertificate);
}

TEST_F(DriverTest, a_dial_that_is_given_up_ends_without_a_word) {
  client_.want(dial(2));
  client_.want(gate::Disconnect{2});
  ASSERT_TRUE(run_until([&] { return client_.role.wants_.empty() && client_.driver->connections() == 0; }));
  EXPECT_TRUE(client_.role.connected_.empty());
  EXPECT_TRUE(client_.role.dial_failed_.empty());
}

// A peer that has sent the header of a key update. Until the rest comes nothing can be written, although the
// socket accepts bytes.
class HalfKeyUpdateTest : public DriverTest {
 protected:
  // Returns the server's id for it.
  gate::ConnId come() {
    server_.role = ScriptedRole();
    peer_.reset();
    socket_ = tcp::socket(io_);
    socket_.connect(to_asio(server_.driver->s2s_endpoints().front()));
    socket_.native_non_blocking(true);
    peer_.emplace(socket_.native_handle());
    EXPECT_TRUE(run_until([&] { return SSL_connect(peer_->ssl()) == 1 && server_.role.tls_.size() == 1; }));
    peer_->send_header();
    // The server reads it, and nothing tells so.
    io_.run_for(50ms);
    return server_.role.accepted_.front();
  }
  void expect_rest() { EXPECT_LT(io_.run_for(300ms), 50U); }

  tcp::socket socket_{io_};
  std::optional<KeyUpdateInTwo> peer_;
};

TEST_F(HalfKeyUpdateTest, while_output_waits_for_the_other_half_the_loop_rests) {
  for (const bool held : {false, true}) {
    SCOPED_TRACE(held);
    const gate::ConnId conn = come();
    if (held) {
      server_.want(gate::Hold{conn, true});
      ASSERT_TRUE(run_until([&] { return server_.role.wants_.empty(); }));
      // Nobody reads it: the socket is both writable and readable.
      peer_->send_rest();
    }
    server_.say(conn, "welcome");
    expect_rest();
    EXPECT_EQ(server_.role.written_[conn], 0U);
    if (held) {
      server_.want(gate::Hold{conn, false});
    } else {
      peer_->send_rest();
    }
    EXPECT_TRUE(run_until([&] { return peer_->received() == "welcome"; }));
    EXPECT_TRUE(run_until([&] { return server_.role.written_[conn] == 7U; }));
  }
}

TEST_F(HalfKeyUpdateTest, while_a_connection_that_ends_waits_for_the_other_half_the_loop_rests) {
  const gate::ConnId conn = come();
  server_.role.pending_[conn] = "last words";
  server_.want(gate::Disconnect{conn});
  expect_rest();
  EXPECT_EQ(server_.driver->connections(), 1U);
}
}  // namespace
}  // namespace sallyport::net
