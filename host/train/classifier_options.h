// Everything that decides a classifier run's numbers. The defaults are what `train classifier` uses.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace patchforge {

enum class ClassWeights { none, balanced }; // balanced: N / (K * patches of the class)

struct ClassifierOptions {
    std::vector<std::int64_t> hidden_dims = {256, 256};
    double dropout = 0.5;
    double leaky_slope = 0.2;
    bool binary_head = false; // one logit instead of K = 2
    std::int64_t epochs = 15;
    std::int64_t batch_size = 64;
    double learning_rate = 1e-4;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double adam_epsilon = 1e-8;
    ClassWeights class_weights = ClassWeights::none;
    std::int64_t patience = 0; // epochs without a better balanced accuracy before stopping; 0: never
    double test_patients = 0.2; // below 1: a share; otherwise a number of patients
    std::uint64_t seed = 0;

    // Throws std::invalid_argument naming the option, its value and its range.
    void validate() const;
    std::vector<std::pair<std::string, std::string>> listed() const;
};

} // namespace patchforge
