#include "kernels/pool.h"

#include <algorithm>
#include <stdexcept>

namespace patchforge {
namespace {

PoolAxis axis(const Pool& pool, int in, int adaptive_out) {
    if (pool.is_adaptive()) {
        return {.in = in, .out = adaptive_out};
    }
    const int steps = in + 2 * pool.padding - pool.kernel;
    int out = (steps + (pool.ceil_mode ? pool.stride - 1 : 0)) / pool.stride + 1;
    if (pool.ceil_mode && (out - 1) * pool.stride >= in + pool.padding) {
        --out;
    }
    return {in, out, pool.kernel, pool.stride, pool.padding};
}

} // namespace

int PoolAxis::covered() const {
    int lines = 0, from = 0;
    for (int o = 0; o < out; ++o) {
        lines += std::max(0, end(o) - std::max(begin(o), from));
        from = std::max(from, end(o));
    }
    return lines;
}

PoolAxis Pool::vertical() const {
    return axis(*this, in.height, out_height);
}

PoolAxis Pool::horizontal() const {
    return axis(*this, in.width, out_width);
}

void Pool::validate() const {
    const auto refuse = [&](const std::string& why) {
        throw std::invalid_argument("pooling of " + in.text() + ": " + why);
    };
    if (std::max(in.height, in.width) > 46339) {
        refuse("too large; 46339 lines are the most");
    }
    if (is_adaptive()) {
        if (out_height < 1 || out_width < 1 || out_height > in.height || out_width > in.width) {
            refuse("cannot give " + std::to_string(out_height) + "x" + std::to_string(out_width) +
                   "; ask for 1x1 up to the picture's own size");
        }
        return;
    }
    if (kernel < 1 || stride < 1) {
        refuse("a window of " + std::to_string(kernel) + " every " + std::to_string(stride) +
               " lines; both have to be at least 1");
    }
    if (padding < 0 || padding > kernel / 2) {
        refuse("padding of " + std::to_string(padding) + " for a window of " +
               std::to_string(kernel) + "; use at most half the window");
    }
    if (kernel > in.height + 2 * padding || kernel > in.width + 2 * padding) {
        refuse("a window of " + std::to_string(kernel) +
               " is larger than the picture; use a smaller one, or adaptive pooling");
    }
}

} // namespace patchforge
