#include "host/classifier/classifier_scores.h"

#include <algorithm>
#include <cmath>

#include "host/classifier/classifier_data.h"
#include "host/evaluate/binary_scores.h"

namespace patchforge {

std::vector<std::int32_t> called_of(std::span<const float> logits, std::int64_t classes,
                                    double lead) {
    std::vector<float> against(logits.begin(), logits.end());
    for (std::size_t i = 1; lead != 0 && i < against.size(); i += 2) {
        against[i] -= static_cast<float>(lead);
    }
    return argmax_of(against, classes);
}

ClassifierScores score_logits(std::span<const float> logits, std::span<const std::int32_t> labels,
                              std::int64_t classes, double lead) {
    const std::vector<float> probabilities = softmax_of(logits, classes);
    const std::vector<std::int32_t> called = called_of(logits, classes, lead);
    ClassifierScores scores;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const float* row = logits.data() + static_cast<std::int64_t>(i) * classes;
        const double largest = *std::max_element(row, row + classes);
        double sum = 0;
        for (std::int64_t k = 0; k < classes; ++k) {
            sum += std::exp(row[k] - largest);
        }
        scores.loss += largest + std::log(sum) - row[labels[i]];
        scores.accuracy += called[i] == labels[i];
    }
    const auto count = static_cast<double>(labels.size());
    scores.loss /= count;
    scores.accuracy /= count;
    scores.balanced_accuracy = balanced_accuracy_of(called, labels, classes);

    std::int64_t judged = 0; // classes with patches of and beside them
    for (std::int64_t k = classes == 2 ? 1 : 0; k < classes; ++k) {
        std::vector<float> score;
        std::vector<float> hit;
        std::vector<std::uint8_t> positive;
        for (std::size_t i = 0; i < labels.size(); ++i) {
            score.push_back(
                probabilities[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(k)]);
            hit.push_back(called[i] == k ? 1.0f : 0.0f);
            positive.push_back(labels[i] == k);
        }
        const std::int64_t positives = std::count(positive.begin(), positive.end(), 1);
        if (positives == 0 || positives == std::ssize(positive)) {
            continue;
        }
        const BinaryScores one = binary_scores(hit, positive);
        scores.auc += area_under_curve(score, positive);
        scores.sensitivity += one.sensitivity;
        scores.specificity += one.specificity;
        ++judged;
    }
    const auto divisor = static_cast<double>(judged); // of none: NaN
    scores.auc /= divisor;
    scores.sensitivity /= divisor;
    scores.specificity /= divisor;
    return scores;
}

double best_threshold(std::span<const float> logits, std::span<const std::int32_t> labels) {
    std::vector<std::pair<double, std::int32_t>> leads;
    double count[2] = {};
    for (std::size_t i = 0; i < labels.size(); ++i) {
        leads.emplace_back(double{logits[2 * i + 1]} - double{logits[2 * i]}, labels[i]);
        ++count[labels[i]];
    }
    double best = 0, chosen = 0;
    if (count[0] > 0 && count[1] > 0) {
        std::sort(leads.begin(), leads.end());
        double below[2] = {}; // patches of each class that are called 0
        for (std::size_t i = 0; i + 1 < leads.size(); ++i) {
            ++below[leads[i].second];
            const double cut = (leads[i].first + leads[i + 1].first) / 2;
            const double score = below[0] / count[0] + 1 - below[1] / count[1];
            if (leads[i].first < leads[i + 1].first &&
                (score > best || (score == best && std::fabs(cut) < std::fabs(chosen)))) {
                best = score;
                chosen = cut;
            }
        }
    }
    return std::clamp(1 / (1 + std::exp(-chosen)), 1e-9, 1 - 1e-9);
}

double balanced_accuracy_of(std::span<const std::int32_t> called,
                            std::span<const std::int32_t> labels, std::int64_t classes) {
    std::vector<double> right(static_cast<std::size_t>(classes));
    std::vector<double> count(static_cast<std::size_t>(classes));
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto label = static_cast<std::size_t>(labels[i]);
        right[label] += called[i] == labels[i];
        ++count[label];
    }
    double recalls = 0;
    double present = 0;
    for (std::size_t k = 0; k < count.size(); ++k) {
        if (count[k] > 0) {
            recalls += right[k] / count[k];
            ++present;
        }
    }
    return recalls / present;
}

} // namespace patchforge
