// Whether those across whom presence is shown are there: the server of a remote domain, for a pair, or an
// internal server, for a local domain. One that was not heard of for a time (limits::peer_silence) is asked
// (a ping, XEP-0199, as a stanza like any other); one that a stanza did not reach is asked at once. A
// question that does not arrive means that it is lost, until something is heard of it again.
//
// At most limits::kLostPeersMax are remembered as lost; one more is forgotten, as if nothing were shown
// across it.
//
// Pure; one for each kind. `Key`: what is asked about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/presence_limits.h"
#include "base/time.h"

namespace sallyport::gate {

template <typename Key>
class PeerLife {
 public:
  // Something is shown across it from now on, and it was there just now.
  void watch(const Key& key, Time now) { lives_.try_emplace(key).first->second.heard = now; }
  // Something came from it, or reached it. Returns true if it was lost.
  bool heard(const Key& key, Time now) {
    // Most stanzas come in runs of one peer, and its time need not be exact.
    if (last_ && last_->first == key && now < last_->second + std::chrono::seconds(1)) return false;
    last_ = {key, now};
    const auto found = lives_.find(key);
    if (found == lives_.end()) return false;
    Life& life = found->second;
    life.heard = now;
    if (!life.lost) return false;
    --lost_;
    life.lost = false;
    return true;
  }
  // A stanza did not reach it. Returns whether it is to be asked now.
  bool missed(const Key& key) {
    const auto found = lives_.find(key);
    if (found == lives_.end() || found->second.lost || found->second.asked) return false;
    return found->second.asked = true;
  }
  // The question has reached it.
  void answered(const Key& key, Time now) {
    const auto found = lives_.find(key);
    if (found != lives_.end()) found->second.asked = false, found->second.heard = now;
  }
  // The question has not reached it, or the way to it is known to be lost. Returns true if it was not lost
  // before.
  bool lose(const Key& key) {
    const auto found = lives_.find(key);
    if (found == lives_.end() || found->second.lost) return false;
    last_.reset();
    if (lost_ >= limits::kLostPeersMax) {
      lives_.erase(found);
      return true;
    }
    ++lost_;
    found->second.asked = false;
    return found->second.lost = true;
  }
  // Those to be asked now, because nothing was heard of them for `silence`. `keeps(key)`: something is still
  // shown across it; others are forgotten, unless they are lost.
  template <typename Keeps>
  std::vector<Key> poll(Duration silence, Time now, Keeps keeps) {
    std::vector<Key> due;
    for (auto at = lives_.begin(); at != lives_.end();) {
      auto& [key, life] = *at;
      if (!life.lost && !keeps(key)) {
        at = lives_.erase(at);
        continue;
      }
      if (!life.lost && !life.asked && now - life.heard >= silence) {
        life.asked = true;
        due.push_back(key);
      }
      ++at;
    }
    return due;
  }
  bool empty() const { return lives_.empty(); }

 private:
  struct Life {
    Time heard{};
    bool asked = false;
    bool lost = false;
  };
  std::map<Key, Life> lives_;
  std::size_t lost_ = 0;                      // of those
  std::optional<std::pair<Key, Time>> last_;  // heard
};

}  // namespace sallyport::gate
