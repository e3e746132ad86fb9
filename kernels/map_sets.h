// Which elements of maps share a mean and a variance.
#pragma once

#include <cstdint>

#include "kernels/extent.h"

namespace patchforge {

// The maps of B pictures cut into sets: `rows` pictures that follow each other by `channels`
// channels that do, all their pixels.
//
//                rows            channels
//     batch      B, or a part    1           (Ioffe & Szegedy 2015)
//     instance   1               1           (Ulyanov, Vedaldi & Lempitsky 2016)
//     group      1               C / groups  (Wu & He 2018)
//
// A part of the batch is for real and fake pictures that travel together: normalised as one, their
// statistics alone would tell a discriminator which is which. Set (row / rows) * across() + channel /
// channels holds (row, channel).
struct MapSets {
    Extent extent;
    std::int64_t rows = 1;
    int channels = 1;

    PATCHFORGE_HOST_DEVICE int across() const { return extent.channels / channels; }
    PATCHFORGE_HOST_DEVICE std::int64_t count(std::int64_t batch) const {
        return batch / rows * across();
    }
    PATCHFORGE_HOST_DEVICE std::int64_t elements() const { // of a set
        return rows * channels * extent.plane();
    }
    PATCHFORGE_HOST_DEVICE std::int64_t of(std::int64_t row, int channel) const {
        return row / rows * across() + channel / channels;
    }
    // Numbers that the operations of kernels/operations/normalise_maps.h need for intermediate sums.
    std::int64_t sums(std::int64_t batch) const {
        return 2 * (batch * extent.channels + count(batch));
    }
    std::int64_t curvature_sums(std::int64_t batch) const {
        return 5 * (batch * extent.channels + count(batch));
    }

    // std::invalid_argument when sets do not divide the batch or the channels, or have a single
    // element, which has no variance: 1x1 maps one by one, or a last batch of one row.
    void validate(std::int64_t batch) const;
};

} // namespace patchforge
