// `patchforge privacy`: a trained GAN and the set that it was trained on in, privacy.json and privacy.html out.
#pragma once

#include <cstdint>
#include <string>

#include "data/packed_set.h"
#include "host/model/load_generator.h"
#include "host/options/device_options.h"
#include "host/privacy/privacy.h"

namespace patchforge {

struct PrivacyJob {
    std::string run;
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::string generated;     // the fakes that are released, in files; empty: drawn
    std::string features;      // a classifier; empty: the network of random_network.h
    std::string out;           // empty: the run's folder
    std::int64_t count = 2000; // patches of either side at most, and fakes
    std::int64_t fakes = 2000;
    std::int64_t search_patches =
        200; // of either side, for the attack that holds the generator; 0: none
    std::int64_t search_steps = 100;
    std::int64_t tstr_epochs = 15; // 0: no classifier is trained
    std::uint64_t seed = 2020;
    DeviceOptions device;
};

void describe(Options& options, PrivacyJob& job);

// `generated`: the set of job.generated, or null. Writes and prints what it returns; of several ranks the
// first writes. Throws std::invalid_argument where the run held out nobody or `set` is not its data.
Privacy run_privacy(const PackedSet& set, const PackedSet* generated, const PrivacyJob& job);

} // namespace patchforge
