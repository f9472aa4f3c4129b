// Fails on purpose: shows that a broken property is found and reported. run_smoke fails if this target
// passes.
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = sallyport::fuzz::text_of(data, size);
  sallyport::fuzz::require(!text.starts_with("<a"), "the canary sings");
  return 0;
}
