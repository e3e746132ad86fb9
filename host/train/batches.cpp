#include "host/train/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "data/packed_set.h"
#include "data/picture.h"
#include "host/train/followers.h"
#include "kernels/shuffle.h"

namespace patchforge {

namespace {

// Recordings that hold messages must be alike on all ranks, and those of streamed rows are others: all stream
// where one has to.
bool any_of_all(Ranks* ranks, bool own) {
    bool any = false;
    for (const std::vector<float>& one : gather_on_first(ranks, {own ? 1.0f : 0.0f})) {
        any = any || one.front() != 0;
    }
    return as_on_first(ranks, any ? 1 : 0) != 0;
}

} // namespace

PatchRows rows_of(const PackedSet& set) {
    return {set.pixels(), set.count(), set.channels(), set.height(), set.width(), set.labels(), {}};
}

Image picture_of(const PatchRows& patches, std::int64_t i) {
    return picture_at(patches.pixels, patches.row(i), patches.channels, patches.height,
                      patches.width);
}

BatchSource::BatchSource(Backend& backend, const PatchRows& patches, const BatchOptions& options,
                         const std::uint64_t* step)
    : backend_(backend), patches_(patches), options_(options) {
    const std::int64_t used = patches_.used();
    if (used < 1) {
        throw std::invalid_argument("--data: holds no patch to train on; give another folder");
    }
    if (options_.batch_size < 1 || (options_.drop_last && options_.batch_size > used)) {
        throw std::invalid_argument(
            fmt::format("--batch-size {}: there are {} patches; give a size from 1 to {}",
                        options_.batch_size, used, used));
    }
    const Sharding& sharding = options_.sharding;
    if (options_.batch_size % sharding.shards != 0) {
        throw std::invalid_argument(
            fmt::format("--batch-size {}: cannot be cut into {} equal shards; give a multiple of "
                        "--shards",
                        options_.batch_size, sharding.shards));
    }
    plan_.count = used;
    plan_.batch_size = sharding.cut() ? options_.batch_size : std::min(options_.batch_size, used);
    plan_.batches_per_epoch = options_.drop_last ? used / plan_.batch_size
                                                 : (used + plan_.batch_size - 1) / plan_.batch_size;
    plan_.seed = options_.seed;
    plan_.draw = {step, static_cast<std::uint32_t>(options_.draws_per_iteration), 0};
    const ShardTree tree(sharding.shards, sharding.rank_count());
    const std::vector<int> mine = tree.shards_of(sharding.rank());
    first_row_ = mine.front() * rows_of_shard();
    end_row_ = (mine.back() + 1) * rows_of_shard();

    if (!patches_.labels.empty()) {
        labels_ = DeviceArray<std::int32_t>(backend, patches_.count);
        labels_.upload(patches_.labels.data(), patches_.count);
    }
    const std::int64_t bytes = patches_.count * patches_.pixels_per_patch();
    // A quarter of the device stays free for the networks and what else runs there.
    const bool fits = backend.reads_host_memory() || bytes <= backend.free_memory() / 4 * 3;
    if (options_.placement == Placement::streamed ||
        (options_.placement == Placement::automatic && any_of_all(sharding.ranks, !fits))) {
        plan_.order = BatchPlan::Order::staged;
        for (int slot = 0; slot < 2; ++slot) {
            slots_[slot] =
                DeviceArray<std::uint8_t>(backend, static_cast<std::int64_t>(slot_bytes()));
            staging_[slot] = backend.allocate_staging(slot_bytes());
        }
        return;
    }
    if (!patches_.subset.empty()) {
        subset_ = DeviceArray<std::int32_t>(backend, used);
        subset_.upload(patches_.subset.data(), used);
        plan_.subset = subset_.data();
    }
    if (backend.reads_host_memory()) {
        resident_ = patches_.pixels;
    } else {
        uploaded_ = DeviceArray<std::uint8_t>(backend, bytes);
        uploaded_.upload(patches_.pixels, bytes);
        resident_ = uploaded_.data();
    }
}

BatchSource::~BatchSource() {
    for (void* memory : staging_) {
        if (memory) {
            backend_.release_staging(memory);
        }
    }
}

std::int64_t BatchSource::rows_of_draw(std::uint64_t draw) const {
    const auto batch =
        static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(plan_.batches_per_epoch));
    return std::min(plan_.batch_size, plan_.count - batch * plan_.batch_size);
}

// A slot holds the pixels of all draws of an iteration, then their row numbers.
std::size_t BatchSource::row_numbers_offset() const {
    const auto pixels = static_cast<std::size_t>(options_.draws_per_iteration * plan_.batch_size *
                                                 patches_.pixels_per_patch());
    return (pixels + 255) / 256 * 256;
}

std::size_t BatchSource::slot_bytes() const {
    return row_numbers_offset() +
           static_cast<std::size_t>(options_.draws_per_iteration * plan_.batch_size) *
               sizeof(std::int32_t);
}

void BatchSource::gather(Matrix<float> x, Vector<std::int32_t> row, std::int64_t j, int slot,
                         PixelRange range, const Shard& shard) {
    const std::int64_t width = patches_.pixels_per_patch();
    if (!streamed()) {
        // Shards are batches of their own to the gather, as many times more of them an epoch.
        const int shards = options_.sharding.shards;
        BatchPlan plan = plan_;
        plan.batch_size /= shards;
        plan.batches_per_epoch *= shards;
        plan.draw.stride *= static_cast<std::uint32_t>(shards);
        plan.draw.offset = static_cast<std::uint32_t>(j * shards + shard.number);
        backend_.gather_rows(x, row, {resident_, patches_.count, width}, range, plan);
        return;
    }
    const std::int64_t first = j * plan_.batch_size + shard.first;
    const std::uint8_t* memory = slots_[slot].data();
    backend_.gather_rows(x, {}, {memory + first * width, x.rows, width}, range, plan_);
    if (!row.empty()) {
        backend_.copy(row.data,
                      memory + row_numbers_offset() +
                          static_cast<std::size_t>(first) * sizeof(std::int32_t),
                      static_cast<std::size_t>(x.rows) * sizeof(std::int32_t));
    }
}

void BatchSource::stage(std::uint64_t iteration, int slot) {
    backend_.wait_until_staged(slot);
    const auto width = static_cast<std::size_t>(patches_.pixels_per_patch());
    auto* pixels = static_cast<std::uint8_t*>(staging_[slot]);
    auto* numbers = reinterpret_cast<std::int32_t*>(pixels + row_numbers_offset());
    const auto per_epoch = static_cast<std::uint64_t>(plan_.batches_per_epoch);
    for (std::int64_t j = 0; j < options_.draws_per_iteration; ++j) {
        const std::uint64_t draw =
            iteration * static_cast<std::uint64_t>(options_.draws_per_iteration) +
            static_cast<std::uint64_t>(j);
        const std::int64_t rows = rows_of_draw(draw);
        for (std::int64_t b = first_row_; b < std::min(rows, end_row_); ++b) {
            const auto position =
                static_cast<std::int64_t>(draw % per_epoch) * plan_.batch_size + b;
            const std::int64_t row = patches_.row(
                shuffled_row(plan_.seed, draw / per_epoch, static_cast<std::uint32_t>(position),
                             static_cast<std::uint32_t>(plan_.count)));
            const auto place = static_cast<std::size_t>(j * plan_.batch_size + b);
            std::memcpy(pixels + place * width,
                        patches_.pixels + static_cast<std::size_t>(row) * width, width);
            numbers[place] = static_cast<std::int32_t>(row);
        }
    }
    backend_.stage(slot, slots_[slot].data(), staging_[slot], slot_bytes());
    backend_.await_slot(slot);
}

void BatchSource::release(int slot) {
    backend_.release_slot(slot);
}

} // namespace patchforge
