#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/move_plane.h"
#include "kernels/cpu/philox_word.h"
#include "kernels/resample.h"

namespace patchforge {
namespace {

// A number in 0 ... choices - 1.
int choose(const PhiloxStream& stream, std::int64_t element, int choices) {
    return static_cast<int>(std::uint64_t{word(stream, static_cast<std::uint64_t>(element))} *
                                static_cast<unsigned>(choices) >>
                            32);
}

int drawn_turn(const PhiloxStream& stream, std::int64_t row, Extent extent) {
    const int turn = static_cast<int>(word(stream, static_cast<std::uint64_t>(row)) >> 29);
    return extent.height == extent.width ? turn : turn & 3;
}

} // namespace

// Calls body(y, x, row) for every plane.
template <class Body>
void CpuBackend::move_planes(Matrix<float> y, Matrix<const float> x, Extent extent,
                             const Body& body) {
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        for (int c = 0; c < extent.channels; ++c) {
            const std::int64_t first = row * extent.size() + c * extent.plane();
            body(y.data + first, x.data + first, row);
        }
    });
}

void CpuBackend::dihedral(Matrix<float> y, Matrix<const float> x, Extent extent,
                          const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    move_planes(y, x, extent, [&](float* to, const float* from, std::int64_t row) {
        turn_plane(to, from, extent, drawn_turn(stream, row, extent));
    });
}

void CpuBackend::dihedral_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                   const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    move_planes(dx, dy, extent, [&](float* to, const float* from, std::int64_t row) {
        turn_plane(to, from, extent, inverse_turn(drawn_turn(stream, row, extent)));
    });
}

void CpuBackend::translate(Matrix<float> y, Matrix<const float> x, Extent extent, int limit,
                           const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    move_planes(y, x, extent, [&](float* to, const float* from, std::int64_t row) {
        shift_plane(to, extent, from, extent, choose(stream, 2 * row, 2 * limit + 1) - limit,
                    choose(stream, 2 * row + 1, 2 * limit + 1) - limit);
    });
}

void CpuBackend::translate_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                    int limit, const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    move_planes(dx, dy, extent, [&](float* to, const float* from, std::int64_t row) {
        shift_plane(to, extent, from, extent, limit - choose(stream, 2 * row, 2 * limit + 1),
                    limit - choose(stream, 2 * row + 1, 2 * limit + 1));
    });
}

void CpuBackend::cutout(Matrix<float> y, Matrix<const float> x, Extent extent, int side,
                        const RandomStream& random) {
    const PhiloxStream stream = philox_stream(random);
    move_planes(y, x, extent, [&](float* to, const float* from, std::int64_t row) {
        const int top = choose(stream, 2 * row, extent.height + 1 - side % 2) - side / 2;
        const int left = choose(stream, 2 * row + 1, extent.width + 1 - side % 2) - side / 2;
        std::copy_n(from, to == from ? 0 : extent.plane(), to);
        for (int i = std::max(top, 0); i < std::min(top + side, extent.height); ++i) {
            const int begin = std::max(left, 0), end = std::min(left + side, extent.width);
            std::fill(to + i * extent.width + begin, to + i * extent.width + std::max(begin, end),
                      0.0f);
        }
    });
}

} // namespace patchforge
