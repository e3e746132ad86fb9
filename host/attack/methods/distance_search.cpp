#include "host/attack/methods/distance_search.h"

#include <algorithm>
#include <limits>

namespace patchforge {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

} // namespace

DistanceSearch::DistanceSearch(const AttackScene& scene)
    : Attack(scene), x_(room()), gradient_(room()), keep_(backend(), scene.batch.capacity()),
      distance_(backend(), scene.batch.capacity()) {}

void DistanceSearch::begin() {
    best_distance_.assign(rows(), never);
    steps_to_success_.assign(rows(), -1);
}

void DistanceSearch::differentiate(const WhiteBoxVictim::Goal& goal, RowValue weight,
                                   Vector<float> loss) {
    const Matrix<float> x = matrix(x_), gradient = matrix(gradient_);
    scene_.victim.gradient(gradient, loss, x, scene_.batch.label(), goal);
    backend().add_distance_gradient(gradient, x, scene_.batch.origin(), weight);
    backend().row_norms(distance_.vector(), x, scene_.batch.origin(), Norm::l2);
}

std::vector<std::uint8_t> DistanceSearch::look(Recording& gradient, std::int64_t step) {
    gradient.replay();
    const AttackOptions& options = scene_.options;
    const std::int64_t count = scene_.batch.capacity();
    const std::vector<float> distance = distance_.get();
    const std::vector<float> logits = scene_.victim.host_logits(matrix(x_), count);
    const std::vector<std::uint8_t> stopped = scene_.victim.detected(matrix(x_), count);
    const std::int64_t classes = scene_.victim.class_count();
    const std::vector<std::int32_t> answers = argmax_of(logits, classes);
    std::vector<std::uint8_t> success(rows()), nearer(rows());
    for (std::size_t r = 0; r < success.size(); ++r) {
        const std::int32_t label = scene_.batch.host_label(static_cast<std::int64_t>(r));
        const float* z = logits.data() + static_cast<std::int64_t>(r) * classes;
        double rival = -never;
        for (std::int32_t c = 0; c < classes; ++c) {
            rival = c == label ? rival : std::max<double>(rival, z[c]);
        }
        const double lead = options.targeted() ? z[label] - rival : rival - z[label];
        success[r] = !stopped[r] && scene_.wanted(answers[r], label) &&
                     lead >= options.confidence &&
                     (options.within <= 0 || distance[r] <= options.within);
        nearer[r] = success[r] && distance[r] < best_distance_[r];
        best_distance_[r] = nearer[r] ? distance[r] : best_distance_[r];
        if (success[r] && steps_to_success_[r] < 0) {
            steps_to_success_[r] = step;
        }
    }
    keep_.copy(scene_.batch.x(), matrix(x_), nearer);
    return success;
}

std::vector<std::uint8_t> DistanceSearch::hopeless() const {
    std::vector<std::uint8_t> rows(best_distance_.size());
    std::transform(best_distance_.begin(), best_distance_.end(), rows.begin(),
                   [](double distance) { return distance == never; });
    return rows;
}

} // namespace patchforge
