// Finds listeners of one configuration file that cannot all be opened because they share a port and an
// address.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/table_reader.h"

namespace sallyport::config {

// Collects the TCP listeners of one file and rejects those that overlap: the same port at the same address,
// or at a wildcard and an address of its family. 0.0.0.0 and [::] with one port are two listeners
// (IPV6_V6ONLY).
class Listeners {
 public:
  explicit Listeners(Findings& findings) : findings_(findings) {}
  // Adds the addresses of a key of `table`, as it was read. `shown`: "`s2s` in [edge]".
  void add(const TableReader& table, std::string_view key, std::string_view shown,
           const std::vector<HostPort>& addresses);
  // Reports an error for each listener that overlaps with an earlier one; it names both and their places.
  void report_overlaps() const;

 private:
  struct One {
    std::string shown;
    HostPort address;
    Place place;
  };
  Findings& findings_;
  std::vector<One> all_;
};

// The longest path of a Unix socket, unix(7).
inline constexpr std::size_t kSocketPathBytesMax = 107;
// Reads the path of the control socket. Reports one that is too long for a socket.
std::string read_control(TableReader& table, std::string_view default_path, Findings& findings);

// Warns of /metrics on an address that the internet may reach: a global one, or a wildcard.
void warn_of_public_metrics(const TableReader& table, const std::optional<HostPort>& metrics,
                            Findings& findings);

}  // namespace sallyport::config
