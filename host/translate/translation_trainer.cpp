#include "host/translate/translation_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/translate/translate_networks.h"

namespace patchforge {

TranslationTrainer::TranslationTrainer(Backend& backend, const TranslateOptions& options,
                                       const PatchRows& patches, Placement placement,
                                       const Sharding& sharding,
                                       std::vector<std::string> metric_names, bool drop_last,
                                       std::int64_t draws_per_iteration)
    : backend_(backend), options_(options), metric_names_(std::move(metric_names)),
      iterations_(
          backend, patches,
          {options.batch_size, drop_last, draws_per_iteration, options.seed, placement, sharding},
          std::ssize(metric_names_)),
      batch_(std::min(iterations_.source().rows_of_draw(0), iterations_.source().rows_of_shard())),
      total_steps_(options.epochs > 0
                       ? static_cast<std::uint64_t>(options.epochs) * iterations_.per_epoch()
                       : static_cast<std::uint64_t>(options.steps)) {
    iterations_.define([this](const IterationPattern& pattern) { enqueue(pattern); });
}

TranslationTrainer::Player& TranslationTrainer::add_player(const std::string& name,
                                                           NetworkShape shape, bool adds_terms,
                                                           std::int64_t steps, double rate) {
    const auto number = static_cast<std::uint32_t>(players_.size());
    Player& player = players_.emplace_back(
        name, backend_, std::move(shape),
        OptimiserOptions{.learning_rate = rate > 0 ? rate : options_.learning_rate,
                         .beta1 = options_.beta1,
                         .beta2 = options_.beta2,
                         .epsilon = options_.adam_epsilon},
        adds_terms);
    initialise_translation(player.network, options_, number);
    const auto each = static_cast<std::uint64_t>(steps);
    player.optimiser.schedule_rate(
        options_.rates.over(each * iterations_.per_epoch(), each * total_steps_));
    return player;
}

void TranslationTrainer::sum_over_shards() {
    std::vector<Network*> networks;
    for (Player& player : players_) {
        networks.push_back(&player.network);
    }
    for (Player& player : players_) {
        player.optimiser.sum_over(iterations_.sharding(), networks, 2 * batch_);
    }
}

std::vector<std::vector<double>> TranslationTrainer::run(std::int64_t count) {
    std::vector<std::vector<double>> all;
    for (const std::vector<float>& row : iterations_.run(count)) {
        all.emplace_back(row.begin(), row.end());
    }
    return all;
}

std::map<std::string, const Network*> TranslationTrainer::networks() const {
    std::map<std::string, const Network*> networks;
    for (const Player& player : players_) {
        networks[player.name] = &player.network;
    }
    return networks;
}

Network& TranslationTrainer::network(const std::string& name) {
    for (Player& player : players_) {
        if (player.name == name) {
            return player.network;
        }
    }
    throw std::logic_error("TranslationTrainer: no network " + name);
}

void TranslationTrainer::augment(Matrix<float> y, Matrix<const float> x, Extent extent,
                                 std::uint32_t draw, std::uint32_t draws) {
    if (options_.flips) {
        backend_.dihedral(y, x, extent,
                          {options_.seed, static_cast<std::uint32_t>(Purpose::augmentation),
                           iterations_.row_count(draws, draw)});
    } else {
        backend_.copy(y.data, x.data, static_cast<std::size_t>(y.size()) * sizeof(float));
    }
}

void TranslationTrainer::l1_term(Matrix<float> d, Vector<float> metric, Matrix<const float> a,
                                 Matrix<const float> b, double weight, DeviceArray<float>& rows) {
    const Matrix<float> distances = rows.matrix(a.rows, 1);
    backend_.row_norms(distances.flat(), a, b, Norm::l1);
    backend_.column_mean(metric, distances);
    backend_.affine(metric, metric, 1.0f / static_cast<float>(a.columns), 0);
    backend_.add_l1_gradient(d.flat(), a.flat(), b.flat(),
                             static_cast<float>(weight / static_cast<double>(a.size())));
}

void TranslationTrainer::discriminator_loss(Matrix<float> d_logit, Vector<float> metrics,
                                            Matrix<const float> logit) {
    const GanLoss loss = options_.least_squares ? GanLoss::least_squares : GanLoss::non_saturating;
    backend_.discriminator_loss(d_logit.flat(), metrics, logit.flat(),
                                logit.rows / 2 * logit.columns, loss, 1);
    if (!options_.least_squares) { // least squares have their half within
        backend_.affine(d_logit.flat(), d_logit.flat(), 0.5f, 0);
        backend_.affine(metrics.part(0, 2), metrics.part(0, 2), 0.5f, 0);
    }
}

void TranslationTrainer::generator_loss(Matrix<float> d_logit, Vector<float> metrics,
                                        Matrix<const float> logit, double weight) {
    const GanLoss loss = options_.least_squares ? GanLoss::least_squares : GanLoss::non_saturating;
    backend_.generator_loss(d_logit.flat(), metrics, logit.flat(), loss);
    const double whole = options_.least_squares ? 2 : 1;
    if (whole * weight != 1) {
        backend_.affine(d_logit.flat(), d_logit.flat(), static_cast<float>(whole * weight), 0);
    }
    if (whole != 1) {
        const Vector<float> value = metrics.part(GeneratorMetrics::loss, 1);
        backend_.affine(value, value, static_cast<float>(whole), 0);
    }
}

CheckpointFiles TranslationTrainer::checkpoint() const {
    TensorFile state;
    CheckpointFiles files;
    for (const Player& player : players_) {
        player.network.add_moments(state, player.name + ".");
        const TensorFile weights = player.network.weights();
        files[player.name + ".safetensors"] = encode_safetensors(weights.tensors, weights.metadata);
    }
    for (const auto& [name, kept] : kept_) {
        std::vector<float> host(static_cast<std::size_t>(kept->size()));
        kept->download(host.data(), kept->size());
        state.tensors.push_back(make_f32(name, {kept->size()}, host.data()));
    }
    const std::uint64_t step = this->step();
    state.tensors.push_back(make_u64("step", {}, &step));
    files["state.safetensors"] = encode_safetensors(state.tensors, state.metadata);
    return files;
}

void TranslationTrainer::restore(const std::filesystem::path& folder) {
    const std::string state_path = (folder / "state.safetensors").string();
    const TensorFile state = read_safetensors(state_path);
    for (Player& player : players_) {
        const std::string weights = (folder / (player.name + ".safetensors")).string();
        player.network.load_weights(read_safetensors(weights), weights);
        player.network.load_moments(state, state_path, player.name + ".");
    }
    for (const auto& [name, kept] : kept_) {
        const std::span<const float> values = f32(state.at(name));
        if (std::ssize(values) != kept->size()) {
            throw std::runtime_error(
                fmt::format("{}: tensor {} has the wrong size; resume from another checkpoint",
                            state_path, name));
        }
        kept->upload(values.data(), kept->size());
    }
    iterations_.set_step(scalar_u64(state, "step"));
}

} // namespace patchforge
