// Where training batches come from: the patches in memory, resident on the device or streamed to it
// through two staging slots, with the same rows in the same order either way.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/ranks/sharding.h"
#include "host/train/shards.h"
#include "kernels/backend.h"

namespace patchforge {

class PackedSet;
struct Image;

// Patches in host memory (a mapped packed set, or arrays of a test). Owns only the choice of rows.
struct PatchRows {
    const std::uint8_t* pixels = nullptr; // [count, channels * height * width]
    std::int64_t count = 0;
    int channels = 0;
    int height = 0;
    int width = 0;
    std::span<const std::int32_t> labels; // [count], -1: none; or empty
    std::vector<std::int32_t> subset;     // rows to use; empty: all

    Extent extent() const { return {channels, height, width}; }
    std::int64_t pixels_per_patch() const { return extent().size(); }
    std::int64_t used() const {
        return subset.empty() ? count : static_cast<std::int64_t>(subset.size());
    }
    std::int64_t row(std::int64_t position) const {
        return subset.empty() ? position : subset[static_cast<std::size_t>(position)];
    }
};

PatchRows rows_of(const PackedSet& set);
// Position `i` of the used rows.
Image picture_of(const PatchRows& patches, std::int64_t i);

enum class Placement { automatic, resident, streamed };

struct BatchOptions {
    std::int64_t batch_size = 64;
    bool drop_last = false; // leave out the partial batch at the end of an epoch
    std::int64_t draws_per_iteration = 1;
    std::uint64_t seed = 0; // of the epochs' orders
    Placement placement = Placement::automatic;
    Sharding sharding{};
};

// An iteration i makes the draws i * draws_per_iteration + 0, 1, ...; draw d belongs to epoch
// d / batches_per_epoch().
class BatchSource {
  public:
    // `step` is the iteration's number on the device. Throws std::invalid_argument when there is no
    // row to draw, and std::runtime_error when `resident` is asked for and does not fit.
    BatchSource(Backend& backend, const PatchRows& patches, const BatchOptions& options,
                const std::uint64_t* step);
    ~BatchSource();
    BatchSource(const BatchSource&) = delete;
    BatchSource& operator=(const BatchSource&) = delete;

    std::int64_t batches_per_epoch() const { return plan_.batches_per_epoch; }
    // True number of rows of a draw: the batch size, or less at the end of an epoch.
    std::int64_t rows_of_draw(std::uint64_t draw) const;
    // Of a whole shard: the batch's, if it is not cut.
    std::int64_t rows_of_shard() const { return plan_.batch_size / options_.sharding.shards; }
    bool streamed() const { return plan_.order == BatchPlan::Order::staged; }

    // Enqueues (or records) the gathering of draw `j` of the current iteration. `slot` matters only
    // when streamed. row receives row numbers of the whole set; may be empty. Of a batch that is cut
    // it gathers the rows of `shard`.
    void gather(Matrix<float> x, Vector<std::int32_t> row, std::int64_t j, int slot,
                PixelRange range, const Shard& shard = {});

    // The resident patches and the order in which they are drawn; not when streamed.
    const std::uint8_t* pixels() const { return resident_; }
    const BatchPlan& plan() const { return plan_; }

    // Streaming, around each iteration: stage() fills the slot for it and makes the computation
    // wait for the copy; release() says that the iteration was enqueued.
    void stage(std::uint64_t iteration, int slot);
    void release(int slot);

    // Device labels [count]; empty without labels.
    Vector<const std::int32_t> labels() const { return labels_.view(); }

  private:
    std::size_t slot_bytes() const;
    std::size_t row_numbers_offset() const;

    Backend& backend_;
    PatchRows patches_;
    BatchOptions options_;
    BatchPlan plan_;
    // Of a global batch, what this rank works out.
    std::int64_t first_row_ = 0, end_row_ = 0;
    const std::uint8_t* resident_ = nullptr;
    DeviceArray<std::uint8_t> uploaded_;
    DeviceArray<std::int32_t> subset_;
    DeviceArray<std::int32_t> labels_;
    DeviceArray<std::uint8_t> slots_[2];
    void* staging_[2] = {};
};

} // namespace patchforge
