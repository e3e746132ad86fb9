#include "host/ranks/shard_factors.h"

#include <algorithm>
#include <stdexcept>

namespace patchforge {

namespace {

// About 768 KiB: two or three of them, with the weights and moments of one, lie in the cache behind the first level,
// and the input of a layer is laid out anew for each of few blocks.
constexpr std::int64_t numbers_of_block = 192 << 10;
constexpr std::int64_t outputs_of_tile = 8; // of the kernel that multiplies factors

// What CpuBackend::allocate gives from here on are pages of their own.
constexpr std::int64_t bytes_of_pages = 2 << 20;

constexpr std::size_t line = 64; // bytes

std::size_t whole_lines(std::size_t bytes) {
    return (bytes + line - 1) / line * line;
}

std::size_t floats(std::int64_t count) {
    return whole_lines(static_cast<std::size_t>(count) * sizeof(float));
}

std::size_t bytes_of(const Vector<float>& numbers) {
    return static_cast<std::size_t>(numbers.size) * sizeof(float);
}

std::size_t factors_of(const ShardFactors::Layer& layer, std::int64_t rows) {
    return line + floats(rows * layer.outputs) + floats(rows * layer.inputs);
}

} // namespace

std::unique_ptr<ShardFactors> ShardFactors::make(Backend& backend, const Sharding& sharding,
                                                 const AdamTensor& all, std::vector<Layer> layers,
                                                 std::int64_t maximum_rows) {
    const bool shared = sharding.rank_count() > 1;
    if (shared && static_cast<std::int64_t>(bytes_of(all.value)) < bytes_of_pages) {
        return nullptr;
    }
    std::size_t of_shard = 0;
    for (const Layer& layer : layers) {
        of_shard += factors_of(layer, maximum_rows);
    }
    const std::size_t factors =
        SharedMemory::whole_pages(of_shard * static_cast<std::size_t>(sharding.shards));
    const std::size_t state = SharedMemory::whole_pages(bytes_of(all.value));
    auto memory = SharedMemory::make(sharding.ranks, factors + (shared ? 3 * state : 0));
    if (!memory) {
        return nullptr;
    }
    std::size_t first = factors;
    for (const Vector<float>& part : {all.value, all.first_moment, all.second_moment}) {
        if (shared) {
            memory->replace(part.data, bytes_of(part), first);
            first += state;
        }
    }
    return std::unique_ptr<ShardFactors>(new ShardFactors(backend, sharding, all, std::move(layers),
                                                          maximum_rows, std::move(memory)));
}

ShardFactors::ShardFactors(Backend& backend, const Sharding& sharding, const AdamTensor& all,
                           std::vector<Layer> layers, std::int64_t maximum_rows,
                           std::unique_ptr<SharedMemory> memory)
    : backend_(backend), layers_(std::move(layers)), all_(all.value.data),
      maximum_rows_(maximum_rows), tree_(sharding.shards, 1),
      memory_(std::move(memory)), offsets_{0}, blocks_(blocks_of(sharding)) {
    std::int64_t outputs = 0;
    for (const Layer& layer : layers_) {
        offsets_.push_back(offsets_.back() + factors_of(layer, maximum_rows));
    }
    for (const Block& block : blocks_) {
        outputs = std::max(outputs, block.count);
        slot_size_ = std::max(slot_size_, block.count * (layers_[block.layer].inputs + 1));
    }
    slots_ = DeviceArray<float>(backend, tree_.slots(0) * slot_size_);
    dz_ = DeviceArray<float>(backend, maximum_rows * outputs);
}

std::vector<ShardFactors::Block> ShardFactors::blocks_of(const Sharding& sharding) const {
    std::vector<Block> all;
    std::int64_t numbers = 0;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
        const Layer& layer = layers_[l];
        const std::int64_t most =
            std::max<std::int64_t>(numbers_of_block / layer.inputs / outputs_of_tile, 1) *
            outputs_of_tile;
        for (std::int64_t first = 0; first < layer.outputs && !layer.weight.empty();
             first += most) {
            all.push_back({l, first, std::min(most, layer.outputs - first)});
        }
        numbers += layer.weight.size;
    }
    // Each rank takes neighbours, of about as many numbers.
    std::vector<Block> mine;
    std::int64_t before = 0;
    for (const Block& block : all) {
        const std::int64_t size = block.count * layers_[block.layer].inputs;
        if ((before + size / 2) * sharding.rank_count() / numbers == sharding.rank()) {
            mine.push_back(block);
        }
        before += size;
    }
    return mine;
}

ShardFactors::Factors ShardFactors::factors(int shard, std::size_t layer) const {
    std::byte* const rows =
        memory_->data() + static_cast<std::size_t>(shard) * offsets_.back() + offsets_[layer];
    std::byte* const dz = rows + line;
    std::byte* const x = dz + floats(maximum_rows_ * layers_[layer].outputs);
    return {reinterpret_cast<std::int64_t*>(rows), reinterpret_cast<float*>(dz),
            reinterpret_cast<float*>(x)};
}

void ShardFactors::put(int shard, std::int64_t layer, Matrix<const float> dz,
                       Matrix<const float> x) {
    if (dz.rows > maximum_rows_) {
        throw std::logic_error("ShardFactors: more rows than it has room for");
    }
    const Factors kept = factors(shard, static_cast<std::size_t>(layer));
    *kept.rows = dz.rows;
    backend_.copy(kept.dz, dz.data, static_cast<std::size_t>(dz.size()) * sizeof(float));
    backend_.copy(kept.x, x.data, static_cast<std::size_t>(x.size()) * sizeof(float));
}

void ShardFactors::update(
    const std::vector<double>& shares,
    const std::function<void(std::int64_t first, Vector<float> gradient)>& update) {
    const ShardTree::Plan plan = tree_.plan(0, static_cast<int>(shares.size()));
    memory_->meet(); // all factors are there, and nobody reads the weights any more
    for (const Block& block : blocks_) {
        const Layer& layer = layers_[block.layer];
        const std::int64_t weights = block.count * layer.inputs;
        const std::int64_t biases = layer.bias.empty() ? 0 : block.count;
        const auto slot = [&](int number) {
            return slots_.view().part(number * slot_size_, weights + biases);
        };
        for (const ShardTree::Leaf& leaf : plan.leaves) {
            const Factors kept = factors(leaf.shard, block.layer);
            const Matrix<float> dz = dz_.matrix(*kept.rows, block.count);
            backend_.copy_columns(dz, 0, {kept.dz, *kept.rows, layer.outputs}, block.first,
                                  block.count);
            const Vector<float> gradient = slot(leaf.slot);
            backend_.linear_weight_gradient({gradient.data, block.count, layer.inputs},
                                            gradient.part(weights, biases), dz,
                                            {kept.x, *kept.rows, layer.inputs}, false);
            const double share = shares[static_cast<std::size_t>(leaf.shard)];
            if (share != 1) {
                backend_.affine(gradient, gradient, static_cast<float>(share), 0);
            }
            for (const ShardTree::Addition& sum : leaf.additions) {
                backend_.weighted_sum(slot(sum.into), slot(sum.into), 1, slot(sum.from), 1, {}, 0);
            }
        }
        update(layer.weight.data - all_ + block.first * layer.inputs, slot(0).part(0, weights));
        if (biases > 0) {
            update(layer.bias.data - all_ + block.first, slot(0).part(weights, biases));
        }
    }
    memory_->meet(); // all weights are new
}

} // namespace patchforge
