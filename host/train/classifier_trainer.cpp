#include "host/train/classifier_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

NetworkShape shape_of(const ClassifierOptions& options, const ClassifierFormat& format) {
    return multilayer_perceptron(format.pixels(), options.hidden_dims, format.outputs(),
                                 Activation::leaky_relu, static_cast<float>(options.leaky_slope), true,
                                 static_cast<float>(options.dropout), Activation::identity);
}

// Checked before anything is built on the rows.
const PatchRows& with_labels(const PatchRows& patches, std::int64_t classes) {
    if (patches.labels.empty()) {
        throw std::invalid_argument("--data: has no labels; give patches in class folders or in the "
                                    "IDC layout");
    }
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        const std::int32_t label = patches.labels[static_cast<std::size_t>(patches.row(i))];
        if (label < 0 || label >= classes) {
            throw std::invalid_argument(fmt::format(
                "--data: patch {} has the label {}, there are {} classes; give a labelled set",
                patches.row(i), label, classes));
        }
    }
    return patches;
}

} // namespace

std::vector<float> balanced_class_weights(const PatchRows& patches, std::int64_t classes) {
    std::vector<double> count(static_cast<std::size_t>(classes), 0.0);
    for (std::int64_t i = 0; i < patches.used(); ++i) {
        ++count[static_cast<std::size_t>(patches.labels[static_cast<std::size_t>(patches.row(i))])];
    }
    std::vector<float> weights;
    for (const double patches_of_class : count) {
        weights.push_back(static_cast<float>(static_cast<double>(patches.used()) /
                                             (static_cast<double>(classes) *
                                              std::max(patches_of_class, 1.0))));
    }
    return weights;
}

ClassifierTrainer::ClassifierTrainer(Backend& backend, const ClassifierOptions& options,
                                     const ClassifierFormat& format, const PatchRows& patches,
                                     Placement placement)
    : backend_(backend), options_(options), device_step_(backend, 1),
      source_(std::make_unique<BatchSource>(
          backend, with_labels(patches, format.class_count()),
          BatchOptions{options.batch_size, false, 1, options.seed, placement}, device_step_.data())),
      model_(backend, shape_of(options, format), format),
      pass_(model_.network(), source_->rows_of_draw(0)),
      samples_(backend, source_->rows_of_draw(0) * format.pixels()),
      row_(backend, source_->rows_of_draw(0)), label_(backend, source_->rows_of_draw(0)),
      loss_(backend, source_->rows_of_draw(0)), mean_loss_(backend, 1),
      history_(backend, maximum_run) {
    model_.network().initialise(options.seed, 2);
    if (options.class_weights == ClassWeights::balanced) {
        const std::vector<float> weights = balanced_class_weights(patches, format.class_count());
        class_weight_ = DeviceArray<float>(backend, std::ssize(weights));
        class_weight_.upload(weights.data(), std::ssize(weights));
    }
}

std::uint64_t ClassifierTrainer::total_steps() const {
    return static_cast<std::uint64_t>(options_.epochs * source_->batches_per_epoch());
}

void ClassifierTrainer::enqueue_iteration(std::int64_t rows, int slot) {
    const StepCount count{device_step_.data(), 1, 0};
    const ClassifierFormat& format = model_.format();
    const Matrix<float> samples = samples_.matrix(rows, format.pixels());
    const Vector<std::int32_t> row = row_.view().part(0, rows);
    const Vector<std::int32_t> label = label_.view().part(0, rows);
    const Vector<float> loss = loss_.view().part(0, rows);
    source_->gather(samples, row, 0, slot, PixelRange::signed_unit);
    backend_.gather_labels(label, source_->labels(), row);
    const Matrix<float> logit = pass_.forward(
        samples,
        {true, options_.seed, static_cast<std::uint32_t>(Purpose::dropout_classifier), count});
    const float scale = 1.0f / static_cast<float>(rows);
    if (format.binary_head) {
        backend_.binary_cross_entropy(pass_.output_gradient().flat(), loss, logit.flat(), label,
                                      class_weight_.view(), scale);
    } else {
        backend_.softmax_cross_entropy(pass_.output_gradient(), loss, logit, label,
                                       class_weight_.view(), scale);
    }
    Adam adam;
    adam.learning_rate = static_cast<float>(options_.learning_rate);
    adam.beta1 = static_cast<float>(options_.beta1);
    adam.beta2 = static_cast<float>(options_.beta2);
    adam.epsilon = static_cast<float>(options_.adam_epsilon);
    adam.step = count;
    pass_.backward_update(model_.network(), adam);
    backend_.column_mean(mean_loss_.view(), {loss.data, rows, 1});
    backend_.finish_iteration(device_step_.data(), history_.matrix(maximum_run, 1),
                              mean_loss_.view());
}

std::vector<double> ClassifierTrainer::run(std::int64_t count) {
    if (count < 1 || count > maximum_run) {
        throw std::invalid_argument(fmt::format("ClassifierTrainer::run: {} iterations; give 1 to {}",
                                                count, maximum_run));
    }
    const std::uint64_t first = step_;
    for (std::int64_t i = 0; i < count; ++i, ++step_) {
        const int slot = source_->streamed() ? static_cast<int>(step_ % 2) : 0;
        const std::int64_t rows = source_->rows_of_draw(step_);
        std::unique_ptr<Recording>& recording = recordings_[{rows, slot}];
        if (!recording) {
            recording = backend_.record([this, rows, slot] { enqueue_iteration(rows, slot); });
        }
        if (source_->streamed()) {
            source_->stage(step_, slot);
            recording->replay();
            source_->release(slot);
        } else {
            recording->replay();
        }
    }
    std::vector<float> history(static_cast<std::size_t>(maximum_run));
    history_.download(history.data(), maximum_run);
    std::vector<double> losses;
    for (std::uint64_t step = first; step < step_; ++step) {
        losses.push_back(history[static_cast<std::size_t>(step % maximum_run)]);
    }
    return losses;
}

std::map<std::string, std::vector<std::byte>> ClassifierTrainer::checkpoint() const {
    const TensorFile weights = model_.weights();
    TensorFile state = model_.network().moments();
    state.tensors.push_back(make_u64("step", {}, &step_));
    return {{"classifier.safetensors", encode_safetensors(weights.tensors, weights.metadata)},
            {"state.safetensors", encode_safetensors(state.tensors)}};
}

void ClassifierTrainer::restore(const std::string& folder) {
    const std::string weights_path = folder + "/classifier.safetensors";
    const std::string state_path = folder + "/state.safetensors";
    model_.network().load_weights(read_safetensors(weights_path), weights_path);
    TensorFile state = read_safetensors(state_path);
    step_ = u64(state.at("step"))[0];
    model_.network().load_moments(state, state_path);
    device_step_.upload(&step_, 1);
}

} // namespace patchforge
