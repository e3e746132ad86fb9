// An attack on a whole set of samples, batch after batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/attack/attack_batch.h"
#include "host/attack/attack_options.h"
#include "host/attack/attack_result.h"
#include "host/attack/batch_judge.h"
#include "host/attack/loss_sensitivity.h"
#include "host/attack/victim.h"

namespace patchforge {

class AttackRunner {
  public:
    // All must outlive it; the detector may be null. What an attack of several stages says goes to
    // `log`, line by line.
    AttackRunner(std::vector<const ClassifierModel*> members, const ClassifierModel* detector,
                 const AttackSet& set, const AttackOptions& options,
                 std::function<void(const std::string&)> log = {});

    const std::vector<std::int32_t>& clean() const { return clean_; }
    const AttackOptions& options() const { return options_; }

    // epsilon 0 returns the samples themselves. `progress` is told how many samples are done.
    AttackResult run(double epsilon, double lambda = 0,
                     const std::function<void(std::int64_t)>& progress = {});

    LossSensitivity sensitivity(double epsilon) {
        return loss_sensitivity(victim_, batch_, set_, labels_, epsilon);
    }

  private:
    void ask_about_clean();
    void choose_targets(const std::vector<float>& clean_logits);
    // Samples in batches; `attack` leaves its images in batch_.x(), which are then judged.
    void attack_samples(AttackResult& result, const std::vector<std::int64_t>& samples,
                        double epsilon, const std::function<void()>& attack,
                        const std::function<void(std::int64_t)>& progress);
    // On those of the samples that still stand.
    void run_stages(AttackResult& result, std::vector<std::int64_t> standing, double lambda,
                    const std::function<void(std::int64_t)>& progress);
    std::vector<std::int64_t> clean_right() const;

    Backend& backend_;
    const AttackSet& set_;
    const AttackOptions options_;
    std::function<void(const std::string&)> log_;
    WhiteBoxVictim victim_; // says what became of the samples, whoever attacks
    std::optional<BlackBoxVictim> black_box_;
    AttackBatch batch_;
    BatchJudge judge_;
    std::unique_ptr<Attack> attack_; // made when first used
    std::vector<std::int32_t> clean_;
    std::vector<std::uint8_t> clean_detected_;
    std::vector<float> clean_confidence_;
    std::vector<std::int32_t> targets_; // -1: none
    std::vector<std::int32_t> labels_;  // what the attack climbs away from, or targets
};

} // namespace patchforge
