// patchforge study: can people tell fakes from patches? Makes the page, scores its results.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "data/png.h"
#include "host/cli/checkpoint_option.h"
#include "host/cli/open_set.h"
#include "host/cli/options.h"
#include "host/cli/verbs.h"
#include "host/model/load_generator.h"
#include "host/study/study_page.h"
#include "host/study/study_score.h"
#include "kernels/shuffle.h"

namespace patchforge {

namespace {

struct Call {
    DataOptions data;
    DeviceOptions device;
    std::string run;
    std::string checkpoint = "latest";
    std::string out;
    std::string score;
    StudyOptions study;
};

void score(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error(path + ": cannot be read; give the file that the page saved");
    }
    std::ostringstream text;
    text << file.rdbuf();
    try {
        fmt::print("{}", study_table(score_study(text.str())));
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(path + ": " + error.what());
    }
}

void run(const Call& call) {
    if (!call.score.empty()) {
        score(call.score);
        return;
    }
    if (call.run.empty() || call.data.data.empty() || call.out.empty()) {
        throw std::invalid_argument(
            "--run, --data, --out: all three are needed to make a page; or give "
            "--score to score a rater's results");
    }
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    if (set.count() < call.study.count) {
        throw std::invalid_argument(
            fmt::format("--count {}: there are {} patches; give at most that many",
                        call.study.count, set.count()));
    }
    const auto backend = make_backend(call.device.device, call.device.backend);
    LoadedGenerator generator(*backend, call.run, checkpoint_from_name(call.checkpoint));
    std::vector<PngBytes> generated;
    for (const Image& image :
         generator.images().images(generator.images().latents(call.study.count, call.study.seed))) {
        generated.push_back(encode_png(image));
    }
    std::vector<PngBytes> real;
    for (std::int64_t i = 0; i < call.study.count; ++i) {
        const auto row = shuffled_row(call.study.seed, 0, static_cast<std::uint32_t>(i),
                                      static_cast<std::uint32_t>(set.count()));
        const auto patch = set.patch(row);
        real.push_back(
            encode_png({set.width(), set.height(), set.channels(), {patch.begin(), patch.end()}}));
    }
    write_study_page(call.out, real, generated, call.study);
    fmt::print("Open {} in a browser. Score what it saves with `patchforge study --score FILE`\n",
               call.out);
}

} // namespace

void add_study(CLI::App& app) {
    auto call = std::make_shared<Call>();
    CLI::App* verb = app.add_subcommand("study", "a page that asks people: real or generated?");
    add_text(*verb, "--run", call->run, "a GAN's run folder or a generator's weights",
             "FOLDER|FILE");
    add_checkpoint_option(*verb, call->checkpoint);
    add_data_options(*verb, call->data, false);
    add_text(*verb, "--out", call->out, "the page to write, e.g. study.html", "FILE");
    add_number<std::int64_t>(*verb, "--count", call->study.count,
                             "patches in each of the two parts, even", 2, 10000);
    add_number<std::uint64_t>(*verb, "--seed", call->study.seed, "of the choice and the order", 0,
                              ~std::uint64_t{0});
    add_text(*verb, "--title", call->study.title, "heading of the page", "TEXT");
    add_text(*verb, "--score", call->score, "results that a page saved: print their table", "FILE");
    add_device_options(*verb, call->device);
    verb->callback([call] { run(*call); });
}

} // namespace patchforge
