# xxHash and, where it is there, ISA-L. `tenon_digests` carries both: whoever links the base room links them.
include(CheckCXXSourceCompiles)
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
find_library(XXHASH_LIBRARY xxhash REQUIRED)
find_path(ISAL_INCLUDE_DIR isa-l/crc.h)
find_library(ISAL_LIBRARY isal)

set(TENON_DIGEST_LIBRARIES ${XXHASH_LIBRARY})
set(TENON_DIGEST_DEFINITIONS "")
set(TENON_DIGEST_PC libxxhash)

# Debian's library holds code for every kind of vector and chooses at run time; its plain entry points are SSE2 only.
set(CMAKE_REQUIRED_INCLUDES ${XXHASH_INCLUDE_DIR})
set(CMAKE_REQUIRED_LIBRARIES ${XXHASH_LIBRARY})
check_cxx_source_compiles("#include <xxh_x86dispatch.h>
int main() { return static_cast<int>(XXH3_128bits(\"\", 0).low64 & 1); }" TENON_HAS_XXH_DISPATCH)
unset(CMAKE_REQUIRED_INCLUDES)
unset(CMAKE_REQUIRED_LIBRARIES)
if(TENON_HAS_XXH_DISPATCH)
  list(APPEND TENON_DIGEST_DEFINITIONS TENON_XXH_DISPATCH)
endif()

# CRC-32 at seven times zlib's speed, so that checking foreign archives is as fast as reading them.
if(ISAL_INCLUDE_DIR AND ISAL_LIBRARY)
  list(APPEND TENON_DIGEST_LIBRARIES ${ISAL_LIBRARY})
  list(APPEND TENON_DIGEST_DEFINITIONS TENON_ISAL)
  string(APPEND TENON_DIGEST_PC " libisal")
endif()
find_package(Threads REQUIRED)
