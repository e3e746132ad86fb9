#include <algorithm>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/move_plane.h"
#include "kernels/resample_taps.h"

namespace patchforge {
namespace {

// y[i, j] of every plane = the sum over its taps along both axes. Lines are combined first, columns
// after that; after(first element, count) is called behind every plane.
template <class Taps, class After>
void sum_taps(ThreadPool& pool, Matrix<float> y, Matrix<const float> x, Extent to, Extent from,
              const Taps& vertical, const Taps& horizontal, const After& after) {
    constexpr int taps = Taps::taps;
    std::vector<int>
        columns; // [taps, width] plus 1: element 0 of a line is for those that read nothing
    for (int t = 0; t < taps; ++t) {
        for (int j = 0; j < to.width; ++j) {
            columns.push_back(std::max(horizontal.at(j, t), -1) + 1);
        }
    }
    pool.parallel_for(x.rows * from.channels, [&](std::int64_t p) {
        const float* const source = x.data + p * from.plane();
        float* const line = thread_scratch(from.width + 1);
        for (int i = 0; i < to.height; ++i) {
            std::fill_n(line, from.width + 1, 0.0f);
            for (int t = 0; t < taps; ++t) {
                if (const int row = vertical.at(i, t); row >= 0) {
                    const float* const pixels = source + std::int64_t{row} * from.width;
                    for (int k = 0; k < from.width; ++k) {
                        line[k + 1] += Taps::weight(t) * pixels[k];
                    }
                }
            }
            float* const out = y.data + p * to.plane() + std::int64_t{i} * to.width;
            for (int j = 0; j < to.width; ++j) {
                float sum = 0;
                for (int t = 0; t < taps; ++t) {
                    sum +=
                        Taps::weight(t) * line[columns[static_cast<std::size_t>(t * to.width + j)]];
                }
                out[j] = sum;
            }
        }
        after(p * to.plane(), to.plane());
    });
}

// Calls pair(element of a channel of y, element of the factor^2 channels of x that it is made of).
template <class Pair>
void for_shuffled(Extent y, int factor, const Pair& pair) {
    const int height = y.height / factor, width = y.width / factor;
    std::int64_t from = 0;
    for (int a = 0; a < factor; ++a) {
        for (int b = 0; b < factor; ++b) {
            for (int i = 0; i < height; ++i, from += width) {
                const std::int64_t line = std::int64_t{i * factor + a} * y.width + b;
                for (int j = 0; j < width; ++j) {
                    pair(line + j * factor, from + j);
                }
            }
        }
    }
}

} // namespace

void CpuBackend::resample(Matrix<float> y, Matrix<const float> x, const Resample& rule) {
    const Extent from = rule.in, to = rule.out();
    const auto by_taps = [&](const auto& vertical, const auto& horizontal) {
        sum_taps(pool_, y, x, to, from, vertical, horizontal, [](std::int64_t, std::int64_t) {});
    };
    const auto by_planes = [&](const auto& body) {
        pool_.parallel_for(x.rows * to.channels, [&](std::int64_t p) {
            body(y.data + p * to.plane(), x.data + p * (from.size() / to.channels));
        });
    };
    switch (rule.kind) {
    case ResampleKind::zero_padding:
        return by_planes([&](float* plane, const float* source) {
            shift_plane(plane, to, source, from, rule.top, rule.left);
        });
    case ResampleKind::reflection_padding:
        return by_taps(ReflectedTaps{rule.top, from.height}, ReflectedTaps{rule.left, from.width});
    case ResampleKind::nearest:
        return by_taps(NearestTaps{}, NearestTaps{});
    case ResampleKind::bilinear:
        return by_taps(BilinearTaps{from.height}, BilinearTaps{from.width});
    case ResampleKind::shuffle:
        return by_planes([&](float* plane, const float* source) {
            for_shuffled(to, rule.factor,
                         [&](std::int64_t e, std::int64_t from_e) { plane[e] = source[from_e]; });
        });
    case ResampleKind::turn:
        return by_planes(
            [&](float* plane, const float* source) { turn_plane(plane, source, from, rule.turn); });
    }
}

void CpuBackend::resample_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                   const Resample& rule, const Epilogue& previous) {
    const Extent in = rule.in, out = rule.out();
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const auto after = [&](std::int64_t first, std::int64_t count) {
        if (!previous.is_identity()) {
            vector_.activation_gradient(dx.data + first, dx.data + first, x.data + first, count,
                                        static_cast<std::uint64_t>(first), arguments);
        }
    };
    const auto by_taps = [&](const auto& vertical, const auto& horizontal) {
        sum_taps(pool_, dx, dy, in, out, vertical, horizontal, after);
    };
    const auto by_planes = [&](const auto& body) { // as many planes as there are in dy
        pool_.parallel_for(dy.rows * out.channels, [&](std::int64_t p) {
            const std::int64_t size = in.size() / out.channels;
            body(dx.data + p * size, dy.data + p * out.plane());
            after(p * size, size);
        });
    };
    switch (rule.kind) {
    case ResampleKind::zero_padding:
        return by_planes([&](float* plane, const float* source) {
            shift_plane(plane, in, source, out, -rule.top, -rule.left);
        });
    case ResampleKind::reflection_padding:
        return by_taps(ReflectedTranspose{rule.top, in.height, out.height},
                       ReflectedTranspose{rule.left, in.width, out.width});
    case ResampleKind::nearest:
        return by_taps(NearestTranspose{out.height}, NearestTranspose{out.width});
    case ResampleKind::bilinear:
        return by_taps(BilinearTranspose{in.height, out.height},
                       BilinearTranspose{in.width, out.width});
    case ResampleKind::shuffle:
        return by_planes([&](float* plane, const float* source) {
            for_shuffled(out, rule.factor,
                         [&](std::int64_t e, std::int64_t to_e) { plane[to_e] = source[e]; });
        });
    case ResampleKind::turn:
        return by_planes([&](float* plane, const float* source) {
            turn_plane(plane, source, out, inverse_turn(rule.turn));
        });
    }
}

} // namespace patchforge
