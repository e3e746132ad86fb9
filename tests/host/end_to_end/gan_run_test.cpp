// `train gan` and `generate` as a user runs them: run folders, interruption, resuming, refusals.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "data/picture.h"
#include "host/evaluate/metric_lines.h"
#include "host/files/safetensors.h"
#include "host/run/run_folder.h"
#include "tests/host/end_to_end/program.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

std::string small_patches(const ScratchFolder& folder) {
    const Outcome made = run_program("patchforge-cpu", {"tissue", folder / "tissue", "--patients",
                                                        "4", "--patches", "12", "--size", "10"});
    EXPECT_EQ(made.status, 0) << made.output;
    const Outcome packed =
        run_program("patchforge-cpu", {"pack", folder / "tissue", "--out", folder / "set.pfs"});
    EXPECT_EQ(packed.status, 0) << packed.output;
    return folder / "set.pfs";
}

std::vector<std::string> training(const std::string& set, const std::string& out, int steps,
                                  const std::string& device) {
    return {"train",
            "gan",
            "--data",
            set,
            "--out",
            out,
            "--steps",
            std::to_string(steps),
            "--batch-size",
            "5",
            "--hidden-dim",
            "32",
            "--log-interval",
            "7",
            "--sample-interval",
            "20",
            "--checkpoint-interval",
            "6",
            "--device",
            device,
            "--seed",
            "5"};
}

// Measured while training, in a way that small runs can afford.
std::vector<std::string> evaluated(std::vector<std::string> arguments, const char* interval) {
    arguments.insert(arguments.end(), {"--eval-interval", interval, "--eval-count", "20"});
    return arguments;
}

// What a run knows of its measurements: each step's values, to the last digit, and the best.
std::string evaluations_of(const std::filesystem::path& run,
                           const char* best = "generator.safetensors") {
    std::string all;
    for (const char* metric : {"frechet_distance", "kernel_distance"}) {
        for (const MetricResult& line : read_metric_steps(run, metric)) {
            all += std::to_string(*line.step);
            for (const auto& [name, value] : line.results) {
                all += fmt::format(" {} {:.17g}", name, value);
            }
            all += '\n';
        }
    }
    return all + bytes_of_file(run / "checkpoints/best" / best);
}

// What must not depend on interruptions, as one text: last checkpoint, metrics, last grid.
std::string result_of(const std::filesystem::path& run, int steps) {
    std::string all = bytes_of_file(run / "metrics.csv") + bytes_of_file(run / "images/final.png");
    for (const char* name : {"generator.safetensors", "discriminator.safetensors",
                             "state.safetensors", "interval.safetensors"}) {
        all += bytes_of_file(run / "checkpoints" / ("step_" + std::to_string(steps)) / name);
    }
    return all;
}

void kill_and_resume(const std::string& program, const std::string& device, int steps,
                     const char* interval, int milliseconds) {
    const ScratchFolder folder("kill-" + program);
    const std::string set = small_patches(folder);
    const Outcome whole =
        run_program(program, evaluated(training(set, folder / "whole", steps, device), interval));
    ASSERT_EQ(whole.status, 0) << whole.output;

    const testing::InterruptedRun killed = testing::run_through_kills(
        program, evaluated(training(set, folder / "killed", steps, device), interval),
        folder.path() / "killed", 12, milliseconds);
    ASSERT_EQ(killed.last.status, 0) << killed.last.output;
    EXPECT_GE(killed.kills, 1);
    EXPECT_TRUE(result_of(folder / "whole", steps) == result_of(folder / "killed", steps));
    EXPECT_TRUE(evaluations_of(folder / "whole") == evaluations_of(folder / "killed"));

    // Measuring itself changes nothing.
    std::vector<std::string> arguments = training(set, folder / "alone", steps, device);
    *(std::ranges::find(arguments, "--checkpoint-interval") + 1) = "0"; // each takes its time
    const Outcome alone = run_program(program, arguments);
    ASSERT_EQ(alone.status, 0) << alone.output;
    EXPECT_TRUE(result_of(folder / "whole", steps) == result_of(folder / "alone", steps));
    EXPECT_FALSE(std::filesystem::exists(folder / "alone/checkpoints/best"));
}

TEST(GanRun, KilledAndResumedOnTheCpuEndsInTheSameBytes) {
    kill_and_resume("patchforge-cpu", "cpu", 1800, "100", 15);
}

TEST(GanRun, KilledAndResumedOnCudaEndsInTheSameBytes) {
    kill_and_resume("patchforge-simt", "cuda", 40, "9", 30);
}

// The first stage is a run within the folder of the second, which begins with its generator and leaves it as it is.
TEST(GanRun, TwoStagesKilledAndResumedEndInTheSameBytes) {
    const ScratchFolder folder("stack");
    const Outcome made = run_program("patchforge-cpu", {"tissue", folder / "tissue", "--patients",
                                                        "4", "--patches", "12", "--size", "16"});
    ASSERT_EQ(made.status, 0) << made.output;
    constexpr int steps = 24;
    const auto stack = [&](const std::string& out) {
        return evaluated({"train",
                          "gan",
                          "--data",
                          folder / "tissue",
                          "--out",
                          out,
                          "--preset",
                          "stack",
                          "--steps",
                          std::to_string(steps),
                          "--stage-1-steps",
                          "30",
                          "--batch-size",
                          "6",
                          "--latent-dim",
                          "5",
                          "--condition-dim",
                          "3",
                          "--log-interval",
                          "7",
                          "--checkpoint-interval",
                          "6",
                          "--device",
                          "cpu",
                          "--threads",
                          "1",
                          "--seed",
                          "5"},
                         "12");
    };
    const Outcome whole = run_program("patchforge-cpu", stack(folder / "whole"));
    ASSERT_EQ(whole.status, 0) << whole.output;
    const testing::InterruptedRun killed = testing::run_through_kills(
        "patchforge-cpu", stack(folder / "killed"), folder.path() / "killed/stage-1", 12, 60);
    ASSERT_EQ(killed.last.status, 0) << killed.last.output;
    EXPECT_GE(killed.kills, 2);
    EXPECT_TRUE(result_of(folder / "whole/stage-1", 30) ==
                result_of(folder / "killed/stage-1", 30));
    EXPECT_TRUE(result_of(folder / "whole", steps) == result_of(folder / "killed", steps));
    const char* const best = "generator_ema.safetensors";
    EXPECT_TRUE(evaluations_of(folder / "whole", best) == evaluations_of(folder / "killed", best));

    const TensorFile first =
        read_safetensors(folder / "whole/stage-1/checkpoints/step_30/generator_ema.safetensors");
    for (const char* name : {"generator.safetensors", "generator_ema.safetensors"}) {
        const TensorFile second =
            read_safetensors(folder.path() / "whole/checkpoints/step_24" / name);
        EXPECT_GT(second.tensors.size(), first.tensors.size());
        for (const Tensor& tensor : first.tensors) {
            const auto before = f32(tensor), after = f32(second.at(tensor.name));
            EXPECT_TRUE(std::ranges::equal(before, after)) << name << ", " << tensor.name;
        }
    }
    EXPECT_EQ(read_picture(folder.path() / "whole/images/small.png").height,
              read_picture(folder.path() / "whole/stage-1/images/final.png").height);

    for (const auto& [run, side] :
         {std::pair(folder / "whole", 16), {folder / "whole/stage-1", 8}}) {
        const Outcome fakes =
            run_program("patchforge-cpu", {"generate", "--run", run, "--class", "all", "--count",
                                           "6", "--out", folder / "fakes", "--device", "cpu"});
        ASSERT_EQ(fakes.status, 0) << fakes.output;
        EXPECT_EQ(read_picture(folder.path() / "fakes/1/fake_000001.png").width, side);
    }
    const Outcome scores =
        run_program("patchforge-cpu", {"evaluate", "--run", folder / "whole", "--data",
                                       folder / "tissue", "--count", "40", "--device", "cpu"});
    EXPECT_EQ(scores.status, 0) << scores.output;

    // Nothing is trained where the second stage could not be kept.
    const Outcome again = run_program("patchforge-cpu", stack(folder / "whole"));
    EXPECT_NE(again.status, 0);
    EXPECT_NE(again.output.find("holds a run already"), std::string::npos) << again.output;
    const Outcome foreign = run_program("patchforge-cpu", stack(folder / "tissue"));
    EXPECT_NE(foreign.output.find("is not empty"), std::string::npos) << foreign.output;
    EXPECT_FALSE(std::filesystem::exists(folder / "tissue/stage-1"));
}

// 128 + the signal after saving, so that a shell's && does not go on; the run that goes on ends in the same bytes.
TEST(GanRun, SignalsSaveAndSayWhichTheyWere) {
    const ScratchFolder folder("signals");
    const std::string set = small_patches(folder);
    const auto call = [&](const std::string& out) { // only the signal saves
        return testing::with_options(training(set, out, 6000, "cpu"),
                                     {"--checkpoint-interval", "0"});
    };
    const Outcome whole = run_program("patchforge-cpu", call(folder / "whole"));
    ASSERT_EQ(whole.status, 0) << whole.output;
    std::vector<std::string> arguments;
    int answered = 0;
    for (int late = 0; answered == 0; ++late) { // a busy machine lets the run end before the signal
        ASSERT_LT(late, 20);
        std::filesystem::remove_all(folder / "run");
        arguments = call(folder / "run");
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            const Outcome stopped =
                testing::run_and_signal("patchforge-cpu", arguments, "Step [", signal);
            ASSERT_TRUE(stopped.status == 128 + signal || stopped.status == 0) << stopped.output;
            if (stopped.status != 0) {
                ++answered;
                EXPECT_NE(stopped.output.find("everything is saved"), std::string::npos)
                    << stopped.output;
                ASSERT_TRUE(latest_checkpoint(folder / "run"));
            }
            if (arguments.back() != "--resume") {
                arguments.emplace_back("--resume");
            }
        }
    }
    const Outcome last = run_program("patchforge-cpu", arguments);
    ASSERT_EQ(last.status, 0) << last.output;
    EXPECT_TRUE(result_of(folder / "whole", 6000) == result_of(folder / "run", 6000));
}

// A bit that the disk lost: the newest checkpoint but it goes on, and says so.
TEST(GanRun, GoesOnFromTheNewestWholeCheckpoint) {
    const ScratchFolder folder("damaged");
    const std::string set = small_patches(folder);
    const std::vector<std::string> arguments = training(set, folder / "run", 40, "cpu");
    ASSERT_EQ(run_program("patchforge-cpu", arguments).status, 0);
    const std::string whole = result_of(folder / "run", 40);
    const std::string state = folder / "run/checkpoints/step_40/discriminator.safetensors";
    std::string bytes = bytes_of_file(state);
    bytes[bytes.size() - 7] ^= 0x10;
    put(state, bytes);
    const Outcome fakes =
        run_program("patchforge-cpu", {"generate", "--run", folder / "run", "--grid",
                                       folder / "g.png", "--count", "4"});
    EXPECT_EQ(fakes.status, 0) << fakes.output;
    EXPECT_NE(fakes.output.find("taking the newest whole checkpoint"), std::string::npos);
    std::vector<std::string> again = arguments;
    again.emplace_back("--resume");
    const Outcome resumed = run_program("patchforge-cpu", again);
    EXPECT_EQ(resumed.status, 0) << resumed.output;
    EXPECT_NE(resumed.output.find("checksum"), std::string::npos) << resumed.output;
    EXPECT_NE(resumed.output.find("step_40.damaged"), std::string::npos) << resumed.output;
    EXPECT_TRUE(result_of(folder / "run", 40) == whole);
}

TEST(GanRun, LeavesACompleteFolder) {
    const ScratchFolder folder("run");
    const std::string set = small_patches(folder);
    const Outcome outcome = run_program("patchforge-cpu", training(set, folder / "run", 40, "cpu"));
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    for (const char* name : {"params.json", "log.txt", "metrics.csv", "report.html",
                             "latents.safetensors", "images/real.png", "images/final.png",
                             "images/fake_step_0000020.png", "checkpoints/step_40"}) {
        EXPECT_TRUE(std::filesystem::exists(folder.path() / "run" / name)) << name;
    }
    EXPECT_NE(outcome.output.find("Step ["), std::string::npos);
    EXPECT_NE(outcome.output.find("D(G(z)): "), std::string::npos);
    const std::string report = bytes_of_file(folder.path() / "run/report.html");
    EXPECT_EQ(report.find("http://"), report.find("http://www.w3.org")); // nothing is fetched
    EXPECT_LT(report.size(), 5'000'000u);
    EXPECT_NE(report.find("million operations"), std::string::npos); // the networks as tables

    // A finished run has nothing left to do, and says so by ending well.
    std::vector<std::string> again = training(set, folder / "run", 40, "cpu");
    again.push_back("--resume");
    EXPECT_EQ(run_program("patchforge-cpu", again).status, 0);
    // More steps may be asked for later.
    again = training(set, folder / "run", 50, "cpu");
    again.push_back("--resume");
    EXPECT_EQ(run_program("patchforge-cpu", again).status, 0);
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "run/checkpoints/step_50"));
}

TEST(GanRun, KeepsItsPrecision) {
    const ScratchFolder folder("precision");
    const std::string set = small_patches(folder);
    const auto training_in = [&](const std::string& precision, int steps) {
        std::vector<std::string> arguments = training(set, folder / "run", steps, "cpu");
        arguments.insert(arguments.end(), {"--precision", precision});
        return arguments;
    };
    const Outcome first = run_program("patchforge-cpu", training_in("bf16", 6));
    ASSERT_EQ(first.status, 0) << first.output;
    EXPECT_NE(first.output.find("bf16 products"), std::string::npos) << first.output;
    EXPECT_NE(bytes_of_file(folder.path() / "run/params.json").find("\"precision\": \"bf16\""),
              std::string::npos);
    std::vector<std::string> again = training_in("tf32", 12);
    again.push_back("--resume");
    const Outcome other = run_program("patchforge-cpu", again);
    EXPECT_EQ(other.status, 2);
    EXPECT_NE(other.output.find("precision: bf16 -> tf32"), std::string::npos) << other.output;
    again = training_in("bf16", 12);
    again.push_back("--resume");
    EXPECT_EQ(run_program("patchforge-cpu", again).status, 0);
}

TEST(GanRun, RefusesOtherParametersOnResume) {
    const ScratchFolder folder("params");
    const std::string set = small_patches(folder);
    ASSERT_EQ(run_program("patchforge-cpu", training(set, folder / "run", 10, "cpu")).status, 0);
    std::vector<std::string> changed = training(set, folder / "run", 20, "cpu");
    changed.insert(changed.end(), {"--lr", "0.5", "--resume"});
    const Outcome outcome = run_program("patchforge-cpu", changed);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.output.find("lr_d: 0.0002 -> 0.5"), std::string::npos) << outcome.output;
    const Outcome fresh = run_program("patchforge-cpu", training(set, folder / "run", 10, "cpu"));
    EXPECT_EQ(fresh.status, 2);
    EXPECT_NE(fresh.output.find("--resume"), std::string::npos) << fresh.output;
}

TEST(GanRun, StopsWhereALossIsNotFinite) {
    const ScratchFolder folder("nan");
    const std::string set = small_patches(folder);
    ASSERT_EQ(run_program("patchforge-cpu", training(set, folder / "run", 12, "cpu")).status, 0);
    // The last tensor's weights become 3e38: the next step's logits are infinite.
    const std::string weights = folder / "run/checkpoints/step_12/discriminator.safetensors";
    TensorFile file = read_safetensors(weights);
    Tensor& last = file.tensors.back();
    const std::vector<float> huge(static_cast<std::size_t>(last.size()), 3e38f);
    last = make_f32(last.name, last.shape, huge.data());
    write_safetensors(weights, file.tensors, file.metadata);
    std::vector<std::string> more = training(set, folder / "run", 20, "cpu");
    more.push_back("--resume");
    const Outcome outcome = run_program("patchforge-cpu", more);
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    const auto names = [&](const std::string& loss) {
        return outcome.output.find("step 13: " + loss +
                                   " is not finite; the last good checkpoint is ") !=
               std::string::npos;
    };
    EXPECT_TRUE(names("d_loss_real") || names("d_loss_fake")) << outcome.output;
    EXPECT_NE(outcome.output.find("step_12"), std::string::npos) << outcome.output;
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "run/checkpoints/step_18"));
}

TEST(GanRun, AnUnwritableFolderIsAClearError) {
    const ScratchFolder folder("unwritable");
    const std::string set = small_patches(folder);
    std::ofstream(folder / "file") << "not a folder";
    const Outcome outcome =
        run_program("patchforge-cpu", training(set, folder / "file/run", 10, "cpu"));
    EXPECT_NE(outcome.status, 0);
    EXPECT_NE(outcome.output.find("patchforge: error: "), std::string::npos) << outcome.output;
}

TEST(GanRun, GenerateGivesTheSameBytesForTheSameSeed) {
    const ScratchFolder folder("generate");
    const std::string set = small_patches(folder);
    ASSERT_EQ(run_program("patchforge-cpu", training(set, folder / "run", 10, "cpu")).status, 0);
    for (const char* out : {"a", "b"}) {
        const Outcome outcome =
            run_program("patchforge-cpu", {"generate", "--run", folder / "run", "--count", "9",
                                           "--seed", "3", "--out", folder / out, "--grid",
                                           folder / (std::string(out) + ".png"), "--nrow", "3"});
        ASSERT_EQ(outcome.status, 0) << outcome.output;
    }
    EXPECT_EQ(bytes_of_file(folder / "a.png"), bytes_of_file(folder / "b.png"));
    EXPECT_EQ(bytes_of_file(folder / "a/fake_000008.png"),
              bytes_of_file(folder / "b/fake_000008.png"));
    EXPECT_NE(bytes_of_file(folder / "a/fake_000007.png"),
              bytes_of_file(folder / "a/fake_000008.png"));
    put(folder / "mine.png", "a picture of somebody's");
    for (const auto& [file, status] : {std::pair("a.png", 0), std::pair("mine.png", 2)}) {
        const Outcome again =
            run_program("patchforge-cpu", {"generate", "--run", folder / "run", "--count", "9",
                                           "--seed", "3", "--nrow", "3", "--grid", folder / file});
        EXPECT_EQ(again.status, status) << again.output;
    }
    EXPECT_EQ(bytes_of_file(folder / "a.png"), bytes_of_file(folder / "b.png"));
    EXPECT_EQ(bytes_of_file(folder / "mine.png"), "a picture of somebody's");
    // The run's own latents make the run's own last picture.
    const Outcome outcome = run_program(
        "patchforge-cpu",
        {"generate", "--weights", folder / "run/checkpoints/step_10/generator.safetensors",
         "--latents", folder / "run/latents.safetensors", "--grid", folder / "c.png"});
    ASSERT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_EQ(bytes_of_file(folder / "c.png"), bytes_of_file(folder / "run/images/final.png"));
}

// Codes multiplied by nearly nothing make nearly one picture, whatever the seed; by 1 the same.
TEST(GanRun, TruncationDrawsFakesTogether) {
    const ScratchFolder folder("truncation");
    const std::string set = small_patches(folder);
    std::vector<std::string> conditional = training(set, folder / "run", 10, "cpu");
    conditional.push_back("--conditional");
    ASSERT_EQ(run_program("patchforge-cpu", conditional).status, 0);
    const auto grid = [&](const std::string& seed, const std::string& truncation) {
        const std::string file = folder / (seed + '-' + truncation + ".png");
        std::vector<std::string> call = {"generate", "--run", folder / "run", "--count", "2",
                                         "--class",  "1",     "--grid",       file,      "--seed",
                                         seed};
        if (!truncation.empty()) {
            call.insert(call.end(), {"--truncation", truncation});
        }
        const Outcome outcome = run_program("patchforge-cpu", call);
        EXPECT_EQ(outcome.status, 0) << outcome.output;
        return read_picture(file).pixels;
    };
    const auto furthest = [](const auto& a, const auto& b) {
        int distance = a.size() == b.size() ? 0 : 256;
        for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
            distance = std::max(distance, std::abs(int{a[i]} - int{b[i]}));
        }
        return distance;
    };
    EXPECT_EQ(grid("3", "1"), grid("3", ""));
    EXPECT_GT(furthest(grid("3", ""), grid("4", "")), 3);
    EXPECT_LE(furthest(grid("3", "0.001"), grid("4", "0.001")), 1);
}

TEST(RealData, PackTrainGenerateResume) {
    const auto idc = testing::real_data("idc");
    if (idc.empty()) {
        GTEST_SKIP() << "the real patches (../shared/data/idc) are not here";
    }
    const ScratchFolder folder("idc");
    const Outcome packed =
        run_program("patchforge-cpu", {"pack", idc.string(), "--out", folder / "idc.pfs"});
    ASSERT_EQ(packed.status, 0) << packed.output;
    EXPECT_NE(packed.output.find("5048 of 5127 patches"), std::string::npos) << packed.output;
    const auto arguments = [&](const char* steps) {
        return std::vector<std::string>{"train",    "gan",          "--data",  folder / "idc.pfs",
                                        "--out",    folder / "run", "--steps", steps,
                                        "--preset", "seed-b10"};
    };
    const Outcome first = run_program("patchforge-cpu", arguments("20"));
    ASSERT_EQ(first.status, 0) << first.output;
    auto more = arguments("30");
    more.push_back("--resume");
    const Outcome second = run_program("patchforge-cpu", more);
    ASSERT_EQ(second.status, 0) << second.output;
    EXPECT_NE(second.output.find("Resumed from"), std::string::npos) << second.output;
    const Outcome generated =
        run_program("patchforge-cpu", {"generate", "--run", folder / "run", "--count", "3", "--out",
                                       folder / "fakes"});
    EXPECT_EQ(generated.status, 0) << generated.output;
}

} // namespace
} // namespace patchforge
