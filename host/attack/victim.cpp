#include "host/attack/victim.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace patchforge {

namespace {

// What a CPU's caches keep from the way there to the way back.
constexpr std::int64_t numbers_kept = 1 << 20;
constexpr std::int64_t fewest_rows = 8; // that keep all threads busy

// Maps are large beside their weights: a CPU takes so few rows at a time that they are still in its caches on
// the way back. A perceptron's weights would have to be read once more for each such part. Rows must know
// nothing of each other.
std::int64_t rows_together(const std::vector<const ClassifierModel*>& members,
                           std::int64_t capacity) {
    std::int64_t of_row = 0, weights = 0;
    for (const ClassifierModel* member : members) {
        const NetworkShape& shape = member->network().shape();
        weights += shape.parameter_count();
        for (const LayerShape& layer : shape.layers) {
            of_row += 2 * layer.outputs; // and their gradients
            if ((layer.layer && layer.layer->backward_at_once()) ||
                layer.normalisation == Normalisation::virtual_batch) {
                return capacity;
            }
        }
    }
    const std::int64_t rows = std::max(numbers_kept / of_row, fewest_rows);
    const bool on_cpu = members.front()->backend().reads_host_memory();
    return on_cpu && weights < rows * of_row ? std::min(rows, capacity) : capacity;
}

} // namespace

MeanLogits::MeanLogits(std::vector<const ClassifierModel*> members, std::int64_t capacity,
                       bool backward)
    : members_(std::move(members)), capacity_(capacity) {
    if (members_.empty()) {
        throw std::invalid_argument("--model: no classifier is given; name at least one");
    }
    const ClassifierFormat& first = format();
    for (const ClassifierModel* member : members_) {
        const ClassifierFormat& other = member->format();
        if (other.extent() != first.extent() || other.class_count() != first.class_count()) {
            throw std::invalid_argument(
                fmt::format("--model: one classifier takes {} patches of {} classes, another {} of "
                            "{}; give models of the same data",
                            first.extent().text(), first.class_count(), other.extent().text(),
                            other.class_count()));
        }
        passes_.emplace_back(member->network(), capacity,
                             TraceUse{.training = false, .backward = backward});
    }
    scaled_ = DeviceArray<float>(backend(), capacity * pixels());
    if (!is_plain()) {
        logits_ = DeviceArray<float>(backend(), capacity * class_count());
        d_logits_ = DeviceArray<float>(backend(), backward ? capacity * class_count() : 0);
    }
    if (backward && members_.size() > 1) {
        d_member_ = DeviceArray<float>(backend(), capacity * pixels());
    }
}

Matrix<float> MeanLogits::forward(Matrix<const float> x) {
    rows_ = x.rows;
    const Matrix<float> scaled = scaled_.matrix(rows_, pixels());
    backend().affine(scaled.flat(), x.flat(), 2, -1);
    if (is_plain()) {
        return passes_.front().forward(scaled);
    }
    const Matrix<float> mean = logits_.matrix(rows_, class_count());
    const float weight = 1.0f / static_cast<float>(members_.size());
    for (std::size_t m = 0; m < members_.size(); ++m) {
        backend().combine_logits(mean, passes_[m].forward(scaled), weight, m > 0);
    }
    return mean;
}

Matrix<float> MeanLogits::logit_gradient() const {
    return is_plain() ? passes_.front().output_gradient() : d_logits_.matrix(rows_, class_count());
}

void MeanLogits::backward(Matrix<float> d_x) {
    // The scaling 2x - 1 doubles every gradient: done to the few logits, for doubling is exact.
    if (is_plain()) {
        const Vector<float> d_logit = passes_.front().output_gradient().flat();
        backend().affine(d_logit, d_logit, 2, 0);
        passes_.front().backward_input(d_x);
        return;
    }
    const float weight = 2.0f / static_cast<float>(members_.size());
    for (std::size_t m = 0; m < members_.size(); ++m) {
        backend().split_logit_gradient(passes_[m].output_gradient(), logit_gradient(), weight);
        const Matrix<float> d_member = m == 0 ? d_x : d_member_.matrix(rows_, pixels());
        passes_[m].backward_input(d_member);
        if (m > 0) {
            backend().weighted_sum(d_x.flat(), d_x.flat(), 1, d_member.flat(), 1, {}, 0);
        }
    }
}

Victim::Victim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
               const ClassifierModel* detector, bool backward)
    : members_(std::move(members), capacity, backward) {
    if (!detector) {
        return;
    }
    if (detector->class_count() != 2 || detector->pixels() != pixels()) {
        throw std::invalid_argument(fmt::format(
            "--detector: takes {} pixels and knows {} classes; give a model of two classes (clean, "
            "adversarial) for the same {} pixels",
            detector->pixels(), detector->class_count(), pixels()));
    }
    detector_.emplace_back(std::vector<const ClassifierModel*>{detector}, capacity, backward);
}

WhiteBoxVictim::WhiteBoxVictim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
                               const ClassifierModel* detector)
    : Victim(members, capacity, detector, true), together_(rows_together(members, capacity)) {
    if (!has_detector()) {
        return;
    }
    together_ = std::max(together_, rows_together({detector}, capacity));
    own_gradient_ = DeviceArray<float>(backend(), capacity * pixels());
    detector_loss_ = DeviceArray<float>(backend(), capacity);
    for (std::int32_t label = 0; label < 2; ++label) {
        const std::vector<std::int32_t> all(static_cast<std::size_t>(capacity), label);
        detector_label_[label] = DeviceArray<std::int32_t>(backend(), capacity);
        detector_label_[label].upload(all.data(), capacity);
    }
}

void WhiteBoxVictim::member_gradient(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                                     Vector<const std::int32_t> label, const Goal& goal) {
    const Matrix<float> logit = members_.forward(x);
    const Matrix<float> d_logit = members_.logit_gradient();
    switch (goal.loss) {
    case VictimLoss::cross_entropy:
        backend().softmax_cross_entropy(d_logit, loss, logit, label, {}, 1);
        break;
    case VictimLoss::margin:
        backend().margin_loss(d_logit, loss, logit, label, goal.scale, goal.low, goal.high);
        break;
    case VictimLoss::probability_l1:
    case VictimLoss::probability_l2:
        backend().probability_distance(d_logit, loss, logit, label,
                                       goal.loss == VictimLoss::probability_l1 ? 1 : 2, 1);
        break;
    }
    members_.backward(d_x);
}

void WhiteBoxVictim::gradient(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                              Vector<const std::int32_t> label, const Goal& goal) {
    for (std::int64_t first = 0; first < x.rows; first += together_) {
        const std::int64_t rows = std::min(together_, x.rows - first);
        Goal of_rows = goal;
        of_rows.scale.rows = goal.scale.rows ? goal.scale.rows + first : nullptr;
        gradient_together(d_x.row_range(first, rows), loss.empty() ? loss : loss.part(first, rows),
                          x.row_range(first, rows), label.part(first, rows), of_rows);
    }
}

void WhiteBoxVictim::gradient_together(Matrix<float> d_x, Vector<float> loss, Matrix<const float> x,
                                       Vector<const std::int32_t> label, const Goal& goal) {
    if (!has_detector()) {
        member_gradient(d_x, loss, x, label, goal);
        return;
    }
    const Matrix<float> own = own_gradient_.matrix(x.rows, pixels());
    member_gradient(own, loss, x, label, goal);
    backend().fill(d_x.flat(), 0);
    backend().accumulate_direction(d_x, own, 0);
    // Climbing its loss on "adversarial", or descending that on "clean".
    MeanLogits& detector = detector_.front();
    const Matrix<float> logit = detector.forward(x);
    const Vector<float> detector_loss = detector_loss_.view().part(0, x.rows);
    backend().softmax_cross_entropy(detector.logit_gradient(), detector_loss, logit,
                                    detector_label_[goal.targeted ? 0 : 1].view().part(0, x.rows),
                                    {}, 1);
    detector.backward(own);
    backend().accumulate_direction(d_x, own, 1);
    if (!loss.empty()) {
        backend().weighted_sum(loss, loss, 1, detector_loss, 1, {}, 0);
    }
}

std::vector<float> WhiteBoxVictim::host_logits(Matrix<const float> x, std::int64_t rows) {
    const Matrix<float> answers = logits(x);
    std::vector<float> host(static_cast<std::size_t>(rows * class_count()));
    backend().download(host.data(), answers.data, host.size() * sizeof(float));
    return host;
}

std::vector<std::int32_t> WhiteBoxVictim::predictions(Matrix<const float> x, std::int64_t rows) {
    return argmax_of(host_logits(x, rows), class_count());
}

std::vector<std::uint8_t> WhiteBoxVictim::detected(Matrix<const float> x, std::int64_t rows) {
    std::vector<std::uint8_t> stopped(static_cast<std::size_t>(rows), 0);
    if (has_detector()) {
        const Matrix<float> answers = detector_.front().forward(x);
        std::vector<float> host(static_cast<std::size_t>(rows * 2));
        backend().download(host.data(), answers.data, host.size() * sizeof(float));
        for (std::size_t r = 0; r < stopped.size(); ++r) {
            stopped[r] = host[2 * r + 1] > host[2 * r];
        }
    }
    return stopped;
}

BlackBoxVictim::BlackBoxVictim(std::vector<const ClassifierModel*> members, std::int64_t capacity,
                               std::int64_t samples, const ClassifierModel* detector)
    : Victim(std::move(members), capacity, detector, false),
      queries_(static_cast<std::size_t>(samples), 0) {
    if (has_detector()) {
        joint_ = DeviceArray<float>(backend(), capacity * (class_count() + 1));
    }
}

Matrix<const float> BlackBoxVictim::scores(Matrix<const float> x,
                                           std::span<const std::int64_t> sample) {
    for (std::int64_t r = 0; r < x.rows; ++r) {
        ++queries_.at(static_cast<std::size_t>(sample[r]));
    }
    const Matrix<const float> logits = members_.forward(x);
    if (!has_detector()) {
        return logits;
    }
    const Matrix<const float> alarms = detector_.front().forward(x);
    const std::int64_t classes = class_count();
    std::vector<float> z(static_cast<std::size_t>(x.rows * classes));
    std::vector<float> alarm(static_cast<std::size_t>(x.rows * 2));
    backend().download(z.data(), logits.data, z.size() * sizeof(float));
    backend().download(alarm.data(), alarms.data, alarm.size() * sizeof(float));
    std::vector<float> joint;
    for (std::int64_t r = 0; r < x.rows; ++r) {
        const auto row = z.begin() + r * classes;
        joint.insert(joint.end(), row, row + classes);
        const auto pair = static_cast<std::size_t>(2 * r);
        joint.push_back(*std::max_element(row, row + classes) + alarm[pair + 1] - alarm[pair]);
    }
    joint_.upload(joint.data(), static_cast<std::int64_t>(joint.size()));
    return joint_.matrix(x.rows, classes + 1);
}

} // namespace patchforge
