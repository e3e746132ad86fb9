// Can a small convolutional network tell fakes from real patches? It is trained on half of the
// patients and of the fakes and asked about the other half; beside it stands what it makes of two
// groups of real patients, which differ too. At full size, and of 2 x 2 means, where a trace that
// only the finest pixels show is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "host/classifier/synthetic_training.h"
#include "kernels/backend.h"

namespace patchforge {

struct RealOrFakeOptions {
    std::uint64_t seed = 2020; // and the next `seeds` - 1: of the halves and the networks
    int seeds = 3;
    // Passes over the training half, enough for `iterations` batches of 64.
    std::int64_t iterations = 400;
    int resamples = 200; // of the bootstrap over patients
    bool half = true;    // also of 2 x 2 means
    bool floor = true;   // also real patients against other real patients
};

// AUC on the half that was not trained on.
struct RealOrFakeScore {
    std::vector<double> by_seed;
    double mean = 0;
    Interval interval{}; // 95 %, over patients, mean of the seeds' ends
};

// How often the networks were right about what they were not trained on, all seeds together.
struct RealOrFakeCounts {
    std::int64_t fakes = 0, fakes_told = 0;
    std::int64_t real = 0, real_called_fake = 0;
};

struct RealOrFake {
    std::int64_t pictures = 0; // of either kind, half of them for training
    std::int64_t patients = 0;
    RealOrFakeScore full;       // 0.5: nothing told apart
    RealOrFakeCounts counts;    // at full size
    RealOrFakeScore half;       // of 2 x 2 means
    RealOrFakeScore floor_full; // real patients against other real patients
    RealOrFakeScore floor_half;
    std::uint64_t seed = 0;
    double seconds = 0;
};

// `patients`: one number a real patch; its bytes and the fakes' are [count, extent]. Equal counts are
// taken of both, in their order. Throws std::invalid_argument with fewer than 40 of either, fewer
// than 4 patients, or pictures below 16 x 16.
RealOrFake real_or_fake(Backend& backend, Extent extent, std::span<const std::uint8_t> real,
                        std::span<const std::int32_t> patients, std::span<const std::uint8_t> fakes,
                        const RealOrFakeOptions& options,
                        const std::function<void(const std::string&)>& progress = say_nothing);

// The line `real_or_fake`.
MetricResult real_or_fake_line(const RealOrFake& result);
std::string real_or_fake_text(const RealOrFake& result);
void add_real_or_fake_section(Report& report, const RealOrFake& result);

} // namespace patchforge
