// The sending half of a session: outward channels, what of them is in flight, and what must be kept.
//
// A stanza given to `send` stays here until it is settled or given up. Sent or not, it waits in its
// channel in order; what the window or the link has no room for yet is sent when it has.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/shares.h"
#include "link/line.h"
#include "xmpp/pair_map.h"

namespace sallyport::link {

class Sender {
 public:
  explicit Sender(Line& line) : line_(line) {}
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // As in Session.
  bool can_send(const xmpp::Pair& pair, std::size_t stanza_bytes);
  void send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, const Provenance& provenance);
  std::vector<Unsettled> abandon();
  bool withdraw(const xmpp::Pair& pair, Ticket ticket);
  std::size_t unsettled_bytes() const { return held_bytes_; }

  // Frames. Errors: kLinkFrame.
  Result<void> handle_ack(std::uint64_t position);
  Result<void> handle_settle(const frame::Settle& settle, Time now);
  Result<void> handle_window(const frame::Window& window);

  // The session goes on: everything that is not acknowledged is written again.
  void replay();
  // A new session: nothing was sent yet, no channel is open; what is kept waits to be sent anew.
  void start_anew();
  // The line is up: what waits is sent as far as it may be, and owners who wait are told.
  void resume();

  // Closes channels on which nothing happened for limits::kChannelIdle.
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;

 private:
  struct Slot {
    Ticket ticket;
    std::uint64_t order;                 // among all stanzas of this sender
    std::optional<xmpp::Stanza> stanza;  // nothing: given up
    std::uint32_t credit;                // what it costs, or costs the receiver, who may have it
    std::uint64_t provenance;            // which of the channel's
    bool sent_ever;
  };
  // The channels of one peer, a remote domain with all that share its parent: no peer has all of the link's
  // credit or channels, however slowly it takes what it is sent (limits::kPeerShareOf).
  struct Peer {
    std::uint32_t in_flight = 0;  // of all its channels
    std::uint32_t busy = 0;       // channels that are open and not idle
    std::uint32_t channels = 0;   // that point here
    // `can_send` said no because of the peer's share: owners are told when `in_flight` is this again.
    std::optional<std::uint32_t> tell_at{};
  };
  using Peers = std::map<std::string, Peer, std::less<>>;
  struct Channel {
    explicit Channel(xmpp::Pair p) : pair(std::move(p)) { provenances.push_back({}); }
    xmpp::Pair pair;
    Peer* peer = nullptr;
    std::uint64_t id = 0;  // 0: not open
    Ring<Slot, 16 * 1024> slots;
    std::size_t sent = 0;              // of the slots, from the front
    std::size_t acked = 0;             // of those, from the front
    std::uint64_t first_sequence = 1;  // of the front slot
    std::uint32_t window = limits::kChannelWindowInitialBytes;
    std::uint32_t in_flight = 0;
    // Those that the slots still name, and the latest; numbered from `first_provenance`. The
    // open channel has told `told`.
    Ring<Provenance> provenances;
    std::uint64_t first_provenance = 0;
    std::optional<std::uint64_t> told;
    bool in_backlog = false;
    // The list of open channels on which nothing is unsettled, longest idle first.
    bool idle = false;
    Time idle_since{};
    Channel* idle_previous = nullptr;
    Channel* idle_next = nullptr;
  };

  Channel* find(const xmpp::Pair& pair);
  static std::uint64_t note_provenance(Channel& channel, const Provenance& provenance);
  static void forget_provenances(Channel& channel);
  bool channel_has_room(const Channel& channel, std::uint32_t credit) const;
  bool link_has_room(std::uint32_t credit) const { return in_flight_ + credit <= limits::kLinkCreditBytes; }
  // Whether the peer has room within its share for so much credit, and for one more channel. nullptr: nothing
  // was sent to it.
  bool peer_has_credit(const Peer* peer, std::uint32_t credit) const;
  bool peer_has_channel(const Peer* peer) const;
  Peer* peer_of(const xmpp::Pair& pair, const Channel* channel);
  void join(Channel& channel);
  void leave(Channel& channel);
  void note_busy(Channel& channel, bool busy);
  bool has_room(const Channel* channel, const Peer* peer, std::uint32_t credit) const;
  void note_waiting(Peer* peer, std::uint32_t credit);
  bool open(Channel& channel, std::uint64_t provenance);
  void close(Channel& channel);
  void pump(Channel& channel);
  void pump_backlog();
  void write(Channel& channel, const Slot& slot);
  void give_up(Channel& channel, std::size_t index);
  Result<void> settle(const frame::Run& run, Time now);
  void tell_writable(const Channel& channel);
  void tell_all_writable();
  void become_idle(Channel& channel, Time now);
  void stop_idling(Channel& channel);

  Line& line_;
  Peers peers_;
  std::uint32_t busy_ = 0;  // channels that are open and not idle
  // Entries do not move: the other containers point to them.
  xmpp::PairMap<Channel> channels_;
  IndexedMap<std::uint64_t, Channel*> open_;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_order_ = 0;
  std::uint32_t in_flight_ = 0;
  std::size_t held_bytes_ = 0;
  std::vector<Channel*> backlog_;  // have something that is not sent
  Channel* idle_front_ = nullptr;
  Channel* idle_back_ = nullptr;
  // Pairs to which `can_send` said no, with the credit that they asked for.
  std::unordered_map<xmpp::Pair, std::uint32_t> waiting_;
  bool link_was_full_ = false;  // and so some of them wait for the link, not for their channel
  bool peer_has_room_ = false;  // one that had spent its share: those who wait for it are to be told
};

}  // namespace sallyport::link
