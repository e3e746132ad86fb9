// Do generated fakes fool classifiers? Fakes, real patches of every class and noise go through the
// same classifiers, and the same questions are asked of each, so that a share means something. A
// conditional generator makes fakes of each class in turn; they are also asked about class by
// class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/model/load_generator.h"
#include "host/options/device_options.h"
#include "host/session/session.h"

namespace patchforge {

struct EvasionJob {
    std::string generator; // run folder, or a generator's .safetensors
    CheckpointChoice checkpoint = CheckpointChoice::latest; // of a run folder
    std::vector<std::string> models; // classifiers of the same patches and classes, or ensembles
    std::string detector;            // a model that stops fakes (class 1), or empty
    std::int64_t count = 10000;      // fakes; of each other row at most as many
    // A network trained to tell fakes from real patches, on half of the patients and fakes.
    bool real_or_fake = false;
    std::int64_t real_or_fake_iterations = 400; // batches of 64
    std::uint64_t seed = 0;

    // Latent codes optimised until a model calls G(z) the class; -1: no search.
    std::int32_t search_target = -1;
    std::string search_against; // one of `models`; empty: the first
    std::int64_t search_count = 256;
    std::int64_t search_steps = 200;
    double search_rate = 0.05;   // Adam's
    double search_prior = 0.001; // weight of ||z||^2 / latent size, which keeps codes likely

    std::filesystem::path
        out; // evasion.csv, evasion.json, report.html, sheets; empty: console only
    JobListeners listeners;
    std::vector<std::string>* verdict = nullptr; // gets what can be concluded, a sentence each
    ModelReading reading;                        // of models that do not say their network
    DeviceOptions device;

    ResultsPlace place() const;
    void validate() const; // std::invalid_argument naming the option
};

// Everything but the set.
void describe(Options& options, EvasionJob& job);

// What one classifier says of one group of patches.
struct EvasionRow {
    std::string group; // "fakes", "fakes: cancer", "real: cancer", "noise", "searched: ..."
    std::string model;
    std::int64_t count = 0;
    std::vector<std::int64_t> called; // of each class
    std::int64_t right = -1;   // called the class that the group is of, or was made as; -1: of none
    std::int64_t above_90 = 0; // confidence (largest probability) above 0.9, 0.99
    std::int64_t above_99 = 0;
    std::vector<double> last_class; // probability of the last class, for histograms
    // Of the group, whatever the model: of how many patches all models say the same, and how many
    // the detector stops; -1: there is but one model, or no detector.
    std::int64_t all_agree = -1;
    std::int64_t detector_stops = -1;
    // Of a search's groups (SearchedDistance); -1: of no search, or of one code alone.
    double frechet_to_fakes = -1;
    double code_mean_square = -1;
};

// `set` gives the real patches, those that no model was trained on as far as their runs say; null:
// fakes and noise alone. Returns what it printed.
std::vector<EvasionRow> run_evasion(const PackedSet* set, const EvasionJob& job);

} // namespace patchforge
