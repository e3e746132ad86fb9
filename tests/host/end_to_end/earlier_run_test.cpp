// Runs that version 0.1.0 began go on, and end in the bytes of a run that was never interrupted.
// Its files differed: params.json held texts, sums of an interval had no names, and a classifier's
// stood in standing.safetensors, before the best score and its epoch.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>

#include "host/files/json_file.h"
#include "host/files/safetensors.h"
#include "host/run/run_folder.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

Outcome run(const std::vector<std::string>& arguments) {
    return run_program("patchforge-cpu", arguments);
}

void draw_patches(const ScratchFolder& folder) {
    const Outcome made =
        run({"tissue", folder / "tissue", "--patients", "5", "--patches", "9", "--size", "8"});
    ASSERT_EQ(made.status, 0) << made.output;
}

std::vector<std::string> gan_training(const ScratchFolder& folder, const std::string& out) {
    return {"train",
            "gan",
            "--data",
            folder / "tissue",
            "--out",
            folder / out,
            "--steps",
            "17",
            "--batch-size",
            "10",
            "--hidden-dim",
            "16",
            "--ema",
            "0.9",
            "--lambda-history",
            "0.01",
            "--log-interval",
            "5",
            "--checkpoint-interval",
            "4",
            "--keep",
            "9",
            "--seed",
            "5"};
}

std::vector<std::string> classifier_training(const ScratchFolder& folder, const std::string& out) {
    return {"train",
            "classifier",
            "--data",
            folder / "tissue",
            "--out",
            folder / out,
            "--test-patients",
            "2",
            "--hidden-dims",
            "16",
            "--epochs",
            "5",
            "--batch-size",
            "10",
            "--adversarial-training",
            "fgsm",
            "--keep",
            "9",
            "--seed",
            "5"};
}

// What a run killed behind its checkpoint of `step` leaves.
fs::path killed_run(const fs::path& whole, const std::string& name, std::int64_t step) {
    const fs::path cut = whole.parent_path() / name;
    fs::copy(whole, cut, fs::copy_options::recursive);
    fs::remove(cut / "report.html");
    for (const Checkpoint& checkpoint : list_checkpoints(cut)) {
        if (checkpoint.step > step) {
            fs::remove_all(checkpoint.folder);
        }
    }
    EXPECT_EQ(latest_checkpoint(cut)->step, step);
    return cut;
}

void make_parameters_texts(const fs::path& run) {
    Json json = read_json(run / "params.json");
    int numbers = 0;
    for (const auto& [name, value] : read_parameters(run)) {
        numbers += json["parameters"][name].is_number();
        json["parameters"][name] = parameter_text(value);
    }
    ASSERT_GT(numbers, 5);
    std::ofstream(run / "params.json") << json.dump(2) << '\n';
}

// Every file of the whole run that tells what was computed, against the other's. As time is no
// result, and the state of an interval has no names in the earlier one's own checkpoints, these are
// left out.
void expect_same(const fs::path& whole, const fs::path& resumed) {
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(whole)) {
        const fs::path file = fs::relative(entry.path(), whole);
        const std::string name = file.filename().string();
        if (!entry.is_regular_file() || name == "log.txt" || name == "timing.json" ||
            name == "report.html" || name == "params.json" || name == "interval.safetensors" ||
            name == "best.safetensors" || name.starts_with("events.out")) {
            continue;
        }
        ++files;
        EXPECT_TRUE(fs::exists(resumed / file) &&
                    bytes_of_file(entry.path()) == bytes_of_file(resumed / file))
            << file;
    }
    EXPECT_GE(files, 10);
}

TEST(EarlierRun, OfAGanGoesOn) {
    const ScratchFolder folder("earlier_gan");
    draw_patches(folder);
    const Outcome whole = run(gan_training(folder, "whole"));
    ASSERT_EQ(whole.status, 0) << whole.output;
    const fs::path cut = killed_run(folder.path() / "whole", "cut", 8);
    make_parameters_texts(cut);
    const fs::path interval = cut / "checkpoints/step_8/interval.safetensors";
    const TensorFile sums = read_safetensors(interval);
    ASSERT_FALSE(sums.metadata.empty());
    ASSERT_EQ(u64(sums.at("count"))[0], 3u);
    write_safetensors(interval, sums.tensors);

    std::vector<std::string> call = gan_training(folder, "cut");
    call.push_back("--resume");
    const Outcome resumed = run(call);
    ASSERT_EQ(resumed.status, 0) << resumed.output;
    EXPECT_NE(resumed.output.find("step_8"), std::string::npos) << resumed.output;
    expect_same(folder.path() / "whole", cut);
}

TEST(EarlierRun, OfAClassifierGoesOn) {
    const ScratchFolder folder("earlier_classifier");
    draw_patches(folder);
    const Outcome whole = run(classifier_training(folder, "whole"));
    ASSERT_EQ(whole.status, 0) << whole.output;
    const std::vector<Checkpoint> checkpoints = list_checkpoints(folder.path() / "whole");
    ASSERT_EQ(checkpoints.size(), 5u);
    const fs::path cut = killed_run(folder.path() / "whole", "cut", checkpoints[2].step);
    make_parameters_texts(cut);
    for (const Checkpoint& checkpoint : list_checkpoints(cut)) {
        Tensor standing{"standing", "F64", {5}, {}};
        for (const auto& [file, tensor] :
             {std::pair{"interval.safetensors", "sums"}, {"best.safetensors", "best"}}) {
            const std::vector<std::byte> bytes =
                read_safetensors(checkpoint.folder / file).at(tensor).bytes;
            standing.bytes.insert(standing.bytes.end(), bytes.begin(), bytes.end());
            fs::remove(checkpoint.folder / file);
        }
        write_safetensors(checkpoint.folder / "standing.safetensors", {standing});
    }

    std::vector<std::string> call = classifier_training(folder, "cut");
    call.push_back("--resume");
    const Outcome resumed = run(call);
    ASSERT_EQ(resumed.status, 0) << resumed.output;
    EXPECT_NE(resumed.output.find(checkpoints[2].folder.filename().string()), std::string::npos)
        << resumed.output;
    expect_same(folder.path() / "whole", cut);
}

// A number that is not finite, in whatever file a verb reads.
TEST(EarlierRun, OfWeightsThatAreNotFiniteIsRefused) {
    const ScratchFolder folder("not_finite");
    draw_patches(folder);
    ASSERT_EQ(run(gan_training(folder, "gan")).status, 0);
    ASSERT_EQ(run(classifier_training(folder, "classifier")).status, 0);
    const fs::path gan = latest_checkpoint(folder.path() / "gan")->folder;
    const fs::path classifier = latest_checkpoint(folder.path() / "classifier")->folder;
    const fs::path best = folder.path() / "classifier/checkpoints/best";
    const std::vector<float> code(64, 0.5F);
    const fs::path codes = folder.path() / "codes.safetensors";
    write_safetensors(codes, {make_f32("latents", {1, 64}, code.data())});
    std::vector<std::string> gan_on = gan_training(folder, "gan"),
                             classifier_on = classifier_training(folder, "classifier");
    gan_on.push_back("--resume");
    classifier_on.push_back("--resume");
    struct Case {
        fs::path file;
        const char* tensor;
        std::vector<std::string> call;
    };
    const std::vector<Case> cases = {
        {gan / "generator_ema.safetensors",
         "0.weight",
         {"generate", "--run", folder / "gan", "--count", "2", "--out", folder / "fakes"}},
        {codes,
         "latents",
         {"generate", "--run", folder / "gan", "--latents", codes.string(), "--out",
          folder / "fakes"}},
        {gan / "generator_ema.safetensors",
         "2.bias",
         {"latent", "interpolate", "--run", folder / "gan", "--out", folder / "sheet.png"}},
        {gan / "discriminator.safetensors", "6.bias", gan_on},
        {gan / "state.safetensors", "generator.first_moment.0.weight", gan_on},
        {gan / "state.safetensors", "mean_of_generator", gan_on},
        {gan / "interval.safetensors", "sums", gan_on},
        {classifier / "classifier.safetensors", "0.bias", classifier_on},
        {best / "classifier.safetensors",
         "0.bias",
         {"attack", "--model", folder / "classifier", "--data", folder / "tissue", "--method",
          "fgsm", "--eps", "1/255", "--out", folder / "attack"}},
        {best / "classifier.safetensors",
         "3.weight",
         {"classify", "--model", folder / "classifier", folder / "tissue"}},
    };
    for (const Case& one : cases) {
        SCOPED_TRACE(one.file.string() + ' ' + one.tensor);
        const std::string good = bytes_of_file(one.file);
        TensorFile file =
            decode_safetensors(std::as_bytes(std::span(good.data(), good.size())), "good");
        for (Tensor& tensor : file.tensors) {
            if (tensor.name == one.tensor) { // the last number, of four or eight bytes
                std::memset(tensor.bytes.data() + tensor.bytes.size() - 4, 0xFF, 4);
            }
        }
        write_safetensors(one.file, file.tensors, file.metadata);
        ASSERT_TRUE(bytes_of_file(one.file) != good);
        const Outcome outcome = run(one.call);
        EXPECT_EQ(outcome.status, 1) << outcome.output;
        EXPECT_NE(outcome.output.find(fmt::format("{}: the tensor '{}' is not finite",
                                                  one.file.string(), one.tensor)),
                  std::string::npos)
            << outcome.output;
        std::ofstream(one.file, std::ios::binary) << good;
    }
    EXPECT_FALSE(fs::exists(folder / "fakes") || fs::exists(folder / "attack"));
}

} // namespace
} // namespace patchforge
