#include "host/ranks/shard_factors.h"

#include <algorithm>
#include <stdexcept>

namespace patchforge {

namespace {

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
    auto* const operations = dynamic_cast<LinearShardOperations*>(&backend);
    const bool shared = sharding.rank_count() > 1;
    if (!operations ||
        (shared && static_cast<std::int64_t>(bytes_of(all.value)) < bytes_of_pages)) {
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
    return std::unique_ptr<ShardFactors>(new ShardFactors(
        backend, *operations, sharding, std::move(layers), maximum_rows, std::move(memory)));
}

ShardFactors::ShardFactors(Backend& backend, LinearShardOperations& operations,
                           const Sharding& sharding, std::vector<Layer> layers,
                           std::int64_t maximum_rows, std::unique_ptr<SharedMemory> memory)
    : backend_(backend), operations_(operations), own_{sharding.rank(), sharding.rank_count()},
      layers_(std::move(layers)), maximum_rows_(maximum_rows),
      memory_(std::move(memory)), offsets_{0} {
    for (const Layer& layer : layers_) {
        offsets_.push_back(offsets_.back() + factors_of(layer, maximum_rows));
    }
}

ShardFactors::Factors ShardFactors::factors(std::size_t shard, std::size_t layer) const {
    std::byte* const rows = memory_->data() + shard * offsets_.back() + offsets_[layer];
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
    const Factors kept = factors(static_cast<std::size_t>(shard), static_cast<std::size_t>(layer));
    *kept.rows = dz.rows;
    backend_.copy(kept.dz, dz.data, static_cast<std::size_t>(dz.size()) * sizeof(float));
    backend_.copy(kept.x, x.data, static_cast<std::size_t>(x.size()) * sizeof(float));
}

void ShardFactors::update(const std::vector<double>& shares, float weight_decay, const Adam& adam) {
    memory_->meet(); // all factors are there, and nobody reads the weights any more
    std::vector<LinearShard> shards(shares.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) {
        const Layer& layer = layers_[l];
        if (layer.weight.value.empty()) {
            continue;
        }
        for (std::size_t s = 0; s < shares.size(); ++s) {
            const Factors kept = factors(s, l);
            shards[s] = {{kept.dz, *kept.rows, layer.outputs},
                         {kept.x, *kept.rows, layer.inputs},
                         static_cast<float>(shares[s])};
        }
        operations_.linear_shards_adam(layer.weight, layer.bias, shards, weight_decay, own_, adam);
    }
    memory_->meet(); // all weights are new
}

} // namespace patchforge
