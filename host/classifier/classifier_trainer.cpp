#include "host/classifier/classifier_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/classifier/classifier_data.h"
#include "host/files/tensor_facts.h"
#include "host/network/named_networks.h"
#include "host/numerics/evenly_spaced.h"

namespace patchforge {

namespace {

constexpr std::int64_t metric_count = 3; // loss, adversarial loss, distance of the logits

// What is drawn for; added to Purpose::augmentation.
constexpr std::uint32_t dihedral_draw = 0;
constexpr std::uint32_t noise_draw = 1;
constexpr std::uint32_t start_draw = 2;
constexpr std::uint32_t stain_draw = 3;
constexpr std::uint32_t translation_draw = 4;
constexpr std::uint32_t cutout_draw = 5;

constexpr std::int64_t statistics_patch_count = 2048;

NetworkShape shape_of(const ClassifierOptions& options, const ClassifierFormat& format) {
    if (options.network.empty()) {
        return multilayer_perceptron(format.pixels(), options.hidden_dims, format.outputs(),
                                     Activation::leaky_relu,
                                     static_cast<float>(options.leaky_slope), true,
                                     static_cast<float>(options.dropout), Activation::identity);
    }
    const Extent in = format.extent();
    const NetworkShape shape =
        option_network("--network", classifier_text(options.network, in, format.outputs()));
    if (shape.inputs() != format.pixels() || (shape.in.plane() > 1 && !(shape.in == in)) ||
        shape.outputs() != format.outputs() ||
        shape.layers.back().activation != Activation::identity) {
        throw std::invalid_argument(fmt::format(
            "--network: reads {} and gives {} numbers; the patches are {} and {} logits are "
            "wanted, without an activation at the end",
            shape.in.text(), shape.outputs(), in.text(), format.outputs()));
    }
    if (shape.heads().size() > 1) {
        throw std::invalid_argument(
            "--network: 'head' before the last layer is for discriminators; a classifier learns "
            "from its last layer alone: take the word out, or the layer with it");
    }
    return shape;
}

// Checked before anything is built on the rows.
const PatchRows& with_labels(const PatchRows& patches, std::int64_t classes) {
    if (patches.labels.empty()) {
        throw std::invalid_argument(
            "--data: has no labels; give patches in class folders or in the "
            "IDC layout");
    }
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        const std::int32_t label = patches.labels[patches.row(i)];
        if (label < 0 || label >= classes) {
            throw std::invalid_argument(fmt::format(
                "--data: patch {} has the label {}, there are {} classes; give a labelled set",
                patches.row(i), label, classes));
        }
    }
    return patches;
}

bool normalises_batches(const NetworkShape& shape) {
    return std::ranges::any_of(shape.layers, [](const LayerShape& layer) {
        return layer.normalisation == Normalisation::batch;
    });
}

// At most `count` of the used rows, evenly spaced.
std::vector<std::uint8_t> spread_patches(PatchRows patches, std::int64_t count) {
    std::vector<std::int32_t> rows;
    for (const std::int64_t i : evenly_spaced(patches.used(), count)) {
        rows.push_back(static_cast<std::int32_t>(patches.row(i)));
    }
    patches.subset = rows;
    return bytes_of(patches);
}

} // namespace

std::vector<float> balanced_class_weights(const PatchRows& patches, std::int64_t classes) {
    std::vector<double> count(static_cast<std::size_t>(classes), 0.0);
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        ++count[patches.labels[patches.row(i)]];
    }
    std::vector<float> weights;
    for (const double patches_of_class : count) {
        weights.push_back(
            static_cast<float>(static_cast<double>(patches.used()) /
                               (static_cast<double>(classes) * std::max(patches_of_class, 1.0))));
    }
    return weights;
}

ClassifierTrainer::ClassifierTrainer(Backend& backend, const ClassifierOptions& options,
                                     const ClassifierFormat& format, const PatchRows& patches,
                                     Placement placement, const Sharding& sharding)
    : backend_(backend), options_(options),
      iterations_(backend, with_labels(patches, format.class_count()),
                  {options.batch_size, false, 1, options.seed, placement, sharding}, metric_count),
      batch_(std::min(iterations_.source().rows_of_draw(0), iterations_.source().rows_of_shard())),
      model_(backend, shape_of(options, format), format),
      optimiser_(model_.network(),
                 {.learning_rate = options.learning_rate,
                  .beta1 = options.beta1,
                  .beta2 = options.beta2,
                  .epsilon = options.adam_epsilon,
                  .weight_decay = options.weight_decay},
                 false),
      pass_(model_.network(), adversarial() ? 2 * batch_ : batch_),
      samples_(backend, (adversarial() ? 2 : 1) * batch_ * format.pixels()), row_(backend, batch_),
      label_(backend, batch_), loss_(backend, 2 * batch_) {
    iterations_.define([this](const IterationPattern& pattern) {
        optimiser_.step(iterations_, pattern.rows.front(), iterations_.count(),
                        [&](std::int64_t rows) { return enqueue_pass(rows, pattern.slot); });
        if (average_) {
            backend_.moving_average(average_->network().state(), model_.network().state(),
                                    {static_cast<float>(options_.ema)});
        }
    });
    optimiser_.schedule_rate(
        options.rates.over(static_cast<std::uint64_t>(batches_per_epoch()), total_steps()));
    model_.network().initialise(options.seed, 2);
    optimiser_.sum_over(sharding, {&model_.network()}, (adversarial() ? 2 : 1) * batch_);
    if (options.ema > 0) {
        average_ = std::make_unique<ClassifierModel>(backend, model_.network().shape(), format);
        average_->network().load_weights(model_.network().weights(), "the averaged network");
        if (normalises_batches(model_.network().shape())) {
            statistics_patches_ = spread_patches(patches, statistics_patch_count);
        }
    }
    if (options.stain_jitter > 0 && format.channels != 3) {
        throw std::invalid_argument(fmt::format(
            "--stain-jitter {}: takes colour pictures, the patches have {} channels; leave it out",
            options.stain_jitter, format.channels));
    }
    if (options.class_weights == ClassWeights::balanced) {
        const std::vector<float> weights = balanced_class_weights(patches, format.class_count());
        class_weight_ = DeviceArray<float>(backend, std::ssize(weights));
        class_weight_.upload(weights.data(), std::ssize(weights));
    }
    if (in_unit_range()) {
        pixels_ = DeviceArray<float>(backend, batch_ * format.pixels());
        scratch_ = DeviceArray<float>(backend, batch_ * format.pixels());
    }
    if (adversarial()) {
        forged_ = DeviceArray<float>(backend, batch_ * format.pixels());
        victim_ =
            std::make_unique<WhiteBoxVictim>(std::vector<const ClassifierModel*>{&model_}, batch_);
    }
}

std::uint64_t ClassifierTrainer::total_steps() const {
    return static_cast<std::uint64_t>(options_.epochs * batches_per_epoch());
}

ClassifierModel& ClassifierTrainer::judged() {
    if (!average_) {
        return model_;
    }
    if (!statistics_patches_.empty()) {
        average_->recompute_statistics(statistics_patches_);
    }
    return *average_;
}

bool ClassifierTrainer::in_unit_range() const {
    return adversarial() || options_.augmentation != Augmentation::none ||
           options_.stain_jitter > 0 || options_.translation > 0 || options_.cutout > 0 ||
           options_.noise > 0;
}

RandomStream ClassifierTrainer::random(std::uint32_t use) const {
    return {options_.seed, static_cast<std::uint32_t>(Purpose::augmentation) + use,
            iterations_.row_count()};
}

void ClassifierTrainer::read_patches(std::int64_t rows, int slot) {
    const ClassifierFormat& format = model_.format();
    const Matrix<float> samples = samples_.matrix(rows, format.pixels());
    const Vector<std::int32_t> row = row_.view().part(0, rows);
    if (!in_unit_range()) {
        iterations_.gather(samples, row, 0, slot, PixelRange::signed_unit);
        return;
    }
    Matrix<float> pixels = pixels_.matrix(rows, format.pixels());
    Matrix<float> scratch = scratch_.matrix(rows, format.pixels());
    const Extent extent = format.extent();
    const bool flips = options_.augmentation == Augmentation::flips;
    const bool moves = options_.translation > 0;
    if (flips != moves) { // each takes the patches to the other place
        std::swap(pixels, scratch);
    }
    iterations_.gather(pixels, row, 0, slot, PixelRange::unit);
    if (flips) {
        backend_.dihedral(scratch, pixels, extent, random(dihedral_draw));
        std::swap(pixels, scratch);
    }
    if (options_.stain_jitter > 0) {
        const auto reach = static_cast<float>(options_.stain_jitter);
        backend_.jitter_stain(pixels, pixels, {reach, reach, PixelRange::unit, random(stain_draw)});
    }
    if (moves || options_.cutout > 0) { // what is left empty is grey
        backend_.affine(pixels.flat(), pixels.flat(), 2, -1);
        if (moves) {
            backend_.translate(scratch, pixels, extent, static_cast<int>(options_.translation),
                               random(translation_draw));
            std::swap(pixels, scratch);
        }
        if (options_.cutout > 0) {
            backend_.cutout(pixels, pixels, extent, static_cast<int>(options_.cutout),
                            random(cutout_draw));
        }
        backend_.affine(pixels.flat(), pixels.flat(), 0.5f, 0.5f);
    }
    if (options_.noise > 0) {
        backend_.fill_normal(scratch.flat(), 0, 1, random(noise_draw));
        backend_.perturb_step(pixels, pixels, scratch, {}, {static_cast<float>(options_.noise)},
                              {0}, StepRule::plain, Ball::none);
    }
    backend_.affine(samples.flat(), pixels.flat(), 2, -1);
}

void ClassifierTrainer::forge(std::int64_t rows) {
    const AdversarialTraining& how = options_.adversarial;
    const std::int64_t width = model_.pixels();
    const Matrix<float> origin = pixels_.matrix(rows, width);
    const Matrix<float> x = forged_.matrix(rows, width);
    const Matrix<float> direction = scratch_.matrix(rows, width);
    const auto epsilon = static_cast<float>(how.epsilon);
    backend_.affine(x.flat(), origin.flat(), 1, 0);
    if (how.method == AdversarialTraining::Method::pgd) {
        backend_.fill_uniform(direction.flat(), -epsilon, epsilon, random(start_draw));
        backend_.perturb_step(x, x, direction, origin, {1}, {epsilon}, StepRule::plain, Ball::linf);
    }
    for (std::int64_t step = 0; step < how.steps; ++step) {
        victim_->gradient(direction, {}, x, label_.view().part(0, rows), {});
        backend_.perturb_step(x, x, direction, origin, {static_cast<float>(how.step_size())},
                              {epsilon}, StepRule::sign, Ball::linf);
    }
    backend_.affine(samples_.matrix(2 * rows, width).row_range(rows, rows).flat(), x.flat(), 2, -1);
}

// Cross-entropy of `rows` rows from `first` on, whose gradient counts `weight` times.
void ClassifierTrainer::enqueue_loss(Matrix<const float> logit, std::int64_t first,
                                     std::int64_t rows, double weight) {
    const Matrix<const float> part = logit.row_range(first, rows);
    const Matrix<float> d_part = pass_.output_gradient().row_range(first, rows);
    const Vector<float> loss = loss_.view().part(first, rows);
    const Vector<const std::int32_t> label = label_.view().part(0, rows);
    const auto scale = static_cast<float>(weight / static_cast<double>(rows));
    if (model_.format().binary_head) {
        backend_.binary_cross_entropy(d_part.flat(), loss, part.flat(), label, class_weight_.view(),
                                      scale);
    } else {
        backend_.softmax_cross_entropy(d_part, loss, part, label, class_weight_.view(), scale);
    }
    backend_.column_mean(iterations_.metrics(first == 0 ? 0 : 1), {loss.data, rows, 1});
}

ShardPass ClassifierTrainer::enqueue_pass(std::int64_t rows, int slot) {
    const StepCount count = iterations_.row_count();
    read_patches(rows, slot);
    backend_.gather_labels(label_.view().part(0, rows), iterations_.source().labels(),
                           row_.view().part(0, rows));
    if (adversarial()) {
        forge(rows);
    }
    const Matrix<float> logit = pass_.forward(
        samples_.matrix(adversarial() ? 2 * rows : rows, model_.pixels()),
        {true, options_.seed, static_cast<std::uint32_t>(Purpose::dropout_classifier), count,
         adversarial() ? 2 : 1}); // clean and adversarial patches are normalised apart
    enqueue_loss(logit, 0, rows, 1);
    if (adversarial()) {
        enqueue_loss(logit, rows, rows, options_.adversarial.weight);
        const Matrix<const float> clean = logit.row_range(0, rows);
        const Matrix<const float> forged = logit.row_range(rows, rows);
        const Vector<float> distance = loss_.view().part(0, rows); // whose losses are averaged
        backend_.row_norms(distance, clean, forged, Norm::l2);
        backend_.column_mean(iterations_.metrics(2), {distance.data, rows, 1});
        if (options_.adversarial.pairing > 0) {
            // The gradient of (lambda / B) sum ||z - z'||^2 by z; by z' it is the opposite.
            const auto k =
                static_cast<float>(2 * options_.adversarial.pairing / static_cast<double>(rows));
            const Matrix<float> d_clean = pass_.output_gradient().row_range(0, rows);
            const Matrix<float> d_forged = pass_.output_gradient().row_range(rows, rows);
            backend_.weighted_sum(d_clean.flat(), d_clean.flat(), 1, clean.flat(), k, forged.flat(),
                                  -k);
            backend_.weighted_sum(d_forged.flat(), d_forged.flat(), 1, clean.flat(), -k,
                                  forged.flat(), k);
        }
    }
    return {&pass_};
}

Matrix<const float> ClassifierTrainer::last_batch() const {
    const std::int64_t rows = iterations_.source().rows_of_draw(step() > 0 ? step() - 1 : 0);
    return samples_.matrix(adversarial() ? 2 * rows : rows, model_.pixels());
}

void ClassifierTrainer::run_to_the_end() {
    while (step() < total_steps()) {
        run(std::min<std::int64_t>(maximum_run, static_cast<std::int64_t>(total_steps() - step())));
    }
}

std::vector<ClassifierStep> ClassifierTrainer::run(std::int64_t count) {
    std::vector<ClassifierStep> steps;
    for (const std::vector<float>& row : iterations_.run(count)) {
        steps.push_back({row[0], row[1], row[2]});
    }
    return steps;
}

std::map<std::string, std::vector<std::byte>> ClassifierTrainer::checkpoint() const {
    const TensorFile weights = model_.weights();
    TensorFile state;
    model_.network().add_moments(state);
    const std::uint64_t step = this->step();
    state.tensors.push_back(make_u64("step", {}, &step));
    std::map<std::string, std::vector<std::byte>> files = {
        {"classifier.safetensors", encode_safetensors(weights.tensors, weights.metadata)},
        {"state.safetensors", encode_safetensors(state.tensors)}};
    if (average_) {
        const TensorFile average = average_->weights();
        files["classifier_ema.safetensors"] = encode_safetensors(average.tensors, average.metadata);
    }
    return files;
}

void ClassifierTrainer::restore(const std::string& folder) {
    const std::string weights_path = folder + "/classifier.safetensors";
    const std::string state_path = folder + "/state.safetensors";
    model_.network().load_weights(read_safetensors(weights_path), weights_path);
    if (average_) {
        const std::string average_path = folder + "/classifier_ema.safetensors";
        average_->network().load_weights(read_safetensors(average_path), average_path);
    }
    TensorFile state = read_safetensors(state_path);
    iterations_.set_step(scalar_u64(state, "step"));
    model_.network().load_moments(state, state_path);
}

} // namespace patchforge
