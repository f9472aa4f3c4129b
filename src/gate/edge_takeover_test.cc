// Two processes with one link identity, and a core that was restarted: which of two connections is the link.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/limits.h"
#include "gate/edge.h"
#include "link/session.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

struct Lines : LogSink, Random {
  void log(LogEvent event) override {
    std::string line = event.name;
    for (const auto& [key, value] : event.fields)
      if (key == "code") line += " " + value;
    lines.push_back(std::move(line));
  }
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
  std::ptrdiff_t count(std::string_view line) const { return std::ranges::count(lines, line); }
  std::vector<std::string> lines;
};

// An edge with one [[core]] row, and processes that hold its key.
struct EdgeTakeover : testing::Test {
  struct Process {
    explicit Process(const std::string& instance)
        : session(link::SessionConfig{link::Role::kCore, "core.example.org", "1", instance}) {}
    link::Session session;
    std::optional<ConnId> conn;
    bool mute = false;               // its machine lost power: nothing comes from it, nothing is closed
    std::vector<std::string> heard;  // how its connections ended
    bool final = false;
  };

  EdgeTakeover() { start_edge(); }
  void start_edge() {
    processes.clear();
    config::EdgeConfig config{.name = *xmpp::Domain::parse("vcse.example.net")};
    config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    config.cores.push_back({.name = "core-2", .pins = {}, .domains = {}});
    edge = std::make_unique<Edge>(EdgeSetup{std::move(config), "1", "edge"}, lines, lines, now);
  }

  void dials(Process& core, std::size_t row = 0) {
    core.conn = last_conn += 2;
    core.session.handle_connected(now.mono);
    processes[*core.conn] = &core;
    edge->handle_link(*core.conn, row, dns::SocketAddress{}, now);
    exchange();
  }
  // Its end of the connection is gone and the edge learns of it.
  void ends(Process& core) {
    const ConnId conn = *core.conn;
    processes.erase(conn);
    core.conn.reset();
    core.session.handle_disconnected(now.mono);
    edge->handle_disconnected(conn, {Code::kStreamLost, {}}, now);
    exchange();
  }
  void exchange() {
    for (bool any = true; any;) {
      any = false;
      for (auto& [conn, core] : std::map(processes)) {
        std::string bytes;
        if (core->mute || !core->session.take_output(bytes, now.mono)) continue;
        any = true;
        edge->handle_bytes(conn, bytes, now);
      }
      while (auto output = edge->poll()) {
        any = true;
        obey(*output);
      }
      for (auto& [conn, core] : std::map(processes)) notice(*core);
    }
  }
  void obey(const Output& output) {
    std::string bytes;
    if (const auto* flush = std::get_if<Flush>(&output)) {
      const auto at = processes.find(flush->conn);
      while (edge->take_output(flush->conn, bytes, now)) {
        if (at != processes.end() && !at->second->mute) at->second->session.handle_bytes(bytes, now.mono);
        bytes.clear();
      }
    } else if (const auto* gone = std::get_if<Disconnect>(&output)) {
      const auto at = processes.find(gone->conn);
      if (at == processes.end()) return;
      Process& core = *at->second;
      processes.erase(at);
      if (core.mute || core.conn != gone->conn) return;
      core.conn.reset();
      core.session.handle_disconnected(now.mono);
      notice(core);
    }
  }
  void notice(Process& core) {
    while (auto event = core.session.poll()) {
      const auto* down = std::get_if<link::Down>(&*event);
      if (down == nullptr) continue;
      core.heard.emplace_back(code_row(down->error.code).name);
      core.final = down->final;
    }
  }
  void passes(Duration time) {
    const Time end = now.mono + time;
    while (now.mono < end) {
      now.mono += 500ms;
      for (auto& [conn, core] : std::map(processes))
        if (!core->mute) core->session.handle_timeout(now.mono);
      edge->handle_timeout(now);
      exchange();
    }
  }
  bool is_linked(const Process& core) const { return core.conn && core.session.is_up(); }
  std::string status() { return edge->control(R"({"ask":"status"})", now); }
  bool shows_clash() { return status().find("link.same-identity") != std::string::npos; }

  Lines lines;
  Now now{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Edge> edge;
  std::map<ConnId, Process*> processes;
  ConnId last_conn = 1;
};

TEST_F(EdgeTakeover, a_restarted_core_has_the_link_at_once) {
  Process before("first"), after("second");
  dials(before);
  ASSERT_TRUE(is_linked(before));
  before.mute = true;
  dials(after);
  EXPECT_TRUE(is_linked(after));
  EXPECT_FALSE(shows_clash());
  // And again and again: no restart is taken for a second core.
  for (int i = 0; i < 30; ++i) {
    auto next = std::make_unique<Process>("process " + std::to_string(i));
    dials(*next);
    EXPECT_TRUE(is_linked(*next)) << i;
    ends(*next);
  }
  EXPECT_EQ(lines.count("link.refused link.same-identity"), 0);
}

TEST_F(EdgeTakeover, a_core_that_comes_back_on_a_new_connection_has_the_link_at_once_and_resumes) {
  Process core("first");
  dials(core);
  processes.erase(*core.conn);  // the connection is dead, and nobody has noticed
  dials(core);
  EXPECT_TRUE(is_linked(core));
  EXPECT_FALSE(shows_clash());
}

TEST_F(EdgeTakeover, of_two_running_cores_the_one_that_was_replaced_is_refused_with_the_cause) {
  for (const bool a_first : {true, false}) {
    start_edge();
    Process a("a"), b("b");
    Process* const first = a_first ? &a : &b;
    Process* const second = a_first ? &b : &a;
    dials(*first);
    dials(*second);
    ASSERT_TRUE(is_linked(*second));
    ASSERT_FALSE(first->heard.empty());
    EXPECT_EQ(first->heard.back(), "link.same-identity") << "it is told when it loses the link";
    for (int i = 0; i < 3; ++i) {
      passes(11s);
      dials(*first);
      EXPECT_FALSE(is_linked(*first));
      EXPECT_EQ(first->heard.back(), "link.same-identity");
      EXPECT_TRUE(first->final) << "so that it dials rarely";
      EXPECT_TRUE(is_linked(*second)) << "the link is left in peace";
    }
    EXPECT_TRUE(shows_clash());
    EXPECT_NE(status().find(R"("state":"pushing")"), std::string::npos) << "its link is there all the same";
  }
  EXPECT_GE(lines.count("link.refused link.same-identity"), 1);
}

TEST_F(EdgeTakeover, the_refused_core_has_the_link_when_the_other_one_falls_silent) {
  Process a("a"), b("b");
  dials(a);
  dials(b);
  dials(a);
  ASSERT_FALSE(is_linked(a));
  b.mute = true;
  passes(limits::kLinkDeadAfter + 1s);
  dials(a);
  EXPECT_TRUE(is_linked(a));
  passes(limits::kSameIdentityShown);
  EXPECT_FALSE(shows_clash());
}

TEST_F(EdgeTakeover, the_refused_core_has_the_link_when_the_other_one_ends) {
  Process a("a"), b("b");
  dials(a);
  dials(b);
  ends(b);
  dials(a);
  EXPECT_TRUE(is_linked(a));
}

TEST_F(EdgeTakeover, of_three_running_cores_one_keeps_the_link) {
  Process a("a"), b("b"), c("c");
  dials(a);
  dials(b);
  dials(c);
  ASSERT_TRUE(is_linked(c));
  for (Process* core : {&a, &b, &a, &b}) {
    dials(*core);
    EXPECT_FALSE(is_linked(*core));
    EXPECT_TRUE(is_linked(c));
  }
}

TEST_F(EdgeTakeover, so_many_replaced_instances_are_remembered_and_no_more) {
  std::vector<std::unique_ptr<Process>> all;
  for (std::size_t i = 0; i < limits::kReplacedInstancesMax + 2; ++i) {
    all.push_back(std::make_unique<Process>(std::to_string(i)));
    dials(*all.back());
  }
  dials(*all[1]);
  EXPECT_FALSE(is_linked(*all[1]));
  dials(*all[0]);
  EXPECT_TRUE(is_linked(*all[0])) << "forgotten";
}

TEST_F(EdgeTakeover, a_connection_that_does_not_greet_leaves_the_link_alone_and_ends) {
  Process core("a"), silent("b");
  dials(core);
  silent.mute = true;
  dials(silent);
  EXPECT_TRUE(is_linked(core));
  passes(limits::kLinkDeadAfter + 1s);
  EXPECT_TRUE(is_linked(core));
  EXPECT_EQ(processes.size(), 1u) << "it was closed";
}

TEST_F(EdgeTakeover, a_greeting_may_come_in_pieces_and_nonsense_is_refused) {
  Process core("a"), next("b");
  dials(core);
  next.mute = true;
  dials(next);
  next.mute = false;
  std::string hello;
  ASSERT_TRUE(next.session.take_output(hello, now.mono));
  for (const char byte : hello) {
    EXPECT_TRUE(is_linked(core));
    edge->handle_bytes(*next.conn, std::string(1, byte), now);
    exchange();
  }
  EXPECT_TRUE(is_linked(next));

  Process liar("c");
  liar.mute = true;
  dials(liar);
  edge->handle_bytes(*liar.conn, std::string(64, '\xff'), now);
  exchange();
  EXPECT_TRUE(is_linked(next));
  EXPECT_EQ(processes.size(), 1u);
}

TEST_F(EdgeTakeover, a_core_of_another_row_is_refused_as_before) {
  Process a("a"), other("b");
  dials(a);
  dials(other, 1);
  EXPECT_FALSE(is_linked(other));
  EXPECT_EQ(other.heard, std::vector<std::string>{"link.second-core"});
  EXPECT_TRUE(is_linked(a));
}

}  // namespace
}  // namespace sallyport::gate
