// kernels/pool.h in float64: every window is gathered into a list of its pixels.
#pragma once

#include "kernels/pool.h"
#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

struct PoolWindow {
    std::int64_t out;                 // element of the output's row
    std::vector<std::int64_t> pixels; // elements of the input's row, row-major
    double divisor;                   // of an average
};

// The lines of window o along an axis, those of the padding among them.
inline std::vector<int> window_lines(const Pool& pool, int size, int outputs, int o) {
    std::vector<int> lines;
    if (pool.is_adaptive()) {
        const double step = static_cast<double>(size) / outputs;
        for (int i = 0; i < size; ++i) {
            // [i, i + 1) meets [o step, (o + 1) step)
            if (i + 1 > o * step + 1e-9 && i < (o + 1) * step - 1e-9) {
                lines.push_back(i);
            }
        }
        return lines;
    }
    for (int k = 0; k < pool.kernel; ++k) {
        const int line = o * pool.stride - pool.padding + k;
        if (line < size + pool.padding) {
            lines.push_back(line);
        }
    }
    return lines;
}

inline std::vector<PoolWindow> pool_windows(const Pool& pool) {
    const Extent in = pool.in, out = pool.out();
    std::vector<PoolWindow> windows;
    for (int c = 0; c < in.channels; ++c) {
        for (int i = 0; i < out.height; ++i) {
            for (int j = 0; j < out.width; ++j) {
                const auto rows = window_lines(pool, in.height, out.height, i);
                const auto columns = window_lines(pool, in.width, out.width, j);
                PoolWindow window{static_cast<std::int64_t>(windows.size()), {}, 1};
                for (const int row : rows) {
                    for (const int column : columns) {
                        if (row >= 0 && row < in.height && column >= 0 && column < in.width) {
                            window.pixels.push_back((std::int64_t{c} * in.height + row) * in.width +
                                                    column);
                        }
                    }
                }
                if (pool.kind != PoolKind::adaptive_sum) {
                    window.divisor = static_cast<double>(rows.size() * columns.size());
                }
                windows.push_back(window);
            }
        }
    }
    return windows;
}

inline std::int64_t largest_pixel(const PoolWindow& window, const DoubleMatrix& x,
                                  std::int64_t row) {
    std::int64_t largest = window.pixels.at(0);
    for (const std::int64_t pixel : window.pixels) {
        largest = x(row, pixel) > x(row, largest) ? pixel : largest;
    }
    return largest;
}

inline DoubleMatrix pool(const DoubleMatrix& x, const Pool& pool) {
    DoubleMatrix y(x.rows, pool.out().size());
    for (std::int64_t row = 0; row < x.rows; ++row) {
        for (const PoolWindow& window : pool_windows(pool)) {
            if (pool.kind == PoolKind::maximum) {
                y(row, window.out) = x(row, largest_pixel(window, x, row));
                continue;
            }
            for (const std::int64_t pixel : window.pixels) {
                y(row, window.out) += x(row, pixel) / window.divisor;
            }
        }
    }
    return y;
}

inline DoubleMatrix pool_gradient(const DoubleMatrix& dy, const DoubleMatrix& x, const Pool& pool) {
    DoubleMatrix dx(x.rows, x.columns);
    for (std::int64_t row = 0; row < x.rows; ++row) {
        for (const PoolWindow& window : pool_windows(pool)) {
            if (pool.kind == PoolKind::maximum) {
                dx(row, largest_pixel(window, x, row)) += dy(row, window.out);
                continue;
            }
            for (const std::int64_t pixel : window.pixels) {
                dx(row, pixel) += dy(row, window.out) / window.divisor;
            }
        }
    }
    return dx;
}

} // namespace patchforge::oracle
