// The safety net: a classifier that tells adversarial patches (class 1) from clean ones (class 0),
// to stand in front of the classifier that they were forged against.
#pragma once

#include <cstdint>
#include <filesystem>

#include "data/packed_set.h"
#include "host/attack/attack_options.h"
#include "host/classifier/classifier_options.h"
#include "host/classifier/classifier_run.h"

namespace patchforge {

struct DetectorOptions {
    std::filesystem::path model;                       // run folder, ensemble or weights
    const AttackMethod* attack = attack_method("pgd"); // one that trains_detectors, L-infinity
    double epsilon = 8 / 255.0;
    std::int64_t steps = 0; // 0: the method's own
};

void describe(Options& options, DetectorOptions& detector);

// Attacks every patch of the set once and puts it beside the clean one, as 8-bit pictures in
// memory. Where the model's run parted this set by patients, `classifier` takes over its split, so
// that no patient is tested whom either was trained on. Takes as long as attacking the whole set.
ClassifierTask detector_task(const PackedSet& set, const DetectorOptions& options,
                             ClassifierOptions& classifier, const DeviceOptions& device);

} // namespace patchforge
