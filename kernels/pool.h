// Windows of pooling: where they lie and what they are divided by.
#pragma once

#include "kernels/extent.h"

namespace patchforge {

// maximum, average: windows of kernel x kernel pixels, `stride` apart, the first one `padding` lines
// outside. Lines of padding count as -infinity and as 0; the average divides by all of its window that
// lies in the padded picture. Sizes as PyTorch has them:
//     out = floor((in + 2 padding - kernel) / stride) + 1
// with ceil_mode ceil, unless the last window would begin past the picture and the padding before it.
// adaptive: the picture cut into out x out windows, along an axis [floor(i in / n), ceil((i + 1) in /
// n)), which overlap by a line where n does not divide in. To 1 x 1 that is global pooling.
enum class PoolKind { maximum, average, adaptive_average, adaptive_sum };

// The windows along one axis of at most 46339 lines (lines times lines are an int). Window o covers
// [begin(o), end(o)) of [0, in); the windows that cover i are first(i) ... last(i), perhaps none.
struct PoolAxis {
    int in = 1, out = 1;
    int kernel = 0; // 0: adaptive
    int stride = 1, padding = 0;

    PATCHFORGE_HOST_DEVICE int begin(int o) const {
        const int at = kernel == 0 ? o * in / out : o * stride - padding;
        return at < 0 ? 0 : at;
    }
    PATCHFORGE_HOST_DEVICE int end(int o) const {
        const int at = kernel == 0 ? ((o + 1) * in + out - 1) / out : o * stride - padding + kernel;
        return at < in ? at : in;
    }
    // What an average divides by along this axis: padding counts, what lies past it does not.
    PATCHFORGE_HOST_DEVICE int length(int o) const {
        const int past = in + padding - (o * stride - padding);
        return kernel == 0 ? end(o) - begin(o) : past < kernel ? past : kernel;
    }
    PATCHFORGE_HOST_DEVICE int first(int i) const {
        if (kernel == 0) {
            return i * out / in;
        }
        const int before = i + padding - kernel; // windows that begin here or earlier end too soon
        return before < 0 ? 0 : before / stride + 1;
    }
    PATCHFORGE_HOST_DEVICE int last(int i) const {
        const int o = kernel == 0 ? ((i + 1) * out + in - 1) / in - 1 : (i + padding) / stride;
        return o < out ? o : out - 1;
    }
    int covered() const; // lines of [0, in) that lie in a window
};

struct Pool {
    PoolKind kind = PoolKind::maximum;
    Extent in;
    int kernel = 2, stride = 2, padding = 0;
    bool ceil_mode = false;
    int out_height = 1, out_width = 1; // of the adaptive kinds

    bool is_adaptive() const {
        return kind == PoolKind::adaptive_average || kind == PoolKind::adaptive_sum;
    }
    PoolAxis vertical() const;
    PoolAxis horizontal() const;
    Extent out() const { return {in.channels, vertical().out, horizontal().out}; }

    // std::invalid_argument with what is wrong: a window larger than the padded picture, padding of
    // more than half a window (there would be windows of nothing else), more outputs than lines.
    void validate() const;
};

} // namespace patchforge
