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

void CpuBackend::normalise_maps_tangent(Matrix<float> ty, Vector<double>, Matrix<const float> t,
                                        Matrix<const float> x, Matrix<const float> statistics,
                                        const MapSets& sets, Vector<const float> scale) {
    const std::int64_t plane = sets.extent.plane();
    const auto elements = static_cast<double>(sets.elements());
    pool_.parallel_for(sets.count(x.rows), [&](std::int64_t set) {
        const float mean = statistics.data[set];
        const double inverse = inverse_deviation(statistics.data[statistics.columns + set]);
        double of_set[2] = {}; // sums of t and of t (x - mean)
        for_planes(sets, set, [&](std::int64_t, std::int64_t, std::int64_t first) {
            vector_.moments_of_gradient(t.data + first, x.data + first, plane, mean, of_set);
        });
        const double shift = -inverse * of_set[0] / elements;
        const double slope = -inverse * inverse * inverse * of_set[1] / elements;
        for_planes(sets, set, [&](std::int64_t, std::int64_t c, std::int64_t first) {
            const double factor = scale.empty() ? 1.0 : double{scale.data[c]};
            vector_.standardise_gradient(ty.data + first, t.data + first, x.data + first, plane,
                                         mean, static_cast<float>(factor * inverse),
                                         static_cast<float>(factor * shift),
                                         static_cast<float>(factor * slope));
        });
    });
}

// sums [B, C, 5]: of dy, dy N, t, t N and dy t over each plane.
void CpuBackend::normalise_maps_curvature(Matrix<float> dx, Vector<float> d_scale,
                                          Vector<double> sums, Matrix<const float> dy,
                                          Matrix<const float> t, Matrix<const float> x,
                                          Matrix<const float> statistics, const MapSets& sets,
                                          Vector<const float> scale) {
    const std::int64_t channels = sets.extent.channels;
    const std::int64_t plane = sets.extent.plane();
    const auto elements = static_cast<double>(sets.elements());
    pool_.parallel_for(sets.count(x.rows), [&](std::int64_t set) {
        const float mean = statistics.data[set];
        const float inverse = inverse_deviation(statistics.data[statistics.columns + set]);
        const auto scale_of = [&](std::int64_t c) { return scale.empty() ? 1.0f : scale.data[c]; };
        double means[5] = {}; // of g, g N, t, t N and g t over the set
        for_planes(sets, set, [&](std::int64_t row, std::int64_t c, std::int64_t first) {
            double* const of_plane = sums.data + 5 * (row * channels + c);
            std::fill(of_plane, of_plane + 5, 0.0);
            vector_.moments_of_gradient(dy.data + first, x.data + first, plane, mean, of_plane);
            vector_.moments_of_gradient(t.data + first, x.data + first, plane, mean, of_plane + 2);
            of_plane[1] *= inverse;
            of_plane[3] *= inverse;
            for (std::int64_t i = first; i < first + plane; ++i) {
                of_plane[4] += double{dy.data[i]} * t.data[i];
            }
            for (const int k : {0, 1, 4}) {
                means[k] += scale_of(c) * of_plane[k] / elements;
            }
            means[2] += of_plane[2] / elements;
            means[3] += of_plane[3] / elements;
        });
        const auto slope = static_cast<float>(
            inverse * (means[4] - means[0] * means[2] - means[1] * means[3])); // mean of g T
        const auto mean_g = static_cast<float>(means[0]), mean_gn = static_cast<float>(means[1]);
        const auto mean_t = static_cast<float>(means[2]), mean_tn = static_cast<float>(means[3]);
        for_planes(sets, set, [&](std::int64_t row, std::int64_t c, std::int64_t first) {
            double* const of_plane = sums.data + 5 * (row * channels + c);
            of_plane[0] = inverse * (of_plane[4] - means[2] * of_plane[0] - means[3] * of_plane[1]);
            const float factor = scale_of(c);
            for (std::int64_t i = first; i < first + plane; ++i) {
                const float normalised = (x.data[i] - mean) * inverse;
                const float of_t = (t.data[i] - mean_t - normalised * mean_tn) * inverse;
                const float of_g = (factor * dy.data[i] - mean_g - normalised * mean_gn) * inverse;
                dx.data[i] -= (normalised * slope + mean_gn * of_t + mean_tn * of_g) * inverse;
            }
        });
    });
    for (std::int64_t c = 0; c < d_scale.size; ++c) {
        double of_scale = d_scale.data[c];
        for (std::int64_t row = 0; row < x.rows; ++row) {
            of_scale += sums.data[5 * (row * channels + c)];
        }
        d_scale.data[c] = static_cast<float>(of_scale);
    }
}

} // namespace patchforge
