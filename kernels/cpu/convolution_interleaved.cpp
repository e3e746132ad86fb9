// Windows over pictures that are interleaved, as many as a vector has lanes: each position of a map is a
// vector, with the taps that reach it (kernels/cpu/window_layout.h).
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace patchforge {
namespace {

// Where units are cut, into at most so many tasks each.
constexpr std::int64_t tasks_of_unit = 8;
// Of maps, to be read from a second-level cache by all tiles one after the other: 512 KiB.
constexpr std::int64_t numbers_of_block = 1 << 17;
// Of maps that each thread lays out for itself: 4 MiB.
constexpr std::int64_t most_own_maps = 1 << 20;

} // namespace

// A block of channels that a cache holds meets all tiles of the result before the next one does.
void CpuBackend::move_interleaved(const WindowPlan& plan, Matrix<float> out, const float* from,
                                  const WindowWeights& weights, const float* bias,
                                  const WindowFinish& finish) {
    const WindowLayout& layout = plan.layout;
    const bool grouped = plan.depth < layout.from.channels;
    const std::int64_t units = pieces(out.rows, layout.lanes);
    const std::int64_t inputs = layout.from.channels, outputs = layout.to.channels;
    const std::int64_t tile = plan.tile;
    const std::int64_t tiles = pieces(outputs, tile);
    const std::int64_t most_of_block =
        grouped ? inputs : std::clamp<std::int64_t>(numbers_of_block / layout.channel(), 1, inputs);
    const std::int64_t blocks = pieces(inputs, most_of_block);

    const auto of_unit = [&](auto* map, std::int64_t unit, const Extent& extent,
                             std::int64_t channel) {
        const std::int64_t first = unit * layout.lanes;
        return ChannelOf<std::remove_reference_t<decltype(*map)>>{
            map + first * extent.size() + channel * extent.plane(), extent.size(),
            std::min<std::int64_t>(layout.lanes, out.rows - first)};
    };
    // maps, sums: of the block, of the tile.
    const auto multiply = [&](const float* maps, float* sums, const Share& block,
                              const Share& of_tile) {
        for (const WindowPlan::Part& patch : plan.parts) {
            WindowSums of_patch = {
                .out = sums + patch.of_class * plan.class_of_sums,
                .out_stride = plan.channel_of_sums,
                .x = maps + (grouped ? of_tile.first * layout.channel() : 0),
                .channel_stride = layout.channel(),
                .weight = weights.of(of_tile) + (grouped ? 0 : block.first * patch.weight_channel),
                .weight_stride = weights.row,
                .weight_channel_stride = patch.weight_channel,
                .channels = grouped ? 1 : block.count,
                .start = bias ? bias + of_tile.first : nullptr,
                .rows = of_tile.count,
                .count = static_cast<std::int64_t>(patch.place.size()),
                .place = patch.place.data(),
                .accumulate = block.number > 0,
            };
            patch.steps.put_into(of_patch);
            vector_.window_sums(of_patch);
        }
    };
    const auto take = [&](const float* sums, std::int64_t unit, const Share& of_tile) {
        for (std::int64_t r = 0; r < of_tile.count; ++r) {
            const std::int64_t channel = of_tile.first + r;
            const auto to = of_unit(out.data, unit, layout.to, channel);
            plan.maps.take_result(to, sums + r * plan.channel_of_sums, 0, layout.lines);
            for (std::int64_t picture = 0; picture < to.pictures; ++picture) {
                finish(unit * layout.lanes + picture, channel, 0, layout.to.plane());
            }
        }
    };
    // Tiles from `first` on, with the sums of all of them where blocks come one after the other.
    const auto work_on = [&](std::int64_t unit, std::int64_t first, std::int64_t end, float* sums,
                             const auto& maps_of) {
        const std::int64_t first_channel = Share(outputs, tile, first).first;
        for (std::int64_t b = 0; b < blocks; ++b) {
            const Share block(inputs, most_of_block, b);
            const float* const maps = maps_of(block);
            for (std::int64_t t = first; t < end; ++t) {
                const Share of_tile(outputs, tile, t);
                float* const of_sums =
                    sums +
                    (blocks > 1 ? (of_tile.first - first_channel) * plan.channel_of_sums : 0);
                multiply(maps, of_sums, block, of_tile);
                if (b + 1 == blocks) {
                    take(of_sums, unit, of_tile);
                }
            }
        }
    };
    const auto lay_out = [&](float* maps, std::int64_t unit, std::int64_t channel) {
        plan.maps.lay_out(maps, of_unit(from, unit, layout.from, channel));
    };

    if (units >= tasks_by_unit_from) {
        const std::int64_t of_block = most_of_block * layout.channel();
        pool_.parallel_for(units, [&](std::int64_t unit) {
            float* const maps =
                thread_scratch(of_block + (blocks > 1 ? outputs : tile) * plan.channel_of_sums);
            work_on(unit, 0, tiles, maps + of_block, [&](const Share& block) {
                for (std::int64_t i = 0; i < block.count; ++i) {
                    lay_out(maps + i * layout.channel(), unit, block.first + i);
                }
                return maps;
            });
        });
        return;
    }
    const std::int64_t tasks = std::min(tiles, tasks_of_unit);
    const std::int64_t sums_of_task =
        (blocks > 1 ? pieces(tiles, tasks) : 1) * tile * plan.channel_of_sums;
    const auto for_tasks = [&](const auto& body) { // body(unit, its tiles from, to)
        pool_.parallel_for(units * tasks, [&](std::int64_t task) {
            const std::int64_t part = task % tasks;
            body(task / tasks, tiles * part / tasks, tiles * (part + 1) / tasks);
        });
    };
    if (layout.size() <= most_own_maps && plan.worth_own_maps) {
        const ScratchOwner owner;
        for_tasks([&](std::int64_t unit, std::int64_t first, std::int64_t end) {
            float* const maps = thread_scratch(layout.size() + sums_of_task);
            if (!owner.takes(unit)) {
                for (std::int64_t i = 0; i < inputs; ++i) {
                    lay_out(maps + i * layout.channel(), unit, i);
                }
            }
            work_on(unit, first, end, maps + layout.size(),
                    [&](const Share& block) { return maps + block.first * layout.channel(); });
        });
        return;
    }
    float* const all = window_maps_.at_least(units * layout.size());
    pool_.parallel_for(units * inputs, [&](std::int64_t task) {
        lay_out(all + task * layout.channel(), task / inputs, task % inputs);
    });
    for_tasks([&](std::int64_t unit, std::int64_t first, std::int64_t end) {
        work_on(unit, first, end, thread_scratch(sums_of_task), [&](const Share& block) {
            return all + unit * layout.size() + block.first * layout.channel();
        });
    });
}

} // namespace patchforge
