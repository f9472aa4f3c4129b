#include "proc.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

namespace bench {

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

namespace {

// proc(5): utime is field 14, stime 15. Nothing for a process that has ended.
double cpu_s_of(const std::string& stat_path) {
  std::ifstream stat(stat_path);
  std::string line;
  std::getline(stat, line);
  std::size_t behind_name = line.rfind(')');  // the name may contain any character
  if (behind_name == std::string::npos) return 0;
  std::istringstream fields(line.substr(behind_name + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

Usage usage_of(int pid) {
  Usage usage;
  std::string folder = "/proc/" + std::to_string(pid);
  usage.cpu_s = cpu_s_of(folder + "/stat");
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(folder + "/task", gone)) {
    usage.thread_cpu_s[std::stoi(thread.path().filename())] = cpu_s_of(thread.path().string() + "/stat");
  }
  std::ifstream status(folder + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmRSS:")) usage.rss_kb = std::stoull(line.substr(6));
  }
  return usage;
}

std::vector<Usage> usage_of(const std::vector<int>& pids) {
  std::vector<Usage> all;
  for (int pid : pids) all.push_back(usage_of(pid));
  return all;
}

double busiest_thread_cpu_s(const std::vector<Usage>& before, const std::vector<Usage>& after) {
  double most = 0;
  for (std::size_t i = 0; i < after.size() && i < before.size(); ++i) {
    for (const auto& [thread, used] : after[i].thread_cpu_s) {
      auto earlier = before[i].thread_cpu_s.find(thread);
      most = std::max(most, used - (earlier == before[i].thread_cpu_s.end() ? 0 : earlier->second));
    }
  }
  return most;
}

double own_cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::uint64_t listen_overflows() {
  std::ifstream file("/proc/net/netstat");
  std::string names;
  std::string values;
  while (std::getline(file, names) && std::getline(file, values)) {
    if (!names.starts_with("TcpExt:")) continue;
    std::istringstream name_words(names);
    std::istringstream value_words(values);
    std::string name;
    std::string value;
    while (name_words >> name && value_words >> value) {
      if (name == "ListenOverflows") return std::stoull(value);
    }
  }
  return 0;
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
