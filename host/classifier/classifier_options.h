// Everything that decides a classifier run's numbers. The defaults are what `train classifier`
// uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/options/options.h"
#include "host/train/rate_options.h"

namespace patchforge {

enum class ClassWeights { none, balanced }; // balanced: N / (K * patches of the class)
enum class Augmentation { none, flips };    // flips: mirrored and turned (operations/augment.h)

// Adversarial examples among the training patches, forged anew in every step against the network as
// it then is, without dropout: fgsm is one step of eps along the sign of the gradient (Goodfellow
// et al. 2015); pgd is `steps` steps of alpha from a random place in the ball (Madry et al. 2018).
// The step then minimises L(x) + weight L(x_adv) + pairing * mean ||z(x) - z(x_adv)||^2, z being
// the logits (the last term: adversarial logit pairing, Kannan et al. 2018).
struct AdversarialTraining {
    enum class Method { none, fgsm, pgd } method = Method::none;
    std::int64_t steps = 1;     // of pgd
    double epsilon = 4 / 255.0; // in [0, 1] units, L-infinity
    double alpha = 0;           // 0: 2.5 eps / steps; fgsm: eps
    double weight = 1;
    double pairing = 0;

    bool active() const { return method != Method::none; }
    double step_size() const;
    std::string name() const; // "none", "fgsm", "pgd-5"
};
// "none", "fgsm", "pgd-K": sets method and steps. std::invalid_argument: --adversarial-training.
void set_adversarial_method(AdversarialTraining& training, const std::string& name);

struct ClassifierOptions {
    std::string network{}; // a name or a text (host/network/named_networks.h); empty: a multilayer
                           // perceptron of hidden_dims, dropout and leaky_slope
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
    RateOptions rates;
    double weight_decay = 0; // lambda of lambda / 2 ||w||^2, added to the loss
    ClassWeights class_weights = ClassWeights::none;
    Augmentation augmentation = Augmentation::none;
    double stain_jitter = 0;      // reach of factors and shifts of stains (operations/stain.h)
    std::int64_t translation = 0; // pixels, each way
    std::int64_t cutout = 0;      // side of a square that is blanked out
    double noise = 0; // deviation of normal noise on every training pixel, in [0, 1] units
    // Of the weights' moving average, which then is what is scored and kept as best; batch
    // normalisation's statistics are taken anew for it. 0: none.
    double ema = 0;
    double threshold = 0.5; // of p(class 1), from which it is called; or, chosen on the validation
    bool choose_threshold = false; // patches, the one with the best balanced accuracy
    AdversarialTraining adversarial;
    std::int64_t patience = 0;  // epochs without a better score before stopping; 0: never
    std::string test_list{};    // a file that lists the patients held out, instead of:
    double test_patients = 0.2; // below 1: a share; otherwise a number of patients
    // Of the patients that are left: those whose patches choose the best epoch, so that the test
    // patches judge it unseen. 0: none, the test patches choose.
    double validation_patients = 0;
    std::uint64_t split_seed = 1; // of the choice of patients: the same for runs of different seeds
    std::uint64_t seed = 0;

    // Throws std::invalid_argument naming the options that are out of range or do not go together.
    void validate() const;
};

void describe(Options& options, ClassifierOptions& classifier);
const std::vector<Preset>& classifier_presets();
// The defaults with a preset's settings. std::invalid_argument for an unknown name.
ClassifierOptions classifier_preset(const std::string& name);
// Without adversarial training.
void describe_plain(Options& options, ClassifierOptions& classifier);

} // namespace patchforge
