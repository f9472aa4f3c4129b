// The bytes that a stream has written and its owner has not taken yet, and how far the connection lets it
// write. Offsets count from the beginning of the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "s2s/stream_xml.h"

namespace sallyport::s2s {

class StreamOutput {
 public:
  void write(std::string_view xml) { bytes_.append(xml); }
  // As write, for an element that may be large: the memory grows in one step.
  void write_large(std::string_view xml) {
    make_room(bytes_, xml.size());
    bytes_.append(xml);
  }
  // Appends all bytes to `out`; false where there are none. They count as taken: bytes that are still here
  // when the stream ends can be sent elsewhere.
  bool take(std::string& out) {
    if (bytes_.empty()) return false;
    taken_ += bytes_.size();
    if (out.empty()) {
      out.swap(bytes_);
    } else {
      out.append(bytes_);
      bytes_.clear();
    }
    return true;
  }
  // Forgets the bytes that nobody has taken.
  void drop() { bytes_.clear(); }
  bool empty() const { return bytes_.empty(); }
  std::uint64_t taken() const { return taken_; }
  // The offset of the next byte.
  std::uint64_t end() const { return taken_ + bytes_.size(); }

  // Writes our header; until `restart`, stream errors and the footer may follow (RFC 6120 4.9.1.2).
  void open(const HeaderFields& fields) {
    write(stream_header_xml(fields));
    open_ = true;
  }
  void restart() { open_ = false; }
  bool is_open() const { return open_; }

  // The connection is gone: nothing that is here will be written.
  void set_broken() { broken_ = true; }
  bool is_broken() const { return broken_; }

 private:
  std::string bytes_;
  std::uint64_t taken_ = 0;
  bool open_ = false;
  bool broken_ = false;
};

}  // namespace sallyport::s2s
