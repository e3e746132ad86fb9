#include "kernels/cpu/cpu_backend.h"

#include <algorithm>

namespace patchforge {
namespace {

constexpr std::int64_t piece = 16384; // a multiple of 64, as the vector functions ask

} // namespace

PhiloxStream philox_stream(const RandomStream& random) {
    const std::uint64_t draw = random.draw.value();
    return {.key_low = static_cast<std::uint32_t>(random.seed),
            .key_high = static_cast<std::uint32_t>(random.seed >> 32),
            .purpose = random.purpose,
            .draw_low = static_cast<std::uint32_t>(draw),
            .draw_high = static_cast<std::uint32_t>(draw >> 32)};
}

void CpuBackend::fill_uniform(Vector<float> out, float low, float high,
                              const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    for_pieces(out.size, piece, [&](std::int64_t first, std::int64_t count) {
        vector_.fill_uniform(out.data + first, count, static_cast<std::uint64_t>(first), low,
                             high - low, stream);
    });
}

void CpuBackend::fill_normal(Vector<float> out, float mean, float deviation,
                             const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    for_pieces(out.size, piece, [&](std::int64_t first, std::int64_t count) {
        vector_.fill_normal(out.data + first, count, static_cast<std::uint64_t>(first), mean,
                            deviation, stream);
    });
}

void CpuBackend::fill(Vector<float> out, float value) {
    for_pieces(out.size, 4 * piece, [&](std::int64_t first, std::int64_t count) {
        std::fill_n(out.data + first, count, value);
    });
}

} // namespace patchforge
