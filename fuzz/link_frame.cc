// Link frames: the cutting does not depend on the pieces; a decoded frame is encoded to the same bytes, and
// back.
#include <string>
#include <vector>

#include "base/limits.h"
#include "link/frame.h"
#include "property.h"

namespace {

using namespace sallyport::link;
using sallyport::fuzz::require;
namespace limits = sallyport::limits;

struct Cut {
  std::vector<std::string> frames;  // header and payload
  bool refused = false;
  bool operator==(const Cut&) const = default;
};

std::string with_header(const frame::Raw& raw) {
  std::string out{static_cast<char>(raw.type), static_cast<char>(raw.payload.size() >> 16),
                  static_cast<char>(raw.payload.size() >> 8), static_cast<char>(raw.payload.size())};
  return out.append(raw.payload);
}

void take(frame::Reader& reader, std::string_view bytes, Cut& cut) {
  while (!cut.refused) {
    const auto raw = reader.next(bytes, limits::kFrameBytesMax);
    if (!raw) return;
    cut.refused = !*raw;
    if (*raw) cut.frames.push_back(with_header(**raw));
  }
}

void round_trip(const std::string& bytes) {
  const auto type = static_cast<frame::Type>(bytes[0]);
  const auto decoded = frame::decode({type, std::string_view(bytes).substr(frame::kHeaderBytes)});
  if (!decoded) return;
  std::string again;
  frame::append(again, *decoded);
  // Fields that later versions append to a greeting are not repeated.
  const bool open_ended = type == frame::Type::kHello || type == frame::Type::kWelcome;
  require(open_ended || again == bytes, "a frame has one encoding");
  const auto twice = frame::decode({type, std::string_view(again).substr(frame::kHeaderBytes)});
  require(twice.has_value() && *twice == *decoded, "what is encoded is decoded again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = sallyport::fuzz::text_of(data + 1, size - 1);
  Cut whole;
  frame::Reader whole_reader;
  take(whole_reader, bytes, whole);

  Cut split;
  frame::Reader split_reader;
  const std::size_t at = bytes.empty() ? 0 : data[0] % (bytes.size() + 1);
  take(split_reader, bytes.substr(0, at), split);
  take(split_reader, bytes.substr(at), split);
  require(split == whole, "a split changes nothing");

  Cut single;
  frame::Reader single_reader;
  for (std::size_t i = 0; i < bytes.size(); ++i) take(single_reader, bytes.substr(i, 1), single);
  require(single == whole, "single bytes change nothing");

  for (const std::string& f : whole.frames) round_trip(f);
  return 0;
}
