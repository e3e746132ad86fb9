// patchforge study: can people tell fakes from patches? Makes the page, scores its results.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "data/png.h"
#include "host/cli/verbs.h"
#include "host/files/json_file.h"
#include "host/model/load_generator.h"
#include "host/options/device_options.h"
#include "host/session/named_file.h"
#include "host/session/open_set.h"
#include "host/study/study_page.h"
#include "host/study/study_score.h"
#include "host/train/batches.h"
#include "kernels/shuffle.h"

namespace patchforge {

namespace {

struct StudyCall {
    DataOptions data;
    DeviceOptions device;
    std::string run;
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::string out;
    std::string score;
    StudyOptions study;
};

void score(const std::string& path) {
    fmt::print("{}", study_table(score_study(read_text(path), path)));
}

void run(const StudyCall& call) {
    if (!call.score.empty()) {
        score(call.score);
        return;
    }
    if (call.run.empty() || call.data.data.empty() || call.out.empty()) {
        throw std::invalid_argument(
            "--run, --data, --out: all three are needed to make a page; or give "
            "--score to score a rater's results");
    }
    check_named_file("--out", call.out, "id=\"study-data\"");
    const PackedSet set = open_set(call.data, call.device.backend.threads);
    if (set.count() < call.study.count) {
        throw std::invalid_argument(
            fmt::format("--count {}: there are {} patches; give at most that many",
                        call.study.count, set.count()));
    }
    const auto backend = call.device.make();
    LoadedGenerator generator(*backend, call.run, call.checkpoint);
    std::vector<PngBytes> generated;
    for (const Image& image :
         generator.images().images(generator.images().latents(call.study.count, call.study.seed))) {
        generated.push_back(encode_png(image));
    }
    std::vector<PngBytes> real;
    for (std::int64_t i = 0; i < call.study.count; ++i) {
        const auto row = shuffled_row(call.study.seed, 0, static_cast<std::uint32_t>(i),
                                      static_cast<std::uint32_t>(set.count()));
        real.push_back(encode_png(picture_of(rows_of(set), row)));
    }
    write_study_page(call.out, real, generated, call.study);
    fmt::print("Open {} in a browser. Score what it saves with `patchforge study --score FILE`\n",
               call.out);
}

} // namespace

Verb study_verb() {
    auto call = std::make_shared<StudyCall>();
    Verb verb{.name = "study", .summary = "a page that asks people: real or generated?"};
    Options& options = verb.options;
    options.text("run", call->run, "FOLDER|FILE", "a GAN's run folder or a generator's weights");
    describe_checkpoint(options, call->checkpoint);
    options.text("out", call->out, "FILE", "the page to write, e.g. study.html");
    options.number("count", call->study.count, {2, 10000},
                   "patches in each of the two parts, even");
    options.number("seed", call->study.seed, any_seed, "of the choice and the order");
    options.text("title", call->study.title, "TEXT", "heading of the page");
    options.text("score", call->score, "FILE", "results that a page saved: print their table");
    describe_data(options, call->data, DataNeed::optional);
    describe(options, call->device);
    verb.examples = {"study --run runs/gan --data patches --out study.html --count 40",
                     "study --score answers.json"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
