// The kernel's figures about processes, and clocks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

// Monotonic time in nanoseconds.
std::int64_t now_ns();

struct Usage {
  double cpu_s = 0;          // user and system, all threads, from /proc/PID/stat
  std::uint64_t rss_kb = 0;  // VmRSS
  std::map<int, double> thread_cpu_s;
};
// All zero for a process that has ended.
Usage usage_of(int pid);
std::vector<Usage> usage_of(const std::vector<int>& pids);
// The CPU time of the busiest of all their threads between two calls.
double busiest_thread_cpu_s(const std::vector<Usage>& before, const std::vector<Usage>& after);
double own_cpu_s();

// TcpExt counters of the network namespace: connections that a full accept queue dropped.
std::uint64_t listen_overflows();

// Raises the limit of descriptors to the system's maximum.
void raise_descriptor_limit();

}  // namespace bench
