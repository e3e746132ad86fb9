#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/philox_word.h"
#include "kernels/photograph_change.h"

namespace patchforge {
namespace {

// The lines of the picture that a line of the photograph looks at, and their weights.
struct Look {
    int first = 0;
    std::vector<float> weight;
};

std::vector<Look> looks_along(const PhotographAxis& axis) {
    std::vector<Look> looks;
    for (int line = 0; line < axis.size; ++line) {
        const float at = axis.position(line);
        Look look{axis.first(at), {}};
        for (int from = look.first; from <= axis.last(at); ++from) {
            look.weight.push_back(axis.weight(at, from) / axis.total(at));
        }
        looks.push_back(std::move(look));
    }
    return looks;
}

struct DrawnLooks {
    std::vector<Look> down, right;
    float brightness;
};

DrawnLooks looks_of(const Photograph& how, Extent extent, std::int64_t row) {
    const PhiloxStream stream = philox_stream(how.random);
    std::uint32_t words[8];
    for (int k = 0; k < 8; ++k) {
        words[k] = word(stream, static_cast<std::uint64_t>(8 * row + k));
    }
    const PhotographChange change = photograph_change(how, extent, words);
    return {looks_along(change.down), looks_along(change.right), change.brightness};
}

// y = the picture as seen, or, transposed, what its pixels gave to it.
template <bool transpose>
void see(float* y, const float* x, Extent extent, const DrawnLooks& looks,
         std::vector<float>& between) {
    const int height = extent.height, width = extent.width;
    std::fill(between.begin(), between.end(), 0.0f);
    std::fill_n(y, extent.plane(), 0.0f);
    const auto add_line = [&](float* to, const float* from, float weight) {
        for (int j = 0; j < width; ++j) {
            to[j] += weight * from[j];
        }
    };
    for (int i = 0; i < height; ++i) { // between = A x or A^T x
        const Look& look = looks.down[static_cast<std::size_t>(i)];
        for (std::size_t t = 0; t < look.weight.size(); ++t) {
            const std::ptrdiff_t seen = (look.first + static_cast<int>(t)) * width,
                                 line = i * width;
            add_line(between.data() + (transpose ? seen : line), x + (transpose ? line : seen),
                     look.weight[t]);
        }
    }
    for (int j = 0; j < width; ++j) {
        const Look& look = looks.right[static_cast<std::size_t>(j)];
        for (std::size_t t = 0; t < look.weight.size(); ++t) {
            const int seen = look.first + static_cast<int>(t);
            const float weight = looks.brightness * look.weight[t];
            for (int i = 0; i < height; ++i) {
                y[i * width + (transpose ? seen : j)] +=
                    weight * between[static_cast<std::size_t>(i * width + (transpose ? j : seen))];
            }
        }
    }
}

} // namespace

template <bool transpose>
void CpuBackend::see_rows(Matrix<float> y, Matrix<const float> x, Extent extent,
                          const Photograph& change) {
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        const DrawnLooks looks = looks_of(change, extent, row);
        std::vector<float> between(static_cast<std::size_t>(extent.plane()));
        for (int c = 0; c < extent.channels; ++c) {
            const std::int64_t first = row * extent.size() + c * extent.plane();
            see<transpose>(y.data + first, x.data + first, extent, looks, between);
        }
    });
}

void CpuBackend::photograph(Matrix<float> y, Matrix<const float> x, Extent extent,
                            const Photograph& change) {
    see_rows<false>(y, x, extent, change);
}

void CpuBackend::photograph_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                                     const Photograph& change) {
    see_rows<true>(dx, dy, extent, change);
}

void CpuBackend::round_blocks(Matrix<float> y, Matrix<const float> x, Extent extent,
                              const BlockRounding& rounding) {
    const BlockTables tables;
    const PhiloxStream stream = philox_stream(rounding.random);
    // y = b x b^T, or with b^T in b's place.
    const auto transform = [&](float(&block)[8][8], bool inverse) {
        float half[8][8], b[8][8];
        for (int i = 0; i < 8; ++i) {
            for (int j = 0; j < 8; ++j) {
                b[i][j] = inverse ? tables.basis[j][i] : tables.basis[i][j];
            }
        }
        for (int i = 0; i < 8; ++i) {
            for (int v = 0; v < 8; ++v) {
                float sum = 0;
                for (int j = 0; j < 8; ++j) {
                    sum += block[i][j] * b[v][j];
                }
                half[i][v] = sum;
            }
        }
        for (int u = 0; u < 8; ++u) {
            for (int v = 0; v < 8; ++v) {
                float sum = 0;
                for (int i = 0; i < 8; ++i) {
                    sum += b[u][i] * half[i][v];
                }
                block[u][v] = sum;
            }
        }
    };
    pool_.parallel_for(x.rows * extent.channels, [&](std::int64_t plane) {
        const std::int64_t row = plane / extent.channels;
        const int quality =
            block_quality(rounding.lowest, word(stream, static_cast<std::uint64_t>(8 * row + 5)));
        const float* const from = x.data + plane * extent.plane();
        float* const to = y.data + plane * extent.plane();
        for (int top = 0; top < extent.height; top += 8) {
            for (int left = 0; left < extent.width; left += 8) {
                float block[8][8];
                for (int i = 0; i < 8; ++i) {
                    for (int j = 0; j < 8; ++j) {
                        block[i][j] = from[std::min(top + i, extent.height - 1) * extent.width +
                                           std::min(left + j, extent.width - 1)] -
                                      block_middle;
                    }
                }
                transform(block, false);
                for (int u = 0; u < 8; ++u) {
                    for (int v = 0; v < 8; ++v) {
                        const float step = block_step(quality, tables.steps[u][v]);
                        block[u][v] = step * std::nearbyint(block[u][v] / step);
                    }
                }
                transform(block, true);
                for (int i = 0; i < std::min(8, extent.height - top); ++i) {
                    for (int j = 0; j < std::min(8, extent.width - left); ++j) {
                        to[(top + i) * extent.width + left + j] = block[i][j] + block_middle;
                    }
                }
            }
        }
    });
}

} // namespace patchforge
