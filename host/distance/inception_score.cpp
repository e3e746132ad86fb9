#include "host/distance/inception_score.h"

#include "host/numerics/philox_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace patchforge {
namespace {

// log p_c = l_c - max - log sum exp(l - max): finite for every finite logit.
std::vector<double> log_softmax(std::span<const float> logits) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const double logit : logits) {
        sum += std::exp(logit - largest);
    }
    std::vector<double> result;
    for (const double logit : logits) {
        result.push_back(logit - largest - std::log(sum));
    }
    return result;
}

// sum_c q_c log q_c, where a class that underflowed to 0 adds 0.
double negative_entropy(const std::vector<double>& q) {
    double sum = 0;
    for (const double share : q) {
        sum += share * std::log(std::max(share, 1e-300));
    }
    return sum;
}

} // namespace

InceptionScore inception_score(const Features& logits, int splits,
                               std::optional<std::uint64_t> shuffle_seed) {
    check_features(logits, "logits");
    const std::int64_t n = logits.count, classes = logits.dimension;
    if (splits < 1 || splits > n) {
        throw std::invalid_argument(fmt::format(
            "inception score: {} splits of {} images; use 1 <= splits <= images", splits, n));
    }
    std::vector<std::int64_t> order(n);
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (shuffle_seed) {
        order = PhiloxSequence(*shuffle_seed).sample(n, n);
    }
    std::vector<double> scores, whole_q(classes);
    for (int split = 0; split < splits; ++split) {
        const std::int64_t begin = split * n / splits, end = (split + 1) * n / splits;
        const double size = static_cast<double>(end - begin);
        std::vector<double> q(classes);
        double certainty = 0; // mean_i sum_c p log p
        for (std::int64_t i = begin; i < end; ++i) {
            for (std::int64_t c = 0; const double log_p : log_softmax(logits.row(order[i]))) {
                const double p = std::exp(log_p);
                certainty += p * log_p / size;
                q[c] += p / size;
                whole_q[c++] += p / static_cast<double>(n);
            }
        }
        scores.push_back(std::exp(certainty - negative_entropy(q)));
    }
    InceptionScore result;
    result.splits = splits;
    result.mean = std::accumulate(scores.begin(), scores.end(), 0.0) / splits;
    double squares = 0;
    for (const double score : scores) {
        squares += (score - result.mean) * (score - result.mean);
    }
    result.deviation = std::sqrt(squares / splits);
    result.ceiling = std::exp(-negative_entropy(whole_q));
    result.classes_ceiling = static_cast<double>(classes);
    return result;
}

} // namespace patchforge
