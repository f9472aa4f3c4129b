# Warnings are errors, everywhere and always. Hardening is on in what is shipped.
add_library(sp_flags INTERFACE)
target_compile_options(sp_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wimplicit-fallthrough -Werror)
# An empty std::optional, an index out of range: no sanitizer sees them, and the tests run without -O2.
target_compile_options(sp_flags INTERFACE -D_GLIBCXX_ASSERTIONS)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 warns falsely about std::string's own code at -O2 (GCC bug 105651),
  # and about std::optional/std::variant members it cannot follow (bug 80635).
  target_compile_options(sp_flags INTERFACE -Wno-restrict)
  target_compile_options(sp_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-Wno-maybe-uninitialized>)
endif()

if(SALLYPORT_SANITIZE)
  target_compile_options(sp_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The sanitizers' own code makes GCC 12 warn of accesses that cannot happen.
    target_compile_options(sp_flags INTERFACE -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
  target_link_options(sp_flags INTERFACE -fsanitize=address,undefined)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(sp_flags INTERFACE
    -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE)
  target_link_options(sp_flags INTERFACE -pie -Wl,-z,relro,-z,now)
endif()
if(SALLYPORT_FUZZ)
  target_compile_options(sp_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
