#include "host/project/picture_distance.h"

#include <algorithm>
#include <stdexcept>

namespace patchforge {
namespace {

// ||f||^2 of each row, at least 1e-12: features of a dead layer say nothing.
std::vector<double> squared_norms(std::span<const float> features, std::int64_t width) {
    std::vector<double> norms;
    for (std::size_t row = 0; row < features.size(); row += static_cast<std::size_t>(width)) {
        double sum = 0;
        for (const float f : features.subspan(row, static_cast<std::size_t>(width))) {
            sum += double{f} * f;
        }
        norms.push_back(std::max(sum, 1e-12));
    }
    return norms;
}

} // namespace

PictureDistance::PictureDistance(Backend& backend, std::span<const std::uint8_t> targets,
                                 std::int64_t pixels, std::int64_t starts, std::int64_t batch,
                                 const PictureDistanceOptions& options)
    : backend_(backend), targets_(targets), pixels_(pixels), starts_(starts), batch_(batch),
      options_(options), target_(backend, batch * pixels) {
    if (options_.features && !options_.mask.empty()) {
        throw std::invalid_argument(
            "--features, --mask: features are of whole pictures; give one of them");
    }
    if (!options_.mask.empty()) {
        std::vector<float> mask;
        for (std::int64_t i = 0; i < batch * pixels; ++i) {
            mask.push_back(options_.mask[i % pixels] ? 1.0f : 0.0f);
        }
        mask_ = DeviceArray<float>(backend, batch * pixels);
        mask_.upload(mask.data(), batch * pixels);
    }
    if (options_.features) {
        const std::int64_t width = options_.features->feature_count();
        target_features_ = options_.features->features(targets);
        pass_ = std::make_unique<Trace>(options_.features->network(), batch,
                                        TraceUse{.training = false});
        pass_->keep(options_.features->network().layer_count() - 2);
        for (DeviceArray<float>* array : {&scaled_, &d_scaled_}) {
            *array = DeviceArray<float>(backend, batch * pixels);
        }
        for (DeviceArray<float>* array : {&wanted_features_, &d_features_}) {
            *array = DeviceArray<float>(backend, batch * width);
        }
        weight_ = DeviceArray<float>(backend, batch);
    }
}

void PictureDistance::begin(std::int64_t first, std::int64_t rows) {
    std::vector<float> target, features, weights;
    const std::int64_t width = options_.features ? options_.features->feature_count() : 0;
    for (std::int64_t row = 0; row < batch_; ++row) {
        // Rows behind the last code repeat it; nobody reads what becomes of them.
        const std::int64_t of = (first + std::min(row, rows - 1)) / starts_;
        for (const std::uint8_t level : targets_.subspan(static_cast<std::size_t>(of * pixels_),
                                                         static_cast<std::size_t>(pixels_))) {
            target.push_back(static_cast<float>(level) / 255.0f);
        }
        if (options_.features) {
            const auto wanted =
                std::span(target_features_)
                    .subspan(static_cast<std::size_t>(of * width), static_cast<std::size_t>(width));
            features.insert(features.end(), wanted.begin(), wanted.end());
            weights.push_back(static_cast<float>(options_.features_weight /
                                                 squared_norms(wanted, width).front()));
        }
    }
    target_.upload(target.data(), batch_ * pixels_);
    if (options_.features) {
        wanted_features_.upload(features.data(), batch_ * width);
        weight_.upload(weights.data(), batch_);
    }
}

void PictureDistance::gradient(Matrix<float> d_pictures, Matrix<const float> pictures) {
    backend_.fill(d_pictures.flat(), 0);
    backend_.add_distance_gradient(d_pictures, pictures, target_.matrix(batch_, pixels_),
                                   {1.0f / static_cast<float>(pixels_)});
    if (mask_.size() > 0) { // the derivative of a ReLU is 1 where its output is above 0, else 0
        backend_.activation_gradient(d_pictures, d_pictures, mask_.matrix(batch_, pixels_),
                                     {.activation = Activation::relu});
    }
    if (pass_) {
        add_features_gradient(d_pictures, pictures);
    }
}

void PictureDistance::add_features_gradient(Matrix<float> d_pictures,
                                            Matrix<const float> pictures) {
    const Network& network = options_.features->network();
    const std::int64_t from = network.layer_count() - 2; // its output is the last layer's input
    const Matrix<float> scaled = scaled_.matrix(batch_, pixels_);
    const Matrix<float> d_scaled = d_scaled_.matrix(batch_, pixels_);
    const std::int64_t width = options_.features->feature_count();
    const Matrix<float> d_features = d_features_.matrix(batch_, width);
    backend_.affine(scaled.flat(), pictures.flat(), 2, -1);
    pass_->forward(scaled);
    const Matrix<float> features = pass_->output(from);
    backend_.fill(d_features.flat(), 0);
    backend_.add_distance_gradient(d_features, features, wanted_features_.matrix(batch_, width),
                                   {0, weight_.data()});
    backend_.activation_gradient(pass_->gradient(from), d_features, features,
                                 pass_->epilogue(from));
    pass_->backward_input(d_scaled, {}, from);
    backend_.weighted_sum(d_pictures.flat(), d_pictures.flat(), 1, d_scaled.flat(), 2, {}, 0);
}

std::vector<double> PictureDistance::distances(std::span<const std::uint8_t> pictures,
                                               std::span<const std::uint8_t> targets) const {
    std::vector<double> result;
    for (std::size_t at = 0; at < pictures.size(); at += static_cast<std::size_t>(pixels_)) {
        double sum = 0;
        for (std::size_t p = 0; p < static_cast<std::size_t>(pixels_); ++p) {
            const double apart = (pictures[at + p] - targets[at + p]) / 255.0;
            sum += options_.mask.empty() || options_.mask[p] ? apart * apart : 0;
        }
        result.push_back(sum / static_cast<double>(pixels_));
    }
    if (options_.features) {
        const std::int64_t width = options_.features->feature_count();
        const std::vector<float> found = options_.features->features(pictures);
        const std::vector<float> wanted = options_.features->features(targets);
        const std::vector<double> norms = squared_norms(wanted, width);
        for (std::size_t i = 0; i < result.size(); ++i) {
            double sum = 0;
            for (std::size_t f = i * static_cast<std::size_t>(width);
                 f < (i + 1) * static_cast<std::size_t>(width); ++f) {
                sum += (double{found[f]} - wanted[f]) * (double{found[f]} - wanted[f]);
            }
            result[i] += options_.features_weight * sum / norms[i];
        }
    }
    return result;
}

} // namespace patchforge
