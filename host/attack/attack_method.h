// A method of attack: what there is to know of it, and how it attacks a batch. Each has a file in
// methods/ and a row of the table in methods/methods.cpp; everything else asks here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/victim.h"
#include "kernels/operations/perturb.h"

namespace patchforge {

struct AttackOptions;

// What an attack works with. All of it outlives the attack.
struct AttackScene {
    WhiteBoxVictim& victim;
    BlackBoxVictim* black_box; // of methods that ask questions; else null
    AttackBatch& batch;
    const AttackSet& set; // whose samples the batches hold
    const AttackOptions& options;

    // Whether an answer is what the attack wants: not the label, or the target.
    bool wanted(std::int32_t answer, std::int32_t label) const;
    // Waits. Of every row of x, 1 where the victim answers as wanted and no detector stops it.
    std::vector<std::uint8_t> successes(Matrix<const float> x) const;
};

class Attack {
  public:
    explicit Attack(const AttackScene& scene) : scene_(scene) {}
    virtual ~Attack() = default;
    // Leaves the adversarial examples in batch.x(). `lambda` is the weight of the distance.
    virtual void run(std::size_t stage, double epsilon, double lambda) = 0;
    // With several, each is run on the samples that those before left standing.
    virtual std::vector<std::string> stages() const { return {"attack"}; }
    // Of a row after run(): the steps before its first success; -1: none, or not counted.
    virtual std::int64_t steps_to_success(std::int64_t) const { return -1; }

  protected:
    Backend& backend() const { return scene_.victim.backend(); }
    std::size_t rows() const { return static_cast<std::size_t>(scene_.batch.capacity()); }
    // [rows, pixels]
    DeviceArray<float> room() const {
        return {backend(), scene_.batch.capacity() * scene_.batch.pixels()};
    }
    Matrix<float> matrix(const DeviceArray<float>& array) const {
        return array.matrix(scene_.batch.capacity(), scene_.batch.pixels());
    }

    const AttackScene scene_;
};

template <class Kind>
std::unique_ptr<Attack> prepared(const AttackScene& scene) {
    return std::make_unique<Kind>(scene);
}

enum class Sight { gradients, scores, both };

struct AttackMethod {
    const char* name;
    const char* help;
    // The options that it heeds besides norm, batch_size and seed, by name; "loss=margin": with
    // this value alone.
    std::vector<std::string> options;
    std::vector<Norm> norms = {Norm::linf, Norm::l2};
    Sight sight = Sight::gradients;
    bool bounded = true; // has a budget; else it weighs distance against success
    bool needs_target = false;
    bool trains_detectors = false; // cheap enough to attack all of a training set with
    std::int64_t steps = 1;        // without --steps
    // Pairs of questions in each step, of which it then takes as many as --queries pay.
    std::int64_t (*pairs)(const AttackOptions& options, std::int64_t pixels) = nullptr;
    double stride = 2.5; // without --alpha, a step is this times eps / steps, at most eps
    // What else tells two of its attacks apart, in words that begin with a comma.
    std::string (*text)(const AttackOptions& options) = nullptr;
    std::unique_ptr<Attack> (*prepare)(const AttackScene& scene) = nullptr;

    bool heeds(const std::string& option) const;
    bool takes(Norm norm) const;
    bool asks() const { return sight != Sight::gradients; }
};

// All of them, in the order in which people read of them.
std::span<const AttackMethod* const> attack_methods();
// Throws std::invalid_argument: --method.
const AttackMethod* attack_method(const std::string& name);

// "fgsm, pgd": those that `chosen` says true of.
std::string method_names(const std::function<bool(const AttackMethod&)>& chosen);
std::string method_names(const std::vector<const AttackMethod*>& methods);

} // namespace patchforge
