#include "host/project/projection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "data/picture.h"
#include "host/attack/latent_search.h"
#include "host/evaluate/image_extractors.h"
#include "host/files/json.h"
#include "host/files/safetensors.h"
#include "host/page/image_grid.h"
#include "host/page/report.h"
#include "host/page/text_table.h"
#include "host/project/picture_distance.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "host/session/loaded_models.h"
#include "host/session/open_set.h"
#include "kernels/shuffle.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;

// Pictures to project, [count, pixels].
struct Targets {
    std::vector<std::string> groups;
    std::vector<std::string> names;
    std::vector<std::uint8_t> bytes;

    std::int64_t count() const { return std::ssize(names); }
    void add(const std::string& group, const std::string& name,
             std::span<const std::uint8_t> picture) {
        groups.push_back(group);
        names.push_back(name);
        bytes.insert(bytes.end(), picture.begin(), picture.end());
    }
};

std::vector<std::uint8_t> read_of_size(const std::string& path, const GeneratorFormat& format) {
    return read_picture_of_size(path, format.channels, format.width, format.height,
                                "the generator makes")
        .pixels;
}

class Search {
  public:
    explicit Search(const ProjectionJob& job)
        : job_(job), backend_(job.device.make()), loaded_(*backend_, job.generator, job.checkpoint),
          format_(loaded_.images().format()), pixels_(format_.extent().size()) {
        if (!job.features.empty()) {
            classifier_ = load_classifier(*backend_, "--features", job.features, pixels_,
                                          "the generator makes");
        }
    }

    void collect(const PackedSet* set);
    std::vector<Projected> project();
    void write() const;
    /// Throws where pictures were left out.
    void name_faults() const {
        if (!faults_.empty()) {
            throw std::runtime_error(fmt::format("{} of {} not projected: {}", faults_.size(),
                                                 job_.pictures.size(), fmt::join(faults_, "\n  ")));
        }
    }

  private:
    void polish(const LatentSearchOptions& options);
    double levels_apart(std::size_t target, const std::uint8_t* picture) const;
    std::vector<Image> row_of(std::size_t target) const;
    Image image_of(std::span<const std::uint8_t> bytes) const {
        return {format_.width, format_.height, format_.channels, {bytes.begin(), bytes.end()}};
    }
    std::string verdict() const;

    const ProjectionJob& job_;
    std::unique_ptr<Backend> backend_;
    LoadedGenerator loaded_;
    GeneratorFormat format_;
    std::int64_t pixels_;
    std::unique_ptr<ClassifierModel> classifier_;
    std::vector<std::uint8_t> mask_;
    Targets targets_;
    std::vector<std::string> faults_; // of given pictures
    std::vector<float> codes_;        // the best of each target
    std::vector<std::uint8_t> found_; // their pictures
    std::vector<Projected> results_;
};

void Search::collect(const PackedSet* set) {
    if (!job_.mask.empty()) {
        mask_ = read_of_size(job_.mask, format_);
        if (std::ranges::count(mask_, 0) == std::ssize(mask_)) {
            throw std::invalid_argument(
                fmt::format("--mask {}: is black, so nothing is asked for; what shall be kept is "
                            "white",
                            job_.mask));
        }
    }
    for (const std::string& path : job_.pictures) {
        try {
            targets_.add("given", path, read_of_size(path, format_));
        } catch (
            const std::runtime_error& error) { // one that cannot be read costs the others nothing
            faults_.emplace_back(error.what());
        }
    }
    if (!faults_.empty() && faults_.size() == job_.pictures.size()) {
        throw std::runtime_error(fmt::format("{}", fmt::join(faults_, "\n  ")));
    }
    if (set) {
        if (extent_of(*set) != format_.extent()) {
            throw std::runtime_error(
                fmt::format("the patches are {}, the generator makes {}; give patches of that size",
                            extent_of(*set).text(), format_.extent().text()));
        }
        const auto available = static_cast<std::uint32_t>(set->count());
        for (std::uint32_t i = 0; i < std::min<std::int64_t>(job_.real, available); ++i) {
            const auto row = static_cast<std::int64_t>(shuffled_row(job_.seed, 0, i, available));
            targets_.add("real", std::string(set->name(row)), set->patch(row));
        }
    }
    // Seeds of the search begin at job_.seed; those of these pictures lie far from them. Their noise is
    // that under which they will be searched for.
    const std::vector<std::uint8_t> own = loaded_.images().bytes(
        loaded_.images().latents(job_.own, job_.seed + 0x9E3779B97F4A7C15u), targets_.count());
    for (std::int64_t i = 0; i < job_.own; ++i) {
        targets_.add("own", fmt::format("own {}", i + 1),
                     std::span(own).subspan(static_cast<std::size_t>(i * pixels_),
                                            static_cast<std::size_t>(pixels_)));
    }
    if (targets_.count() == 0) {
        throw std::invalid_argument(
            "pictures, --data, --own: nothing to project; give one of them");
    }
}

double Search::levels_apart(std::size_t target, const std::uint8_t* picture) const {
    const std::uint8_t* const wanted =
        targets_.bytes.data() + target * static_cast<std::size_t>(pixels_);
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t p = 0; p < pixels_; ++p) {
        if (mask_.empty() || mask_[p]) {
            const double apart = double{static_cast<double>(picture[p])} - wanted[p];
            sum += apart * apart;
            ++count;
        }
    }
    return std::sqrt(sum / static_cast<double>(count));
}

std::vector<Projected> Search::project() {
    ImageGenerator& images = loaded_.images();
    const auto width = static_cast<std::size_t>(images.latent_dim());
    const auto pixels = static_cast<std::size_t>(pixels_);
    const auto starts = static_cast<std::size_t>(job_.starts);
    LatentSearchOptions options{.steps = job_.steps,
                                .learning_rate = job_.rate,
                                .prior = job_.prior,
                                .numbers = images.latent_dim() - std::ssize(format_.classes),
                                .in_unit_box = format_.latent == "uniform"};
    PictureDistance objective(*backend_, targets_.bytes, pixels_, job_.starts, LatentSearch::batch,
                              {classifier_.get(), job_.features_weight, mask_});
    // The same starts for every picture, of each class in turn.
    const std::vector<float> drawn = images.latents(job_.starts, job_.seed);
    const std::vector<std::uint8_t> began = images.bytes(drawn);
    std::vector<float> all;
    for (std::int64_t t = 0; t < targets_.count(); ++t) {
        all.insert(all.end(), drawn.begin(), drawn.end());
    }
    ProgressBar bar("project", std::ssize(all) / images.latent_dim(), "codes");
    const std::vector<float> searched =
        LatentSearch(loaded_.network(), objective, options).run(all, [&](std::int64_t done) {
            bar.update(done);
        });
    for (std::size_t t = 0; t < targets_.names.size(); ++t) {
        const auto first = searched.begin() + static_cast<std::ptrdiff_t>(t * starts * width);
        const std::vector<float> codes(first, first + static_cast<std::ptrdiff_t>(starts * width));
        const std::vector<std::uint8_t> pictures =
            images.bytes(codes, static_cast<std::int64_t>(t * starts));
        const auto target = std::span(targets_.bytes).subspan(t * pixels, pixels);
        std::vector<std::uint8_t> wanted;
        for (std::size_t s = 0; s < starts; ++s) {
            wanted.insert(wanted.end(), target.begin(), target.end());
        }
        const std::vector<double> distances = objective.distances(pictures, wanted);
        const auto best =
            static_cast<std::size_t>(std::ranges::min_element(distances) - distances.begin());
        const float* const code = codes.data() + best * width;
        codes_.insert(codes_.end(), code, code + width);
    }
    found_ = images.bytes(codes_);
    if (job_.polish > 0) {
        options.steps = job_.polish;
        options.prior = 0;
        options.rate_falls = true;
        polish(options);
    }
    for (std::size_t t = 0; t < targets_.names.size(); ++t) {
        Projected result{targets_.groups[t], targets_.names[t],
                         levels_apart(t, found_.data() + t * pixels), 1e9, 0};
        for (std::size_t s = 0; s < starts; ++s) {
            result.nearest_start =
                std::min(result.nearest_start, levels_apart(t, began.data() + s * pixels));
        }
        const float* const code = codes_.data() + t * width;
        for (std::int64_t n = 0; n < options.numbers; ++n) {
            result.code_square += double{code[n]} * code[n] / static_cast<double>(options.numbers);
        }
        results_.push_back(result);
    }
    return results_;
}

// The best codes go on; one that ends farther away stays as it was.
void Search::polish(const LatentSearchOptions& options) {
    const auto pixels = static_cast<std::size_t>(pixels_);
    PictureDistance objective(*backend_, targets_.bytes, pixels_, 1, LatentSearch::batch,
                              {classifier_.get(), job_.features_weight, mask_});
    ProgressBar bar("polish", targets_.count(), "codes");
    const std::vector<float> codes =
        LatentSearch(loaded_.network(), objective, options).run(codes_, [&](std::int64_t done) {
            bar.update(done);
        });
    const std::vector<std::uint8_t> pictures = loaded_.images().bytes(codes);
    const std::vector<double> before = objective.distances(found_, targets_.bytes);
    const std::vector<double> after = objective.distances(pictures, targets_.bytes);
    const std::size_t width = codes.size() / after.size();
    for (std::size_t t = 0; t < after.size(); ++t) {
        if (after[t] < before[t]) {
            std::copy_n(codes.data() + t * width, width, codes_.data() + t * width);
            std::copy_n(pictures.data() + t * pixels, pixels, found_.data() + t * pixels);
        }
    }
}

std::vector<Image> Search::row_of(std::size_t target) const {
    const auto size = static_cast<std::size_t>(pixels_);
    const auto wanted = std::span(targets_.bytes).subspan(target * size, size);
    const auto found = std::span(found_).subspan(target * size, size);
    std::vector<std::uint8_t> difference(size), asked(wanted.begin(), wanted.end());
    for (std::size_t p = 0; p < size; ++p) {
        const bool counts = mask_.empty() || mask_[p];
        difference[p] = static_cast<std::uint8_t>(
            counts ? std::clamp(128 + (found[p] - wanted[p]) / 2, 0, 255) : 128);
        asked[p] = counts ? asked[p] : 255;
    }
    return {image_of(asked), image_of(found), image_of(difference)};
}

// Means of the groups, and what may be concluded from them.
std::string Search::verdict() const {
    const auto mean_of = [&](const std::string& group) {
        double sum = 0;
        std::int64_t count = 0;
        for (const Projected& result : results_) {
            sum += result.group == group ? result.levels : 0;
            count += result.group == group;
        }
        return count > 0 ? sum / static_cast<double>(count) : std::nan("");
    };
    std::string text;
    const double own = mean_of("own"), real = mean_of("real"), given = mean_of("given");
    if (std::isfinite(own)) {
        text += fmt::format("The generator's own pictures are found again to {:.1f} levels: so far "
                            "the search reaches. ",
                            own);
    }
    if (std::isfinite(real)) {
        text += fmt::format("Real patches come back to {:.1f} levels{}. ", real,
                            std::isfinite(own) && real > 2 * own
                                ? "; what lies between is what the generator cannot make"
                                : "");
    }
    if (std::isfinite(given)) {
        text += fmt::format("The given pictures come back to {:.1f} levels. ", given);
    }
    text.pop_back();
    return text;
}

void Search::write() const {
    std::vector<std::vector<std::string>> rows;
    for (const Projected& result : results_) {
        rows.push_back({result.group, result.name, fmt::format("{:.2f}", result.levels),
                        fmt::format("{:.2f}", result.nearest_start),
                        fmt::format("{:.2f}", result.code_square)});
    }
    const std::vector<std::string> columns = {"group", "picture", "levels apart", "nearest start",
                                              "mean square of the code"};
    fmt::print("{}{}\n", table_text(columns, rows), verdict());
    if (job_.out.empty()) {
        return;
    }
    Session session(job_.place());
    Json pictures = Json::array();
    PictureSheet sheet{{}, {"picture", "nearest", "difference"}, {}, 2};
    for (std::size_t t = 0; t < results_.size(); ++t) {
        const Projected& result = results_[t];
        pictures.push_back({{"code_square", result.code_square},
                            {"group", result.group},
                            {"levels", result.levels},
                            {"name", result.name},
                            {"nearest_start", result.nearest_start}});
        sheet.rows.push_back(row_of(t));
        sheet.row_names.push_back(
            fmt::format("{}: {:.1f}", fs::path(result.name).filename().string(), result.levels));
        write_png(job_.out / fmt::format("nearest_{:04}.png", t), sheet.rows.back()[1]);
    }
    Report report("The nearest picture that the generator can make",
                  fmt::format("{}: {} starts of {} steps a picture, {} more of the best, seed {}.",
                              loaded_.weights().string(), job_.starts, job_.steps, job_.polish,
                              job_.seed));
    report.lead(verdict());
    report.section("Pictures");
    report.sheet(sheet, "What was asked for (white where it was free), the nearest picture, and "
                        "half of the difference around grey.");
    report.section("Figures");
    report.table("Levels of 255, root mean square. The nearest of the pictures that the search "
                 "began with says what no search at all would give. Codes far above 1 in mean "
                 "square are unlikely ones.",
                 columns, rows);
    report.settings("project", {{"prior", fmt::format("{}", job_.prior)},
                                {"rate", fmt::format("{}", job_.rate)},
                                {"features", job_.features.empty() ? "none" : job_.features},
                                {"mask", job_.mask.empty() ? "none" : job_.mask}});
    const std::vector<std::int64_t> shape = {std::ssize(results_),
                                             std::ssize(codes_) / std::ssize(results_)};
    const std::vector<Tensor> codes = {make_f32("latents", shape, codes_.data())};
    write_safetensors(job_.out / "codes.safetensors", codes);
    const Json json{{"generator", loaded_.weights().string()},
                    {"pictures", std::move(pictures)},
                    {"polish", job_.polish},
                    {"prior", job_.prior},
                    {"program", version_text()},
                    {"seed", job_.seed},
                    {"starts", job_.starts},
                    {"steps", job_.steps},
                    {"verdict", verdict()}};
    session.write("projection.json", json.dump(1) + "\n");
    session.complete(report, "report.html",
                     fmt::format("; patchforge generate --latents {}/codes.safetensors makes the "
                                 "pictures again",
                                 job_.out.string()));
}

} // namespace

ResultsPlace ProjectionJob::place() const {
    ResultsPlace place{.verb = "project",
                       .out = out,
                       .inputs = {{"--run", generator}, {"--mask", mask}, {"--features", features}},
                       .earlier = Earlier::removed};
    for (const std::string& picture : pictures) {
        place.inputs.emplace_back("pictures", picture);
    }
    return place;
}

void ProjectionJob::validate() const {
    check_ranges(*this);
    if (generator.empty()) {
        throw std::invalid_argument("--run: missing; give a GAN's run folder or a generator's "
                                    ".safetensors file");
    }
    if (LatentSearch::batch % starts != 0) {
        throw std::invalid_argument(
            fmt::format("--starts {}: give 1, 2, 4, 8, 16, 32 or {}", starts, LatentSearch::batch));
    }
    place().check();
}

void describe(Options& options, ProjectionJob& job) {
    options
        .arguments("pictures", job.pictures,
                   "PNG or JPEG files of the generator's size; --data or --own may stand for them")
        .required = false;
    options.text("run", job.generator, "FOLDER|FILE", "a GAN's run folder or a generator's weights")
        .must_be_given();
    describe_checkpoint(options, job.checkpoint);
    options.number("count", job.real, {0, 1000}, "patches of --data that are projected, too");
    options.number("own", job.own, {0, 1000},
                   "pictures of the generator itself, which show what the search can find");
    options.text("mask", job.mask, "FILE",
                 "a picture of that size: what is black in it is free, for edits");
    options.text("features", job.features, "FOLDER|FILE",
                 "a classifier in whose features pictures shall be near, too");
    options
        .number("features_weight", job.features_weight, {0, 1000},
                "of that distance beside the pixels'")
        .beside("features");
    options.number("starts", job.starts, {1, 64}, "codes that the search begins with, a picture");
    options.number("steps", job.steps, {1, 1000000}, "of Adam");
    options.number(
        "polish", job.polish, {0, 1000000},
        "further steps of the best code, at a rate that falls to 0 and without the prior");
    options.number("lr", job.rate, {1e-6, 10}, "of Adam");
    options.number("prior", job.prior, {0, 1000},
                   "weight of ||z||^2 / latent size, which keeps codes likely");
    options.number("seed", job.seed, any_seed, "of starts and of the choice of patches");
    options.path("out", job.out, "FOLDER", "folder for pictures, codes and the report");
    describe(options, job.device);
}

std::vector<Projected> run_projection(const PackedSet* set, const ProjectionJob& job) {
    job.validate();
    Search search(job);
    search.collect(set);
    std::vector<Projected> results = search.project();
    search.write();
    search.name_faults();
    return results;
}

} // namespace patchforge
