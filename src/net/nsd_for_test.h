// An authoritative DNS server (nsd) on a loopback port of its own, for tests: the zones of one test as text.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace sallyport::net {

class Nsd {
 public:
  // `records` stand in the zone "." with TTL 0; `broken.example` answers SERVFAIL.
  explicit Nsd(const std::string& records) : Nsd(records, {}, {}) {}
  // The same, signed; then, in the signed zone, `from` becomes `to`, which its signature does not cover.
  static std::unique_ptr<Nsd> signed_zone(const std::string& records, const std::string& from,
                                          const std::string& to) {
    return std::unique_ptr<Nsd>(new Nsd(records, from, to));
  }
  ~Nsd() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }
  Nsd(const Nsd&) = delete;
  Nsd& operator=(const Nsd&) = delete;

  std::uint16_t port() const { return port_; }
  // The key of a signed zone, as a trust anchor file.
  std::string anchor() const { return folder_ + "/anchor"; }

 private:
  Nsd(const std::string& records, const std::string& from, const std::string& to) {
    char name[] = "/tmp/sallyport-nsd-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    port_ = free_port();
    write("root.zone", "$TTL 0\n. SOA ns. host. 1 1 1 1 1\n. NS ns.\nns. A 127.0.0.1\n" + records);
    if (!from.empty()) sign(from, to);
    write("nsd.conf",
          fmt::format(
              "server:\n  ip-address: 127.0.0.1@{0}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{1}\"\n"
              "  database: \"\"\n  pidfile: \"\"\n  logfile: \"{1}/log\"\n  xfrdfile: \"{1}/xfrd.state\"\n"
              "  zonelistfile: \"{1}/zone.list\"\n  server-count: 1\nremote-control:\n  control-enable: no\n"
              "zone:\n  name: \".\"\n  zonefile: \"root.zone\"\n"
              "zone:\n  name: \"broken.example\"\n  zonefile: \"absent.zone\"\n",
              port_, folder_));
    start();
  }

  void sign(const std::string& from, const std::string& to) {
    const auto command = fmt::format(
        "cd {} && key=$(ldns-keygen -a ECDSAP256SHA256 -r /dev/urandom -k .) && ldns-signzone -f signed "
        "root.zone $key && "
        "cp $key.key anchor && sed 's/{}/{}/' signed > root.zone",
        folder_, from, to);
    if (std::system(command.c_str()) != 0)
      throw std::runtime_error("the zone is not signed; is ldnsutils installed?");
  }

  static std::uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no free port");
    }
    ::close(fd);
    return ntohs(address.sin_port);
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }

  void start() {
    const auto config = folder_ + "/nsd.conf";
    pid_ = ::fork();
    if (pid_ == 0) {
      // It must not keep the output of the test runner open.
      const int nowhere = ::open("/dev/null", O_RDWR);
      for (int fd = 0; fd < 3; ++fd) ::dup2(nowhere, fd);
      // The server ends with the test.
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      // It does not inherit the test's listeners.
      ::close_range(3, ~0U, 0);
      ::execlp("nsd", "nsd", "-d", "-c", config.c_str(), nullptr);
      ::execl("/usr/sbin/nsd", "nsd", "-d", "-c", config.c_str(), nullptr);
      ::_exit(127);
    }
    // It is ready when it takes TCP connections.
    for (int i = 0; i < 500; ++i) {
      if (answers()) return;
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
      ::usleep(10'000);
    }
    throw std::runtime_error("nsd does not start; is it installed?");
  }

  bool answers() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    const bool ok = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return ok;
  }

  std::string folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace sallyport::net
