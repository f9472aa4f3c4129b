// The stage of the plays: a company with a core, an edge and one XMPP server, and remote servers on the
// public network, in one process and in virtual time. A play is a script: users say things, nodes fail,
// policy changes, and it tells what each user has heard.
//
//     example.com                  the company's users
//     conference-2.corp.example    its room service, reached from outside as chatroom1.example.com
//     partner.example              has a certificate that everybody trusts
//     other.example                the same; a second one
//     stranger.example             the same; no policy names it
//     old.example                  has no certificate that anybody trusts: it is known by DNS (dialback)
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../sim/chance.h"
#include "../sim/network.h"
#include "../sim/schedule.h"
#include "../sim/server.h"
#include "gate/core.h"
#include "gate/edge.h"

namespace sallyport::plays {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

class Stage : public ::testing::Test, private sim::Watch, private sim::Users, private LogSink {
 protected:
  Stage();
  ~Stage() override;

  // --- what the administrator does
  // policy.toml from now on: what is given, and the company's domains.
  void policy(const std::string& rows);

  // --- what users do
  void says(const std::string& from, const std::string& to, const std::string& body);
  void joins(const std::string& from, const std::string& room_and_nick);
  // What has come for a user since it was asked last, when nothing is under way any more: "SENDER: BODY",
  // "SENDER joins as ADDRESS" and "SENDER refuses: CONDITION".
  Lines heard(const std::string& user);

  // --- what happens
  void passes(Duration time);
  void edge_dies();
  void edge_starts();
  // A new server, with a certificate that everybody trusts, takes the place of the domain's.
  void installs_certificate(const std::string& domain);

  // --- what is seen from outside
  // The remote domains that the edge looked for.
  Lines looked_for() const { return looked_for_; }
  // How remote domains were proved to the edge and how it proved them: "in partner.example external".
  Lines proofs() const { return proofs_; }
  // Stanzas that the core keeps until they are settled.
  std::string unsettled();

 private:
  void build();
  void add_server(sim::ServerConfig config, const std::string& issuer, const std::string& address);
  void send(xmpp::StanzaKind kind, const std::string& from, const std::string& to, const std::string& type,
            const std::string& inner);
  std::shared_ptr<const config::PreparedPolicy> prepared();

  void arrived(const sim::ServerConfig& at, const xmpp::Pair& pair, const xmpp::Stanza& stanza) override;
  void failed(const sim::ServerConfig& at, const xmpp::Stanza& stanza, const Error& error) override;
  void wrote(const sim::Node&, const sim::Node&, std::uint64_t, std::string_view) override {}
  void read(const sim::Node&, std::uint64_t, std::string_view) override {}
  void lost(std::uint64_t, std::string_view, std::string_view) override {}
  void ended(std::uint64_t) override {}
  void dialled(const sim::Node& by, const gate::DialPlan& plan) override;
  void note(const std::string&) override {}
  void log(LogEvent event) override;

  sim::Chance chance_{1};
  sim::Schedule schedule_;
  sim::Network network_{schedule_, chance_, *this};
  config::CoreConfig core_config_;
  std::string policy_text_;
  std::uint64_t generation_ = 0;
  std::unique_ptr<gate::Core> core_;
  std::unique_ptr<gate::Edge> edge_;
  std::size_t core_node_ = 0;
  std::size_t edge_node_ = 0;
  std::size_t edge_starts_ = 0;
  struct Running {
    std::unique_ptr<sim::Server> server;
    std::size_t node;
  };
  std::map<std::string, std::shared_ptr<Running>> servers_;  // by domain
  std::vector<std::shared_ptr<Running>> replaced_;
  std::map<std::string, Lines> heard_;
  Lines looked_for_;
  Lines proofs_;
  std::uint64_t last_id_ = 0;
};

}  // namespace sallyport::plays
