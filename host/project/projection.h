// The nearest picture that a generator can make to a given one: a photograph, a scribble, or a part of
// one. Many starts, Adam on the code with its prior; the best goes on without it. docs/projection.md says
// what that teaches.
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

struct ProjectionJob {
    std::string generator; // run folder, or a generator's .safetensors
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::vector<std::string> pictures; // files of the generator's size
    std::int64_t real = 8;             // patches of the set that are projected, too
    std::int64_t own = 8;              // pictures of the generator itself: what the search can find
    std::string mask;     // a picture of that size: what is black is free; empty: nothing is
    std::string features; // a classifier, or empty: pixels alone
    double features_weight = 0.1;
    std::int64_t starts = 32; // codes that the search begins with, a picture
    std::int64_t steps = 300;
    std::int64_t polish =
        500;            // further steps of the best code, without prior, at a rate that falls
    double rate = 0.05; // Adam's
    double prior = 0.001;
    std::uint64_t seed = 0;
    std::filesystem::path out; // pictures, codes, projection.json, report.html
    DeviceOptions device;

    void validate() const; // std::invalid_argument naming the option
    ResultsPlace place() const;
};

void describe(Options& options, ProjectionJob& job);

struct Projected {
    std::string group; // "own", "real", "given"
    std::string name;
    double levels = 0;        // root mean square difference in levels of 255, inside the mask
    double nearest_start = 0; // the same of the nearest of the codes that the search began with
    double code_square = 0;   // mean square of the code's numbers; 1 is expected of N(0, 1)
};

// `set` gives real patches, those that the generator did not see as far as its run says; null: none.
// Returns what it printed. Throws std::runtime_error for pictures of another size.
std::vector<Projected> run_projection(const PackedSet* set, const ProjectionJob& job);

} // namespace patchforge
