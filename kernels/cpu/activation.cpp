#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// Elements a task: 64 KiB, and a multiple of what one random counter serves.
constexpr std::int64_t piece = 16384;

} // namespace

EpilogueArguments epilogue_arguments(const Epilogue& epilogue) {
    const bool dropout = epilogue.dropout > 0;
    return {.activation = static_cast<int>(epilogue.activation),
            .slope = epilogue.slope,
            .dropout = dropout,
            .kept_factor = dropout ? 1.0f / (1.0f - epilogue.dropout) : 1.0f,
            .kept_share = dropout ? 1.0f - epilogue.dropout : 1.0f,
            .threshold = dropout ? dropout_threshold(epilogue.dropout) : 0,
            .random = dropout ? philox_stream(epilogue.random) : PhiloxStream{}};
}

void CpuBackend::activate(Matrix<float> y, Matrix<const float> z, const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    for_pieces(y.size(), piece, [&](std::int64_t first, std::int64_t count) {
        vector_.activate(y.data + first, z.data + first, nullptr, count,
                         static_cast<std::uint64_t>(first), arguments);
    });
}

void CpuBackend::activate_sum(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                              const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    for_pieces(y.size(), piece, [&](std::int64_t first, std::int64_t count) {
        vector_.activate(y.data + first, a.data + first, b.data + first, count,
                         static_cast<std::uint64_t>(first), arguments);
    });
}

void CpuBackend::activation_gradient(Matrix<float> dz, Matrix<const float> dy,
                                     Matrix<const float> y, const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    for_pieces(dz.size(), piece, [&](std::int64_t first, std::int64_t count) {
        vector_.activation_gradient(dz.data + first, dy.data + first, y.data + first, count,
                                    static_cast<std::uint64_t>(first), arguments);
    });
}

} // namespace patchforge
