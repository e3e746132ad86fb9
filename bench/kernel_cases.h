// What bench/kernels.cpp measures: calls of operations at the sizes of the mission, each with the
// bytes and operations that its floor is made of, and the inputs that they share.
#pragma once

#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "bench/measure.h"

namespace patchforge::bench {

constexpr std::int64_t pixels = 7500;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t map_numbers = 16 * 50 * 50; // of a picture between convolutions, at most

struct Case {
    std::string name;
    double bytes;      // that must cross the memory at least once
    double operations; // a multiply-add counts two; 0: the bytes alone are its floor
    std::function<void(std::int64_t)> enqueue; // call number, to choose among rotating inputs
};

// Arrays that take turns, so that a call does not find what the last one left in the caches.
class Rotation {
  public:
    Rotation(Backend& backend, std::int64_t size, int copies, std::uint32_t seed) : size_(size) {
        for (int i = 0; i < copies; ++i) {
            copies_.push_back(random_array(backend, size, seed + static_cast<std::uint32_t>(i)));
        }
    }
    float* at(std::int64_t call) const {
        return copies_[static_cast<std::size_t>(call) % copies_.size()].data();
    }
    Vector<float> vector(std::int64_t call, std::int64_t size) const { return {at(call), size}; }
    Matrix<float> matrix(std::int64_t call, std::int64_t rows, std::int64_t columns) const {
        return {at(call), rows, columns};
    }

  private:
    std::int64_t size_;
    std::vector<DeviceArray<float>> copies_;
};

struct Inputs {
    Inputs(Backend& backend, std::int64_t batch)
        : copies(backend.name() == "cpu" ? 1 : 8), wide(backend, 2 * batch * pixels, copies, 1),
          wide_out(backend, 2 * batch * pixels, copies, 20),
          narrow(backend, 2 * batch * hidden, copies, 40),
          narrow_out(backend, 2 * batch * hidden, copies, 60),
          maps(backend, batch * map_numbers, copies, 160),
          maps_out(backend, batch * map_numbers, copies, 180),
          weight(backend, pixels * hidden, copies, 80),
          first_moment(backend, pixels * hidden, copies, 100),
          second_moment(backend, pixels * hidden, copies, 120), bias(backend, 3 * pixels, 1, 140),
          statistics(backend, 2 * hidden), statistics_of_maps(backend, 24 * batch),
          totals(backend, 2), sums(backend, 120 * batch), steps(backend, 1),
          bytes(backend, 2048 * pixels), levels(backend, batch * pixels), rows(backend, 2 * batch),
          labels(backend, 2048), order(backend, batch) {
        std::vector<std::uint8_t> values(static_cast<std::size_t>(bytes.size()));
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
        }
        bytes.upload(values.data(), bytes.size());
        std::vector<std::int32_t> numbers(static_cast<std::size_t>(batch));
        std::iota(numbers.begin(), numbers.end(), 0);
        order.upload(numbers.data(), batch);
        // Moments of Adam are small, and second ones are not negative.
        for (int i = 0; i < copies; ++i) {
            backend.fill_uniform(second_moment.vector(i, pixels * hidden), 1e-6f, 1e-4f,
                                 {.seed = 9, .purpose = 0, .draw = {}});
        }
        for (const auto& array : {statistics.view(), statistics_of_maps.view()}) {
            backend.fill_uniform(array, 0.5f, 1.0f, {.seed = 11, .purpose = 0, .draw = {}});
        }
        backend.fill_uniform(bias.vector(0, 3 * pixels), 1e-6f, 1e-4f,
                             {.seed = 10, .purpose = 0, .draw = {}});
    }

    AdamTensor weight_state(std::int64_t call, std::int64_t size) const {
        return {weight.vector(call, size), first_moment.vector(call, size),
                second_moment.vector(call, size)};
    }
    AdamTensor bias_state(std::int64_t size) const {
        return {{bias.at(0), size}, {bias.at(0) + pixels, size}, {bias.at(0) + 2 * pixels, size}};
    }

    int copies;
    Rotation wide, wide_out;     // [2B, pixels]
    Rotation narrow, narrow_out; // [2B, hidden]
    Rotation maps, maps_out;     // [B, map_numbers]
    Rotation weight, first_moment, second_moment;
    Rotation bias;                         // value and moments of up to `pixels`
    DeviceArray<float> statistics;         // mean and variance of hidden columns
    DeviceArray<float> statistics_of_maps; // of 12 channels of every patch
    DeviceArray<double> totals;
    DeviceArray<double> sums; // over those
    DeviceArray<std::uint64_t> steps;
    DeviceArray<std::uint8_t> bytes, levels;
    DeviceArray<std::int32_t> rows, labels;
    DeviceArray<std::int32_t> order; // 0, 1, 2, ...
};

// Layers: forward, gradients, gradients with Adam.
std::vector<Case> linear_cases(Backend& backend, const Inputs& in, std::int64_t batch);
// Convolutional layers of 50 x 50 networks: forward and the three gradients.
std::vector<Case> convolution_cases(Backend& backend, const Inputs& in, std::int64_t batch);
// The rest of a training iteration: data, random numbers, losses, normalisation, bookkeeping.
std::vector<Case> training_cases(Backend& backend, const Inputs& in, std::int64_t batch);
// What convolutional networks have besides convolutions and the above.
std::vector<Case> map_cases(Backend& backend, const Inputs& in, std::int64_t batch);
// What attacks and augmentation do to pixels.
std::vector<Case> attack_cases(Backend& backend, const Inputs& in, std::int64_t batch);

} // namespace patchforge::bench
