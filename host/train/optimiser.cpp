#include "host/train/optimiser.h"

#include <array>
#include <stdexcept>

namespace patchforge {

namespace {

// What the passes of a step move beside the parameters. Vectors of spectral normalisation are the same
// whatever the shard, as they come from the weights alone.
std::array<Vector<float>, 2> moved_by_passes(const Network& network) {
    const std::int64_t trained = network.all().value.size;
    return {network.state().part(trained, network.state().size - trained),
            network.singular_vectors()};
}

std::vector<ShardFactors::Layer> linear_layers(const Network& network) {
    const auto tensor = [&](Vector<float> values) {
        return values.empty()
                   ? AdamTensor{}
                   : network.all().part(values.data - network.all().value.data, values.size);
    };
    std::vector<ShardFactors::Layer> layers;
    for (std::int64_t l = 0; l < network.layer_count(); ++l) {
        const Matrix<float> weight = network.weight(l);
        layers.push_back({{}, {}, weight.rows, weight.columns});
        if (network.shape().layers[static_cast<std::size_t>(l)].trained) {
            layers.back().weight = tensor(weight.flat());
            layers.back().bias = tensor(network.bias(l));
        }
    }
    return layers;
}

} // namespace

Optimiser::Optimiser(Network& network, const OptimiserOptions& options, bool adds_terms)
    : network_(network), options_(options), adds_terms_(adds_terms) {
    const std::int64_t size = network.all().value.size;
    if (adds_terms || options.history > 0 || options.weight_decay > 0) {
        gradients_ = DeviceArray<float>(network.backend(), size);
    }
    if (options.history > 0) {
        mean_ = DeviceArray<float>(network.backend(), size);
    }
}

void Optimiser::sum_over(const Sharding& sharding, std::vector<Network*> running,
                         std::int64_t maximum_rows) {
    if (!sharding.cut()) {
        return;
    }
    running_ = std::move(running);
    gradients_ = {};
    std::int64_t statistics = 0;
    for (const Network* one : running_) {
        for (const Vector<float> moved : moved_by_passes(*one)) {
            statistics += moved.size;
        }
    }
    Backend& backend = network_.backend();
    // A historical average is a state that ranks do not share.
    if (statistics == 0 && !adds_terms_ && options_.history == 0 && network_.plain_chain() &&
        backend.reads_host_memory()) {
        if (sharding.rank_count() > 1) {
            agree_on_devices(backend, *sharding.ranks);
        }
        factors_ = ShardFactors::make(backend, sharding, network_.all(), linear_layers(network_),
                                      maximum_rows);
        if (factors_) {
            return;
        }
    }
    statistics_ = DeviceArray<float>(backend, statistics);
    sum_ = std::make_unique<ShardSum>(backend, sharding, network_.all().value.size + statistics);
}

Adam Optimiser::adam(StepCount count) const {
    Adam adam;
    adam.learning_rate = static_cast<float>(options_.learning_rate);
    adam.beta1 = static_cast<float>(options_.beta1);
    adam.beta2 = static_cast<float>(options_.beta2);
    adam.epsilon = static_cast<float>(options_.epsilon);
    adam.clip = static_cast<float>(options_.clip);
    adam.step = count;
    adam.schedule = options_.schedule;
    return adam;
}

void Optimiser::step(Iterations& iterations, std::int64_t rows, StepCount count,
                     const std::function<ShardPass(std::int64_t rows)>& of_shard) {
    if (factors_) {
        step_of_factors(iterations, rows, count, of_shard);
    } else if (sum_) {
        sum_shards(iterations, rows, of_shard);
        update(sum_->total().part(0, network_.all().value.size), count);
    } else {
        step(of_shard(rows), count);
    }
}

void Optimiser::step(const ShardPass& whole, StepCount count) {
    if (fused()) {
        whole.pass->backward_update(network_, adam(count));
        return;
    }
    whole.pass->backward_gradients(gradients_.view(), false);
    if (whole.terms) {
        whole.terms(gradients_.view());
    }
    update(gradients_.view(), count);
}

void Optimiser::step_of_factors(Iterations& iterations, std::int64_t rows, StepCount count,
                                const std::function<ShardPass(std::int64_t rows)>& of_shard) {
    for (const Shard& shard : iterations.shards(rows)) {
        iterations.enter(shard);
        Trace& pass = *of_shard(shard.rows).pass;
        std::int64_t layer = network_.layer_count();
        pass.backward_gradients({}, false, {}, {}, [&](std::int64_t) {
            --layer; // of a chain, from the last one on
            const Matrix<const float> x =
                layer > 0 ? Matrix<const float>(pass.output(layer - 1)) : pass.input();
            factors_->put(shard.number, layer, pass.gradient(layer), x);
        });
    }
    std::vector<double> shares;
    for (const Shard& shard : filled_shards(rows, iterations.source().rows_of_shard())) {
        shares.push_back(shard.share);
    }
    factors_->update(shares, static_cast<float>(options_.weight_decay), adam(count));
}

void Optimiser::sum_shards(Iterations& iterations, std::int64_t rows,
                           const std::function<ShardPass(std::int64_t rows)>& of_shard) {
    const std::int64_t size = network_.all().value.size;
    const std::int64_t statistics = statistics_.size();
    copy_statistics(statistics_.view(), Direction::save);
    sum_->begin(static_cast<int>(filled_shards(rows, iterations.source().rows_of_shard()).size()));
    for (const Shard& shard : iterations.shards(rows)) {
        iterations.enter(shard);
        copy_statistics(statistics_.view(), Direction::restore);
        const ShardPass one = of_shard(shard.rows);
        const Vector<float> numbers = sum_->of(shard);
        const Vector<float> gradients = numbers.part(0, size);
        copy_statistics(numbers.part(size, statistics), Direction::save);
        if (one.terms) {
            one.pass->backward_gradients(gradients, false);
            one.terms(gradients);
        } else {
            sum_->add(shard, size);
            one.pass->backward_gradients(gradients, false, {}, {},
                                         [&](std::int64_t first) { sum_->add(shard, first); });
        }
        sum_->add(shard);
    }
    copy_statistics(sum_->total().part(size, statistics), Direction::restore);
}

void Optimiser::step_together(const std::vector<Optimiser*>& all, Iterations& iterations,
                              std::int64_t rows, StepCount count,
                              const std::function<void()>& of_shard) {
    const auto filled = filled_shards(rows, iterations.source().rows_of_shard()).size();
    for (Optimiser* one : all) {
        if (one->statistics_.size() > 0) {
            throw std::logic_error("step_together: a network with running statistics");
        }
        if (one->sum_) {
            one->sum_->begin(static_cast<int>(filled));
        }
    }
    for (const Shard& shard : iterations.shards(rows)) {
        iterations.enter(shard);
        of_shard();
        for (Optimiser* one : all) {
            if (one->sum_) {
                one->sum_->add(shard);
            }
        }
    }
    for (Optimiser* one : all) {
        one->update(one->sum_ ? one->sum_->total() : one->gradients_.view(), count);
    }
}

Vector<float> Optimiser::gradients(const Shard& shard) {
    return sum_ ? sum_->of(shard) : gradients_.view();
}

void Optimiser::copy_statistics(Vector<float> saved, Direction direction) {
    std::int64_t first = 0;
    for (const Network* network : running_) {
        for (const Vector<float> own : moved_by_passes(*network)) {
            const Vector<float> kept = saved.part(first, own.size);
            first += own.size;
            if (own.size > 0) {
                const bool save = direction == Direction::save;
                network_.backend().copy(save ? kept.data : own.data, save ? own.data : kept.data,
                                        static_cast<std::size_t>(own.size) * sizeof(float));
            }
        }
    }
}

void Optimiser::update(Vector<float> gradients, StepCount count) {
    Backend& backend = network_.backend();
    const AdamTensor all = network_.all();
    if (options_.weight_decay > 0) {
        backend.weighted_sum(gradients, gradients, 1, all.value,
                             static_cast<float>(options_.weight_decay), {}, 0);
    }
    if (mean_.size() > 0) {
        const auto twice = static_cast<float>(2 * options_.history);
        backend.running_mean(mean_.view(), all.value, count);
        backend.weighted_sum(gradients, gradients, 1, all.value, twice, mean_.view(), -twice);
    }
    backend.adam(all, gradients, adam(count));
}

} // namespace patchforge
