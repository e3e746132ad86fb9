// Padding, cropping, doubling, shuffling and turning of pictures, and their transposes: one kernel
// (resample_kernel.h) under a rule for each.
#include "kernels/cuda/resample_kernel.h"
#include "kernels/resample_taps.h"

namespace patchforge::cuda {
namespace {

struct ShuffleRule {
    static constexpr int taps = 1;
    int factor;

    __device__ bool read(Pixel& pixel, int, float&) const {
        pixel.channel =
            (pixel.channel * factor + pixel.row % factor) * factor + pixel.column % factor;
        pixel.row /= factor;
        pixel.column /= factor;
        return true;
    }
};

struct ShuffleTranspose {
    static constexpr int taps = 1;
    int factor;

    __device__ bool read(Pixel& pixel, int, float&) const {
        pixel.row = pixel.row * factor + pixel.channel / factor % factor;
        pixel.column = pixel.column * factor + pixel.channel % factor;
        pixel.channel /= factor * factor;
        return true;
    }
};

// Pixels that zero padding moves; the others are cropped or zero.
double moved_pixels(const Resample& rule) {
    const auto lines = [](int in, int before, int after) {
        return in + std::min(before, 0) + std::min(after, 0);
    };
    return static_cast<double>(rule.in.channels) * lines(rule.in.height, rule.top, rule.bottom) *
           lines(rule.in.width, rule.left, rule.right);
}

} // namespace

void CudaBackend::resample(Matrix<float> y, Matrix<const float> x, const Resample& rule) {
    const Extent in = rule.in, out = rule.out();
    const auto by = [&](const auto& taps, double pixels) {
        cuda::resample("resample", y, x, nullptr, out, in, taps, {}, pixels, stream_);
    };
    switch (rule.kind) {
    case ResampleKind::zero_padding:
        return by(AxesRule<ShiftedTaps>{{rule.top, in.height}, {rule.left, in.width}},
                  moved_pixels(rule));
    case ResampleKind::reflection_padding:
        return by(AxesRule<ReflectedTaps>{{rule.top, in.height}, {rule.left, in.width}}, in.size());
    case ResampleKind::nearest:
        return by(AxesRule<NearestTaps>{}, in.size());
    case ResampleKind::bilinear:
        return by(AxesRule<BilinearTaps>{{in.height}, {in.width}}, in.size());
    case ResampleKind::shuffle:
        return by(ShuffleRule{rule.factor}, in.size());
    case ResampleKind::turn:
        return by(TurnRule{rule.turn, in.height, in.width}, in.size());
    }
}

void CudaBackend::resample_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                    const Resample& rule, const Epilogue& previous) {
    const Extent in = rule.in, out = rule.out();
    const float* const origin = previous.is_identity() ? nullptr : x.data;
    const auto by = [&](const auto& taps, double pixels) {
        cuda::resample("resample_gradient", dx, dy, origin, in, out, taps, previous, pixels,
                       stream_);
    };
    switch (rule.kind) {
    case ResampleKind::zero_padding:
        return by(AxesRule<ShiftedTaps>{{-rule.top, out.height}, {-rule.left, out.width}},
                  moved_pixels(rule));
    case ResampleKind::reflection_padding:
        return by(AxesRule<ReflectedTranspose>{{rule.top, in.height, out.height},
                                               {rule.left, in.width, out.width}},
                  out.size());
    case ResampleKind::nearest:
        return by(AxesRule<NearestTranspose>{{out.height}, {out.width}}, out.size());
    case ResampleKind::bilinear:
        return by(AxesRule<BilinearTranspose>{{in.height, out.height}, {in.width, out.width}},
                  out.size());
    case ResampleKind::shuffle:
        return by(ShuffleTranspose{rule.factor}, out.size());
    case ResampleKind::turn:
        return by(TurnRule{inverse_turn(rule.turn), out.height, out.width}, out.size());
    }
}

} // namespace patchforge::cuda
