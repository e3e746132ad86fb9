#include "kernels/cpu/cpu_backend.h"

#include <cmath>
#include <limits>

namespace patchforge {
namespace {

constexpr std::int64_t piece = 16384;

} // namespace

AdamArguments adam_arguments(const Adam& adam) {
    const std::uint64_t step = adam.step.value();
    const double t = static_cast<double>(step) + 1;
    const double correction1 = 1 - std::pow(static_cast<double>(adam.beta1), t);
    const double correction2 = 1 - std::pow(static_cast<double>(adam.beta2), t);
    const double rate = adam.learning_rate * adam.schedule.share(step);
    return {.beta1 = adam.beta1,
            .rest1 = static_cast<float>(1 - static_cast<double>(adam.beta1)),
            .beta2 = adam.beta2,
            .rest2 = static_cast<float>(1 - static_cast<double>(adam.beta2)),
            .step_size = static_cast<float>(rate / correction1),
            .inverse_root_correction = static_cast<float>(1 / std::sqrt(correction2)),
            .epsilon = adam.epsilon,
            .clip = adam.clip > 0 ? adam.clip : std::numeric_limits<float>::infinity()};
}

void CpuBackend::adam(AdamTensor tensor, Vector<const float> gradient, const Adam& adam) {
    const AdamArguments arguments = adam_arguments(adam);
    for_pieces(tensor.value.size, piece, [&](std::int64_t first, std::int64_t count) {
        vector_.adam(tensor.value.data + first, tensor.first_moment.data + first,
                     tensor.second_moment.data + first, gradient.data + first, count, arguments);
    });
}

void CpuBackend::moving_average(Vector<float> average, Vector<const float> value,
                                const MovingAverage& rule) {
    const float decay = rule.kept();
    for_pieces(average.size, piece, [&](std::int64_t first, std::int64_t count) {
        vector_.moving_average(average.data + first, value.data + first, count, decay);
    });
}

} // namespace patchforge
