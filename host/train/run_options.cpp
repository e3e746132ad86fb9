#include "host/train/run_options.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string>

#include "host/ranks/job.h"
#include "host/run/parameters_file.h"
#include "host/train/followers.h"

namespace patchforge {

void describe(Options& options, RunOptions& run) {
    options.group("Run");
    options.path("out", run.out, "FOLDER", "folder of the run, e.g. runs/gan")
        .must_be_given()
        .unrecorded();
    options.toggle("resume", run.resume, "go on with the run in --out from its last checkpoint")
        .unrecorded();
    options.number("keep", run.keep, {1, 1000000}, "checkpoints kept").changeable();
    options
        .choice<Placement>("placement", run.placement,
                           {{"auto", Placement::automatic},
                            {"resident", Placement::resident},
                            {"streamed", Placement::streamed}},
                           "where the patches lie in training; auto: on the device if they fit")
        .unrecorded();
    options.number(
        "shards", run.shards, {0, 1024},
        "pieces that each batch is cut into, which the ranks share; the result depends on "
        "them and not on the ranks (0: as many as ranks)");
    options
        .number("rank_timeout", run.rank_timeout, {0.1, 1000000},
                "seconds without a sign of the other ranks after which the job ends")
        .unrecorded();
    describe(options, run.device);
}

TrainingSchedule RunIntervals::schedule(std::int64_t evaluate) const {
    const auto interval = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
    return {interval(log), interval(sample), interval(evaluate), interval(checkpoint)};
}

void describe(Options& options, RunIntervals& intervals, const std::string& sampled) {
    options.group("Run");
    options.number("log_interval", intervals.log, {1, 1000000000}, "iterations a logged line");
    options
        .number("sample_interval", intervals.sample, {0, 1000000000},
                fmt::format("iterations {} (0: at the end)", sampled))
        .changeable();
    options
        .number("checkpoint_interval", intervals.checkpoint, {0, 1000000000},
                "iterations a checkpoint (0: at the end)")
        .changeable();
}

Sharding sharding_of(const RunOptions& run) {
    Sharding sharding{static_cast<int>(run.shards), job_ranks()};
    if (sharding.ranks) {
        sharding.ranks->patience = run.rank_timeout;
    }
    if (run.shards == 0) {
        sharding.shards = sharding.rank_count();
        if (run.resume && sharding.rank() == 0 && is_run_folder(run.out)) {
            for (const auto& [name, value] : read_parameters(run.out)) {
                if (name == "shards") {
                    sharding.shards = std::stoi(parameter_text(value));
                }
            }
        }
        sharding.shards = static_cast<int>(as_on_first(sharding.ranks, sharding.shards));
    }
    if (sharding.shards < sharding.rank_count()) {
        throw std::invalid_argument(
            fmt::format("--shards {}: there are {} ranks, and each needs a shard; start fewer "
                        "ranks, or give more shards to a new run",
                        sharding.shards, sharding.rank_count()));
    }
    return sharding;
}

} // namespace patchforge
