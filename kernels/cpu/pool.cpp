#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// v is taken for the maximum so far.
bool exceeds(float v, float maximum) {
    return v > maximum || v != v;
}

// A line of the picture that a row of windows covers, reduced: column by column by their maxima or sums.
void reduce_lines(float* line, const float* x, int width, int lines, bool maximum) {
    std::copy_n(x, width, line);
    for (int i = 1; i < lines; ++i) {
        x += width;
        for (int k = 0; k < width; ++k) {
            line[k] = maximum ? (exceeds(x[k], line[k]) ? x[k] : line[k]) : line[k] + x[k];
        }
    }
}

// Where the first largest pixel of a window lies.
std::int64_t first_largest(const float* x, int width, int top, int bottom, int left, int right) {
    float maximum = -std::numeric_limits<float>::infinity();
    std::int64_t at = std::int64_t{top} * width + left;
    for (int i = top; i < bottom; ++i) {
        for (int j = left; j < right; ++j) {
            const std::int64_t e = std::int64_t{i} * width + j;
            if (exceeds(x[e], maximum)) {
                maximum = x[e];
                at = e;
            }
        }
    }
    return at;
}

// A plane alone may take less time than handing it out.
std::int64_t planes_of_task(const Pool& pool) {
    return std::max<std::int64_t>(1, 8192 / pool.in.plane());
}

// Windows of 2 x 2, all of them whole and without a gap.
bool takes_pairs(const Pool& pool) {
    return pool.kind == PoolKind::maximum && pool.kernel == 2 && pool.stride == 2 &&
           pool.padding == 0 && 2 * pool.out().height <= pool.in.height &&
           2 * pool.out().width <= pool.in.width;
}

} // namespace

void CpuBackend::pool(Matrix<float> y, Matrix<const float> x, const Pool& pool) {
    const PoolAxis vertical = pool.vertical(), horizontal = pool.horizontal();
    const bool maximum = pool.kind == PoolKind::maximum;
    const bool sum = pool.kind == PoolKind::adaptive_sum;
    const int width = horizontal.in;
    const bool pairs = takes_pairs(pool);
    const auto of_plane = [&](std::int64_t p) {
        if (pairs) {
            vector_.pool_pairs(y.data + p * vertical.out * horizontal.out,
                               x.data + p * pool.in.plane(), vertical.out, horizontal.out, width);
            return;
        }
        float* const line = thread_scratch(width);
        float* out = y.data + p * vertical.out * horizontal.out;
        for (int i = 0; i < vertical.out; ++i) {
            const int top = vertical.begin(i);
            reduce_lines(line, x.data + (p * vertical.in + top) * width, width,
                         vertical.end(i) - top, maximum);
            for (int j = 0; j < horizontal.out; ++j) {
                const int begin = horizontal.begin(j), end = horizontal.end(j);
                float value = line[begin];
                for (int k = begin + 1; k < end; ++k) {
                    value = maximum ? (exceeds(line[k], value) ? line[k] : value) : value + line[k];
                }
                const int divisor = maximum || sum ? 1 : vertical.length(i) * horizontal.length(j);
                *out++ = value / static_cast<float>(divisor);
            }
        }
    };
    for_pieces(x.rows * pool.in.channels, planes_of_task(pool),
               [&](std::int64_t first, std::int64_t count) {
                   for (std::int64_t p = first; p < first + count; ++p) {
                       of_plane(p);
                   }
               });
}

void CpuBackend::pool_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                               const Pool& pool, const Epilogue& previous) {
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const PoolAxis vertical = pool.vertical(), horizontal = pool.horizontal();
    const bool sum = pool.kind == PoolKind::adaptive_sum;
    const int width = horizontal.in;
    const bool pairs = takes_pairs(pool);
    const auto of_plane = [&](std::int64_t p) {
        const std::int64_t first = p * pool.in.plane();
        float* const to = dx.data + first;
        const float* gradient = dy.data + p * vertical.out * horizontal.out;
        float* const line = thread_scratch(width);
        if (pairs) {
            vector_.pool_pairs_gradient(to, gradient, x.data + first, vertical.out, horizontal.out,
                                        width);
        }
        const int written = pairs ? 2 * vertical.out * width : 0;
        std::fill_n(to + written, pool.in.plane() - written, 0.0f);
        for (int i = pairs ? vertical.out : 0; i < vertical.out; ++i, gradient += horizontal.out) {
            const int top = vertical.begin(i), bottom = vertical.end(i);
            if (pool.kind == PoolKind::maximum) {
                for (int j = 0; j < horizontal.out; ++j) {
                    to[first_largest(x.data + first, width, top, bottom, horizontal.begin(j),
                                     horizontal.end(j))] += gradient[j];
                }
                continue;
            }
            std::fill_n(line, width, 0.0f);
            for (int j = 0; j < horizontal.out; ++j) {
                const int divisor = sum ? 1 : vertical.length(i) * horizontal.length(j);
                for (int k = horizontal.begin(j); k < horizontal.end(j); ++k) {
                    line[k] += gradient[j] / static_cast<float>(divisor);
                }
            }
            for (int row = top; row < bottom; ++row) {
                for (int k = 0; k < width; ++k) {
                    to[std::int64_t{row} * width + k] += line[k];
                }
            }
        }
        if (!previous.is_identity()) {
            vector_.activation_gradient(to, to, x.data + first, pool.in.plane(),
                                        static_cast<std::uint64_t>(first), arguments);
        }
    };
    for_pieces(dx.rows * pool.in.channels, planes_of_task(pool),
               [&](std::int64_t first, std::int64_t count) {
                   for (std::int64_t p = first; p < first + count; ++p) {
                       of_plane(p);
                   }
               });
}

} // namespace patchforge
