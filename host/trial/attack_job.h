// Everything behind `patchforge attack`: which patches, which models, which attacks; tables, curve,
// sheets, saved images, warnings, and one page that holds them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "host/attack/attack_options.h"
#include "host/model/brought_in.h"
#include "host/options/device_options.h"
#include "host/session/session.h"

namespace patchforge {

struct AttackJob {
    // Each victim is one classifier or, with several paths, an ensemble (mean logit). More than one
    // victim: the table of defences, or with `transfer` a matrix of sources and targets for every
    // method and budget.
    std::vector<std::vector<std::string>> victims;
    std::string detector; // a model in front, or empty
    std::vector<const AttackMethod*> methods = {attack_method("pgd")};
    AttackOptions options; // of all methods; its own `method` is not read
    std::vector<double> epsilons = {0, 1 / 255.0, 2 / 255.0, 4 / 255.0, 8 / 255.0};
    std::string rows = "auto"; // as choose_rows() says
    std::int64_t count = 0;    // at most so many patches, evenly spaced; 0: all
    bool transfer = false;
    bool sanity = true; // the checks that expose a broken evaluation
    bool save = false;  // PNG files of every attack
    std::filesystem::path
        out; // attack.csv, attack.json, curve.svg, report.html, ...; empty: console only
    JobListeners listeners;
    ModelReading reading; // of models that do not say their network
    DeviceOptions device;

    // All paths of models that will see the patches.
    std::vector<std::string> models() const;
    // Every budget of a method, as (eps, lambda).
    std::vector<std::pair<double, double>> budgets(const AttackMethod& method) const;
    // Where `save` puts the pictures of one of them.
    std::filesystem::path save_folder(const AttackMethod& method, double epsilon,
                                      double lambda) const;
    std::vector<std::filesystem::path> save_folders() const; // of all of them
    ResultsPlace place() const;                              // `out` and what must not lie in it

    double largest_epsilon() const;
    // Why the evaluation is not checked; empty: it is.
    std::string why_unchecked() const;

    // Throws std::invalid_argument naming the option, also where `out` holds something that must
    // not be overwritten.
    void validate() const;
};

// Everything but the set.
void describe(Options& options, AttackJob& job);

void run_attack_job(const PackedSet& set, const AttackJob& job);

} // namespace patchforge
