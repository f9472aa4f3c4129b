// For tests only: a spool in memory. What it was given survives the core that gave it, as a disk does.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "store/spool.h"

namespace sallyport::store {

class MemorySpool {
 public:
  SpoolAnswer carry_out(const SpoolBatch& batch) {
    SpoolAnswer answer;
    if (fails) {
      answer.stored = {Code::kSpoolUnwritable, "no space left on device"};
    } else {
      change(batch);
    }
    for (const auto& read : batch.reads) answer.rows.push_back({read, fails ? Rows() : rows_of(read)});
    return answer;
  }
  // Flows without messages are forgotten then, and those of the same pair and direction merged, as when a
  // database is opened.
  SpoolContents contents() {
    std::erase_if(flows_, [this](const auto& flow) {
      return std::ranges::none_of(messages_,
                                  [&](const auto& each) { return each.second.flow == flow.first; });
    });
    merge_flows();
    SpoolContents contents{{}, last_message_, last_flow_};
    for (const auto& [number, flow] : flows_) {
      SpoolContents::Held held{{number, flow}, 0, {}};
      // In order of time, which is not that of the numbers where the clock was set back.
      std::map<UnixTime, SpoolMinute> minutes;
      for (const auto& [id, message] : messages_) {
        if (message.flow != number) continue;
        if (held.first == 0) held.first = id;
        SpoolMinute& minute = minutes[std::chrono::floor<std::chrono::minutes>(message.accepted)];
        ++minute.count;
        minute.bytes += message.xml.size();
      }
      for (auto& [begin, minute] : minutes) {
        minute.minute = begin;
        held.minutes.push_back(minute);
      }
      if (held.first != 0) contents.flows.push_back(std::move(held));
    }
    return contents;
  }
  std::size_t messages() const { return messages_.size(); }
  std::size_t flows() const { return flows_.size(); }

  bool fails = false;
  bool keeps = false;  // messages that are to be removed

 private:
  using Rows = std::vector<StoredMessage>;

  void change(const SpoolBatch& batch) {
    for (const auto& flow : batch.flows) {
      flows_.insert_or_assign(flow.number, flow.flow);
      last_flow_ = std::max(last_flow_, flow.number);
    }
    for (const auto& message : batch.messages) {
      messages_.insert_or_assign(message.number, message);
      last_message_ = std::max(last_message_, message.number);
    }
    for (const auto number : batch.removed)
      if (!keeps) messages_.erase(number);
    for (const auto number : batch.forgotten) flows_.erase(number);
  }
  void merge_flows() {
    // A message's time is not before that of any message before it in its flow.
    std::map<std::uint64_t, UnixTime> latest;
    std::vector<std::pair<UnixTime, std::uint64_t>> order;
    for (const auto& [number, message] : messages_) {
      UnixTime& time = latest.try_emplace(message.flow, message.accepted).first->second;
      time = std::max(time, message.accepted);
      order.emplace_back(time, number);
    }
    std::ranges::sort(order);
    std::map<std::uint64_t, std::uint64_t> merged;  // flows, each with the one of its pair that is kept
    for (const auto& [time, message] : order) {
      const auto last = flows_.find(messages_.at(message).flow);
      if (last == flows_.end()) continue;
      for (const auto& [number, flow] : flows_)
        if (flow == last->second) merged[number] = last->first;
    }
    std::set<std::uint64_t> grown;
    for (const auto& [number, into] : merged)
      if (number != into) grown.insert(into);
    for (const auto& [time, number] : order) {
      const auto into = merged.find(messages_.at(number).flow);
      if (into == merged.end() || !grown.contains(into->second)) continue;
      auto message = messages_.extract(number);
      message.key() = message.mapped().number = ++last_message_;
      message.mapped().flow = into->second;
      messages_.insert(std::move(message));
    }
    std::erase_if(flows_, [&](const auto& flow) {
      const auto into = merged.find(flow.first);
      return into != merged.end() && into->second != flow.first;
    });
  }
  Rows rows_of(const SpoolRead& read) const {
    Rows rows;
    std::size_t bytes = 0;
    for (auto at = messages_.lower_bound(read.from); at != messages_.end(); ++at) {
      if (at->second.flow != read.flow) continue;
      bytes += at->second.xml.size();
      if (!rows.empty() && (rows.size() >= read.count || bytes > read.bytes)) break;
      rows.push_back(at->second);
    }
    return rows;
  }

  std::map<std::uint64_t, StoredMessage> messages_;
  std::map<std::uint64_t, Flow> flows_;
  std::uint64_t last_message_ = 0;
  std::uint64_t last_flow_ = 0;
};

}  // namespace sallyport::store
