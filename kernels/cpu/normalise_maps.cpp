// A task is a set: its elements, some hundred kilobytes of a batch, are still in the second-level
// cache when they are read again.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

float inverse_deviation(float variance) {
    return static_cast<float>(1 / std::sqrt(double{normalisation_epsilon} + variance));
}

// Calls body(row, channel, first element) for the planes of a set, in their order.
template <class Body>
void for_planes(const MapSets& sets, std::int64_t set, const Body& body) {
    const std::int64_t first_row = set / sets.across() * sets.rows;
    const std::int64_t first_channel = set % sets.across() * sets.channels;
    for (std::int64_t row = first_row; row < first_row + sets.rows; ++row) {
        for (std::int64_t c = first_channel; c < first_channel + sets.channels; ++c) {
            body(row, c, (row * sets.extent.channels + c) * sets.extent.plane());
        }
    }
}

void update(const RunningStatistics& running, Matrix<const float> statistics, double elements) {
    const std::int64_t channels = running.values.columns;
    const double kept = 1 - double{running.momentum};
    for (std::int64_t set = 0; set < statistics.columns; ++set) {
        float& mean = running.values.data[set % channels];
        float& variance = running.values.data[channels + set % channels];
        const double unbiased =
            statistics.data[statistics.columns + set] * (elements / (elements - 1));
        mean = static_cast<float>(kept * mean + double{running.momentum} * statistics.data[set]);
        variance = static_cast<float>(kept * variance + double{running.momentum} * unbiased);
    }
}

} // namespace

void CpuBackend::normalise_set(float* y, const float* x, std::int64_t set,
                               Matrix<const float> statistics, const MapSets& sets,
                               Vector<const float> scale, Vector<const float> shift,
                               const EpilogueArguments* epilogue) {
    const float mean = statistics.data[set];
    const float factor = inverse_deviation(statistics.data[statistics.columns + set]);
    for_planes(sets, set, [&](std::int64_t, std::int64_t c, std::int64_t first) {
        vector_.standardise(y + first, x + first, sets.extent.plane(), mean,
                            scale.empty() ? factor : factor * scale.data[c],
                            shift.empty() ? 0 : shift.data[c]);
        if (epilogue) {
            vector_.activate(y + first, y + first, nullptr, sets.extent.plane(),
                             static_cast<std::uint64_t>(first), *epilogue);
        }
    });
}

void CpuBackend::normalise_maps(Matrix<float> y, Matrix<float> statistics,
                                const RunningStatistics& running, Vector<double>,
                                Matrix<const float> x, const MapSets& sets,
                                Vector<const float> scale, Vector<const float> shift,
                                const Epilogue& epilogue) {
    sets.validate(x.rows);
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    const auto elements = static_cast<double>(sets.elements());
    pool_.parallel_for(sets.count(x.rows), [&](std::int64_t set) {
        double sums[2] = {}, origin = 0;
        bool first_plane = true;
        for_planes(sets, set, [&](std::int64_t, std::int64_t, std::int64_t first) {
            origin = first_plane ? x.data[first] : origin;
            first_plane = false;
            vector_.moments(x.data + first, sets.extent.plane(), static_cast<float>(origin), sums);
        });
        const double distance = sums[0] / elements; // of the mean from the origin
        statistics.data[set] = static_cast<float>(origin + distance);
        statistics.data[statistics.columns + set] =
            static_cast<float>(std::max(0.0, sums[1] / elements - distance * distance));
        normalise_set(y.data, x.data, set, statistics, sets, scale, shift,
                      epilogue.is_identity() ? nullptr : &arguments);
    });
    if (!running.values.empty()) {
        update(running, statistics, elements);
    }
}

void CpuBackend::normalise_maps_by(Matrix<float> y, Matrix<const float> x,
                                   Matrix<const float> statistics, const MapSets& sets,
                                   Vector<const float> scale, Vector<const float> shift,
                                   const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    pool_.parallel_for(sets.count(x.rows), [&](std::int64_t set) {
        normalise_set(y.data, x.data, set, statistics, sets, scale, shift,
                      epilogue.is_identity() ? nullptr : &arguments);
    });
}

// sums [B, C, 2]: of dy and of dy N over each plane.
void CpuBackend::normalise_maps_gradient(Matrix<float> dx, Vector<float> d_scale,
                                         Vector<float> d_shift, Vector<double> sums,
                                         Matrix<const float> dy, Matrix<const float> x,
                                         Matrix<const float> statistics, const MapSets& sets,
                                         Vector<const float> scale, const Epilogue& previous,
                                         bool accumulate) {
    sets.validate(x.rows);
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const std::int64_t channels = sets.extent.channels;
    const std::int64_t plane = sets.extent.plane();
    const auto elements = static_cast<double>(sets.elements());
    pool_.parallel_for(sets.count(x.rows), [&](std::int64_t set) {
        const float mean = statistics.data[set];
        const double inverse = inverse_deviation(statistics.data[statistics.columns + set]);
        const auto scale_of = [&](std::int64_t c) {
            return scale.empty() ? 1.0 : double{scale.data[c]};
        };
        double of_gradient = 0, of_product = 0; // sums of g and of g N
        for_planes(sets, set, [&](std::int64_t row, std::int64_t c, std::int64_t first) {
            double* const of_plane = sums.data + 2 * (row * channels + c);
            of_plane[0] = of_plane[1] = 0;
            vector_.moments_of_gradient(dy.data + first, x.data + first, plane, mean, of_plane);
            of_plane[1] *= inverse;
            of_gradient += scale_of(c) * of_plane[0];
            of_product += scale_of(c) * of_plane[1];
        });
        const auto shift = static_cast<float>(-inverse * of_gradient / elements);
        const auto slope = static_cast<float>(-inverse * inverse * of_product / elements);
        for_planes(sets, set, [&](std::int64_t, std::int64_t c, std::int64_t first) {
            vector_.standardise_gradient(dx.data + first, dy.data + first, x.data + first, plane,
                                         mean, static_cast<float>(inverse * scale_of(c)), shift,
                                         slope);
            if (!previous.is_identity()) {
                vector_.activation_gradient(dx.data + first, dx.data + first, x.data + first, plane,
                                            static_cast<std::uint64_t>(first), arguments);
            }
        });
    });
    for (std::int64_t c = 0; c < d_scale.size; ++c) {
        double of_scale = accumulate ? d_scale.data[c] : 0.0;
        double of_shift = accumulate ? d_shift.data[c] : 0.0;
        for (std::int64_t row = 0; row < x.rows; ++row) {
            of_shift += sums.data[2 * (row * channels + c)];
            of_scale += sums.data[2 * (row * channels + c) + 1];
        }
        d_scale.data[c] = static_cast<float>(of_scale);
        d_shift.data[c] = static_cast<float>(of_shift);
    }
}

void CpuBackend::normalise_maps_by_gradient(Matrix<float> dx, Matrix<const float> dy,
                                            Matrix<const float> x, Matrix<const float> statistics,
                                            const MapSets& sets, Vector<const float> scale,
                                            const Epilogue& previous) {
    const EpilogueArguments arguments = epilogue_arguments(previous);
    pool_.parallel_for(sets.count(dy.rows), [&](std::int64_t set) {
        const float factor = inverse_deviation(statistics.data[statistics.columns + set]);
        for_planes(sets, set, [&](std::int64_t, std::int64_t c, std::int64_t first) {
            vector_.affine(dx.data + first, dy.data + first, sets.extent.plane(),
                           scale.empty() ? factor : factor * scale.data[c], 0);
            if (!previous.is_identity()) {
                vector_.activation_gradient(dx.data + first, dx.data + first, x.data + first,
                                            sets.extent.plane(), static_cast<std::uint64_t>(first),
                                            arguments);
            }
        });
    });
}

} // namespace patchforge
