#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// What a channel of a picture is multiplied by and what is added to it.
struct Film {
    float factor = 1, shift = 0;

    Film(const Modulation& modulation, std::int64_t row, std::int64_t channel,
         std::int64_t channels) {
        if (!modulation.film.empty()) {
            const float* const of_row = modulation.film.data + row * 2 * channels;
            factor = 1 + of_row[channel];
            shift = of_row[channels + channel];
        }
    }
};

// The noise of a picture: its number is its draw.
PhiloxStream noise_of(const RandomStream& noise, std::int64_t row) {
    PhiloxStream stream = philox_stream(noise);
    const std::uint64_t picture = noise.draw.value() + static_cast<std::uint64_t>(row);
    stream.draw_low = static_cast<std::uint32_t>(picture);
    stream.draw_high = static_cast<std::uint32_t>(picture >> 32);
    return stream;
}

// Element e of the rows of a group: how far each is from their mean, and their deviation.
struct Deviations {
    double mean = 0, deviation = 0;

    Deviations(const float* x, std::int64_t rows, std::int64_t stride) {
        for (std::int64_t r = 0; r < rows; ++r) {
            mean += x[r * stride];
        }
        mean /= static_cast<double>(rows);
        double squares = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
            squares += (x[r * stride] - mean) * (x[r * stride] - mean);
        }
        deviation = std::sqrt(squares / static_cast<double>(rows) + 1e-8);
    }
};

} // namespace

// A task is a picture, whose noise is drawn once for all channels.
void CpuBackend::modulate(Matrix<float> y, Matrix<const float> x, Extent extent,
                          const Modulation& modulation, const Epilogue& epilogue) {
    const EpilogueArguments arguments = epilogue_arguments(epilogue);
    const bool noisy = !modulation.strength.empty();
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        float* const noise = noisy ? thread_scratch(extent.plane()) : nullptr;
        if (noisy) {
            vector_.fill_normal(noise, extent.plane(), 0, 0, 1, noise_of(modulation.noise, row));
        }
        for (std::int64_t c = 0; c < extent.channels; ++c) {
            const Film film(modulation, row, c, extent.channels);
            const std::int64_t first = row * x.columns + c * extent.plane();
            vector_.modulate(y.data + first, x.data + first, noise, extent.plane(), film.factor,
                             film.shift, noisy ? modulation.strength.data[c] : 0);
        }
        if (!epilogue.is_identity()) {
            float* const of_row = y.data + row * y.columns;
            vector_.activate(of_row, of_row, nullptr, y.columns,
                             static_cast<std::uint64_t>(row * y.columns), arguments);
        }
    });
}

void CpuBackend::modulate_gradient(Matrix<float> dx, Matrix<float> d_film, Vector<float> d_strength,
                                   Vector<double> sums, Matrix<const float> dy,
                                   Matrix<const float> x, Extent extent,
                                   const Modulation& modulation, const Epilogue& previous,
                                   bool accumulate) {
    const EpilogueArguments arguments = epilogue_arguments(previous);
    const bool noisy = !modulation.strength.empty();
    const std::int64_t channels = extent.channels;
    pool_.parallel_for(x.rows, [&](std::int64_t row) {
        float* const noise = noisy ? thread_scratch(extent.plane()) : nullptr;
        if (noisy) {
            vector_.fill_normal(noise, extent.plane(), 0, 0, 1, noise_of(modulation.noise, row));
        }
        for (std::int64_t c = 0; c < channels; ++c) {
            const Film film(modulation, row, c, channels);
            const std::int64_t first = row * x.columns + c * extent.plane();
            const float* const gradient = dy.data + first;
            if (!d_film.empty()) {
                double of_film[2] = {}; // sums of dy, of dy x
                vector_.moments_of_gradient(gradient, x.data + first, extent.plane(), 0, of_film);
                d_film.data[row * 2 * channels + c] = static_cast<float>(of_film[1]);
                d_film.data[row * 2 * channels + channels + c] = static_cast<float>(of_film[0]);
            }
            if (noisy) {
                double of_noise[2] = {};
                vector_.moments_of_gradient(gradient, noise, extent.plane(), 0, of_noise);
                sums.data[row * channels + c] = of_noise[1];
            }
            vector_.affine(dx.data + first, gradient, extent.plane(), film.factor, 0);
        }
        if (!previous.is_identity()) {
            const std::int64_t first = row * dx.columns;
            vector_.activation_gradient(dx.data + first, dx.data + first, x.data + first,
                                        dx.columns, static_cast<std::uint64_t>(first), arguments);
        }
    });
    for (std::int64_t c = 0; c < d_strength.size; ++c) {
        double sum = accumulate ? d_strength.data[c] : 0.0;
        for (std::int64_t row = 0; row < x.rows; ++row) {
            sum += sums.data[row * channels + c];
        }
        d_strength.data[c] = static_cast<float>(sum);
    }
}

void CpuBackend::append_deviation(Matrix<float> y, Matrix<const float> x, Extent extent,
                                  std::int64_t group) {
    for_pieces(x.rows, group, [&](std::int64_t first, std::int64_t rows) {
        const float* const from = x.data + first * x.columns;
        double sum = 0;
        for (std::int64_t e = 0; e < x.columns; ++e) {
            sum += Deviations(from + e, rows, x.columns).deviation;
        }
        const auto mean = static_cast<float>(sum / static_cast<double>(x.columns));
        for (std::int64_t r = 0; r < rows; ++r) {
            float* const to = y.data + (first + r) * y.columns;
            std::copy_n(from + r * x.columns, x.columns, to);
            std::fill_n(to + x.columns, extent.plane(), mean);
        }
    });
}

void CpuBackend::append_deviation_gradient(Matrix<float> dx, Matrix<const float> dy,
                                           Matrix<const float> x, Extent extent,
                                           std::int64_t group) {
    for_pieces(x.rows, group, [&](std::int64_t first, std::int64_t rows) {
        const float* const from = x.data + first * x.columns;
        const float* const gradient = dy.data + first * dy.columns;
        double of_deviation = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
            of_deviation += vector_.sum(gradient + r * dy.columns + x.columns, extent.plane());
        }
        const double share = of_deviation / static_cast<double>(x.columns * rows);
        for (std::int64_t e = 0; e < x.columns; ++e) {
            const Deviations element(from + e, rows, x.columns);
            for (std::int64_t r = 0; r < rows; ++r) {
                dx.data[(first + r) * x.columns + e] = static_cast<float>(
                    gradient[r * dy.columns + e] +
                    share * (from[r * x.columns + e] - element.mean) / element.deviation);
            }
        }
    });
}

} // namespace patchforge
