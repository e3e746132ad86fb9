#include "host/attack/latent_search.h"

#include <algorithm>

namespace patchforge {

LatentSearch::LatentSearch(const Network& generator, LatentObjective& objective,
                           const LatentSearchOptions& options)
    : backend_(generator.backend()), generator_(generator), objective_(objective),
      options_(options), pass_(generator, batch, {.training = false}),
      adam_(backend_, batch * generator.shape().inputs(), options.learning_rate,
            {.shape =
                 options.rate_falls ? RateSchedule::Shape::cosine : RateSchedule::Shape::constant,
             .end = static_cast<std::uint64_t>(options.steps)}),
      first_(backend_, 1) {
    const std::int64_t width = generator.shape().inputs();
    const std::int64_t pixels = generator.shape().outputs();
    for (DeviceArray<float>* array : {&z_, &d_z_, &zero_}) {
        *array = DeviceArray<float>(backend_, batch * width);
    }
    if (options.numbers > 0 && options.numbers < width) {
        std::vector<float> moves;
        for (std::int64_t i = 0; i < batch * width; ++i) {
            moves.push_back(i % width < options.numbers ? 1.0f : 0.0f);
        }
        moves_ = DeviceArray<float>(backend_, batch * width);
        moves_.upload(moves.data(), batch * width);
    }
    pixels_ = DeviceArray<float>(backend_, batch * pixels);
    d_pixels_ = DeviceArray<float>(backend_, batch * pixels);
    step_ = backend_.record([this] { enqueue_step(); });
}

void LatentSearch::enqueue_step() {
    const std::int64_t width = generator_.shape().inputs();
    const std::int64_t pixels = generator_.shape().outputs();
    const Matrix<float> z = z_.matrix(batch, width);
    const Matrix<float> unit = pixels_.matrix(batch, pixels);
    const Matrix<float> d_unit = d_pixels_.matrix(batch, pixels);
    DropoutSource evaluation;
    evaluation.picture = {.step = first_.data()};
    const Matrix<float> picture = pass_.forward(z, evaluation);
    backend_.affine(unit.flat(), picture.flat(), 0.5f, 0.5f); // objectives take [0, 1]
    objective_.gradient(d_unit, unit);
    backend_.affine(d_unit.flat(), d_unit.flat(), 0.5f, 0);
    const std::int64_t last = generator_.layer_count() - 1;
    backend_.activation_gradient(pass_.output_gradient(), d_unit, picture, pass_.epilogue(last));
    const Matrix<float> d_z = d_z_.matrix(batch, width);
    pass_.backward_input(d_z);
    const float weight = static_cast<float>(options_.prior / static_cast<double>(width));
    backend_.add_distance_gradient(d_z, z, zero_.matrix(batch, width), {weight});
    if (moves_.size() > 0) { // the derivative of a ReLU is 1 where its output is above 0, else 0
        backend_.activation_gradient(d_z, d_z, moves_.matrix(batch, width),
                                     {.activation = Activation::relu});
    }
    adam_.step(z.flat(), d_z.flat());
    if (options_.in_unit_box) { // a step of length 0 ends in the box [0, 1]
        backend_.affine(z.flat(), z.flat(), 0.5f, 0.5f);
        backend_.perturb_step(z, z, {}, {}, {0.0f}, {}, StepRule::plain, Ball::none);
        backend_.affine(z.flat(), z.flat(), 2, -1);
    }
}

std::vector<float> LatentSearch::run(const std::vector<float>& start,
                                     const std::function<void(std::int64_t)>& progress) {
    const std::int64_t width = generator_.shape().inputs();
    const std::int64_t count = static_cast<std::int64_t>(start.size()) / width;
    std::vector<float> found(start.size());
    for (std::int64_t first = 0; first < count; first += batch) {
        const std::int64_t rows = std::min(batch, count - first);
        backend_.fill(z_.view(), 0);
        z_.upload(start.data() + first * width, rows * width);
        const auto number = static_cast<std::uint64_t>(first);
        first_.upload(&number, 1);
        objective_.begin(first, rows);
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
