#include "data/crc.h"

#ifdef PATCHFORGE_DEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

namespace patchforge {

std::uint32_t crc_of(const void* bytes, std::size_t count, std::uint32_t before) {
    if (count == 0) { // both begin anew where there are no bytes
        return before;
    }
#ifdef PATCHFORGE_DEFLATE
    return libdeflate_crc32(before, bytes, count);
#else
    // Takes any length; zlib's crc32 takes 32 bits.
    return static_cast<std::uint32_t>(crc32_z(before, static_cast<const Bytef*>(bytes), count));
#endif
}

} // namespace patchforge
