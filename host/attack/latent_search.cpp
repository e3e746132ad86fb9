#include "host/attack/latent_search.h"

#include <algorithm>

namespace patchforge {

LatentSearch::LatentSearch(const Network& generator, std::vector<const ClassifierModel*> models,
                           const LatentSearchOptions& options)
    : backend_(generator.backend()), generator_(generator), options_(options),
      pass_(generator, batch_), victim_(std::move(models), batch_),
      adam_(backend_, batch_ * generator.shape().inputs(), options.learning_rate) {
    const std::int64_t width = generator.shape().inputs();
    const std::int64_t pixels = generator.shape().outputs();
    for (DeviceArray<float>* array : {&z_, &d_z_, &zero_}) {
        *array = DeviceArray<float>(backend_, batch_ * width);
    }
    pixels_ = DeviceArray<float>(backend_, batch_ * pixels);
    d_pixels_ = DeviceArray<float>(backend_, batch_ * pixels);
    label_ = DeviceArray<std::int32_t>(backend_, batch_);
    step_ = backend_.record([this, width, pixels] {
        const Matrix<float> z = z_.matrix(batch_, width);
        const Matrix<float> unit = pixels_.matrix(batch_, pixels);
        const Matrix<float> d_unit = d_pixels_.matrix(batch_, pixels);
        const Matrix<float> picture = pass_.forward(z);
        backend_.affine(unit.flat(), picture.flat(), 0.5f, 0.5f); // the victim takes [0, 1]
        victim_.gradient(d_unit, {}, unit, label_.view(), {});
        backend_.affine(d_unit.flat(), d_unit.flat(), 0.5f, 0);
        const std::int64_t last = generator_.layer_count() - 1;
        backend_.activation_gradient(pass_.output_gradient(), d_unit, picture,
                                     pass_.epilogue(last));
        const Matrix<float> d_z = d_z_.matrix(batch_, width);
        pass_.backward_input(d_z);
        const float weight = static_cast<float>(options_.prior / static_cast<double>(width));
        backend_.add_distance_gradient(d_z, z, zero_.matrix(batch_, width), {weight});
        adam_.step(z.flat(), d_z.flat());
    });
}

std::vector<float> LatentSearch::run(const std::vector<float>& start, std::int32_t target,
                                     const std::function<void(std::int64_t)>& progress) {
    const std::int64_t width = generator_.shape().inputs();
    const std::int64_t count = static_cast<std::int64_t>(start.size()) / width;
    const std::vector<std::int32_t> labels(batch_, target);
    label_.upload(labels.data(), batch_);
    std::vector<float> found(start.size());
    for (std::int64_t first = 0; first < count; first += batch_) {
        const std::int64_t rows = std::min(batch_, count - first);
        backend_.fill(z_.view(), 0);
        z_.upload(start.data() + first * width, rows * width);
        adam_.restart();
        step_->replay(options_.steps);
        z_.download(found.data() + first * width, rows * width);
        if (progress) {
            progress(first + rows);
        }
    }
    return found;
}

} // namespace patchforge
