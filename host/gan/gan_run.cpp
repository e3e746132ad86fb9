#include "host/gan/gan_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "data/png.h"
#include "data/resample.h"
#include "data/split.h"
#include "host/classifier/classifier_data.h"
#include "host/files/safetensors.h"
#include "host/gan/gan_health.h"
#include "host/gan/gan_monitor.h"
#include "host/gan/gan_report.h"
#include "host/gan/gan_trainer.h"
#include "host/model/image_generator.h"
#include "host/model/load_generator.h"
#include "host/page/image_grid.h"
#include "host/run/parameters_file.h"
#include "host/run/progress.h"
#include "host/session/open_set.h"
#include "host/train/followers.h"
#include "host/train/training.h"

namespace patchforge {

namespace {

constexpr std::int64_t grid_images = 64;
constexpr int grid_columns = 8;

// Every row at half its sides, into `pixels`: those that are held out too, so that numbers stay.
PatchRows halved(PatchRows rows, std::vector<std::uint8_t>& pixels) {
    for (std::int64_t row = 0; row < rows.count; ++row) {
        const Image small =
            halved_by_means(picture_at(rows.pixels, row, rows.channels, rows.height, rows.width));
        pixels.insert(pixels.end(), small.pixels.begin(), small.pixels.end());
    }
    rows.pixels = pixels.data();
    rows.height /= 2;
    rows.width /= 2;
    return rows;
}

std::vector<std::string> class_names(const PackedSet& set, const GanTrainer& trainer) {
    const auto names = set.class_names();
    return {names.begin(), names.begin() + trainer.classes()};
}

std::int64_t patients_of(const PackedSet& set, const PatchRows& rows) {
    std::set<std::int32_t> patients;
    for (std::int64_t i = 0; i < rows.used(); ++i) {
        patients.insert(set.patients()[rows.row(i)]);
    }
    patients.erase(-1); // whose are not known
    return std::ssize(patients);
}

class GanFamily final : public Family {
  public:
    GanFamily(Backend& backend, const PackedSet& set, const GanOptions& gan,
              const GanRunOptions& options, const PatchRows& rows, const Sharding& sharding)
        : backend_(backend), options_(options), rows_(rows),
          trainer_(backend, gan, rows_, options.run.placement, sharding),
          format_{rows.channels, rows.height, rows.width,
                  gan.latent == LatentDistribution::normal ? "normal" : "uniform",
                  class_names(set, trainer_)},
          sampler_(trainer_.sampling_generator(), format_), probe_(backend, trainer_, rows_),
          latents_(sampler_.latents(grid_images, gan.seed, Purpose::fixed_latent)),
          monitor_(gan.loss) {
        if (options.evaluation.interval > 0 && sharding.rank() == 0) {
            const PatchRows compared = evaluation_rows(set, options.test_patients, gan.seed);
            evaluation_ =
                std::make_unique<GanEvaluation>(backend, sampler_, compared, options.evaluation,
                                                options.run.device.backend.threads);
            warn_of_features(set, compared);
        }
    }

    void warn_of_features(const PackedSet& set, const PatchRows& compared) const {
        if (options_.evaluation.features.empty()) {
            return;
        }
        const std::string seen = patients_seen(options_.evaluation.features, set, compared);
        if (!seen.empty()) {
            print_line("warning: --features " + seen);
        }
    }

    // The generator of the stage before, whose layers are the first of this one's.
    void begin_with(const TensorFile& earlier);

    std::string kind() const override { return "train gan"; }
    TrainingSchedule schedule() const override {
        return options_.intervals.schedule(options_.evaluation.interval);
    }
    std::vector<std::string> metrics() const override { return GanMetrics::names(gan()); }
    std::vector<MetricColumn> columns() const override;
    std::map<std::string, const Network*> networks() override {
        return {{"generator", &trainer_.generator()}, {"discriminator", &trainer_.discriminator()}};
    }
    std::string rates() const override { return "--lr, --lr-d or --lr-g"; }
    std::uint64_t step() const override { return trainer_.step(); }
    std::uint64_t total_steps() const override { return trainer_.total_steps(); }
    std::vector<std::vector<double>> run(std::int64_t count) override;
    CheckpointFiles checkpoint() override;
    void restore(const std::filesystem::path& checkpoint) override {
        trainer_.restore(checkpoint.string());
    }
    void remember(TrainingRun& run, const Metrics& logged) override;
    void introduce(TrainingRun& run) override;
    std::vector<double> look(TrainingRun& run, const IntervalMeans& means) override;
    void sample(TrainingRun& run) override;
    void evaluate(TrainingRun& run) override;
    void report(TrainingRun& run) override { write_gan_report(run.folder()); }

  private:
    const GanOptions& gan() const { return trainer_.options(); }
    // Of the losses; no column stands for what is not computed.
    std::vector<const char*> terms() const;
    // The network's weights with what makes its outputs pictures.
    std::vector<std::byte> encoded_generator(const Network& network) const {
        TensorFile weights = network.weights();
        format_.write(weights);
        return encode_safetensors(weights.tensors, weights.metadata);
    }

    Backend& backend_;
    GanRunOptions options_;
    PatchRows rows_;
    GanTrainer trainer_;
    GeneratorFormat format_;
    ImageGenerator sampler_;
    GanProbe probe_;
    std::vector<float> latents_;
    GanMonitor monitor_;
    std::unique_ptr<GanEvaluation> evaluation_; // null: never
    Image earlier_; // what the stage before makes of the codes of the grids; none: there was none
};

void GanFamily::begin_with(const TensorFile& earlier) {
    NetworkShape shape = trainer_.generator().shape();
    shape.layers.resize(
        network_shape_from_description(earlier.metadata.at("network")).layers.size());
    Network first(backend_, shape); // reads the codes of this stage
    first.load_weights(earlier, earlier.name);
    for (Network* network : {&trainer_.generator(), &trainer_.sampling_generator()}) {
        TensorFile weights = network->weights();
        for (Tensor& tensor : weights.tensors) {
            if (earlier.has(tensor.name)) {
                tensor = earlier.at(tensor.name);
            }
        }
        network->load_weights(weights, earlier.name);
    }
    GeneratorFormat format = format_;
    format.height /= 2;
    format.width /= 2;
    earlier_ = image_grid(ImageGenerator(first, format).images(latents_), grid_columns);
}

std::vector<const char*> GanFamily::terms() const {
    std::vector<const char*> names;
    for (const auto& [computed, name] : {std::pair(gan().penalises_slope(), "gradient_penalty"),
                                         std::pair(gan().lambda_pixel > 0, "pixel_distance"),
                                         std::pair(gan().wrong_pairs, "d_loss_wrong"),
                                         std::pair(gan().lambda_kl > 0, "divergence")}) {
        if (computed) {
            names.push_back(name);
        }
    }
    return names;
}

std::vector<MetricColumn> GanFamily::columns() const {
    std::vector<MetricColumn> columns = {{"epoch", ""},
                                         {"d_loss_real", "loss/d_real"},
                                         {"d_loss_fake", "loss/d_fake"},
                                         {"d_loss", "loss/d"},
                                         {"g_loss", "loss/g"},
                                         {"D_x", "prob/D_x"},
                                         {"D_G_z", "prob/D_Gz"},
                                         {"d_accuracy", ""}};
    for (const char* name : terms()) {
        columns.push_back({name, ""});
    }
    for (const GanHealthColumn& column : gan_health_columns(gan())) {
        columns.push_back({column.name, column.tag});
    }
    return columns;
}

std::vector<std::vector<double>> GanFamily::run(std::int64_t count) {
    std::vector<std::vector<double>> all;
    for (const GanMetrics& metrics : trainer_.run(count)) {
        all.push_back(metrics.values(gan()));
    }
    return all;
}

CheckpointFiles GanFamily::checkpoint() {
    trainer_.settle_average();
    CheckpointFiles files = trainer_.checkpoint();
    files["generator.safetensors"] = encoded_generator(trainer_.generator());
    if (gan().ema > 0) {
        files["generator_ema.safetensors"] = encoded_generator(trainer_.sampling_generator());
    }
    return files;
}

void GanFamily::remember(TrainingRun& run, const Metrics& logged) {
    for (std::size_t row = 0; row < logged.rows.size(); ++row) {
        monitor_.look(static_cast<std::uint64_t>(logged.rows[row][0]), gan_signs(logged, row));
    }
    forget_evaluations(run.folder(), static_cast<std::int64_t>(step()));
    if (evaluation_) {
        evaluation_->remember(run.folder());
    }
}

void GanFamily::introduce(TrainingRun& run) {
    run.log(fmt::format("Device: {}", backend_.description()));
    run.log(fmt::format("Data: {} patches of {} x {} x {}, batches of {}, {} an epoch{}",
                        rows_.used(), rows_.channels, rows_.height, rows_.width, gan().batch_size,
                        trainer_.batches_per_epoch(), trainer_.streamed() ? ", streamed" : ""));
    run.log(fmt::format("Discriminator: {} parameters, generator: {}",
                        trainer_.discriminator().shape().parameter_count(),
                        trainer_.generator().shape().parameter_count()));
    run.log(gan_rest_text(gan()));
    const std::filesystem::path real = run.folder() / "images" / "real.png";
    if (!std::filesystem::exists(real)) {
        std::vector<Image> patches;
        const std::int64_t shown = std::min(grid_images, rows_.used());
        for (std::int64_t i = 0; i < shown; ++i) {
            patches.push_back(picture_of(rows_, i * rows_.used() / shown));
        }
        write_png(real, image_grid(patches, grid_columns));
    }
    if (!earlier_.pixels.empty()) {
        write_png(run.folder() / "images" / "small.png", earlier_);
    }
    const Tensor latents =
        make_f32("latents", {grid_images, sampler_.latent_dim()}, latents_.data());
    write_safetensors(run.folder() / "latents.safetensors", {latents},
                      {{"latent", format_.latent}});
}

std::vector<double> GanFamily::look(TrainingRun& run, const IntervalMeans& means) {
    const auto mean = [&](const char* name) { return means.mean(name); };
    const double loss_d = mean("d_loss_real") + mean("d_loss_fake");
    const std::uint64_t per_epoch = trainer_.steps_per_epoch();
    const std::uint64_t epoch = (step() - 1) / per_epoch + 1;
    const std::uint64_t epochs = (trainer_.total_steps() + per_epoch - 1) / per_epoch;
    run.log(fmt::format("Epoch [{}/{}], Step [{}/{}], d_loss: {:.4f}, g_loss: {:.4f}, D(x): "
                        "{:.2f}, D(G(z)): {:.2f}",
                        epoch, epochs, (step() - 1) % per_epoch + 1, per_epoch, loss_d,
                        mean("g_loss"), mean("D_x"), mean("D_G_z")));
    const GanHealth health = probe_.look();
    for (const std::string& warning :
         monitor_.look(step(), {mean("D_x"), mean("D_G_z"), loss_d, mean("g_loss"), health})) {
        run.log("Warning: " + warning);
    }
    std::vector<double> values = {static_cast<double>(epoch),
                                  mean("d_loss_real"),
                                  mean("d_loss_fake"),
                                  loss_d,
                                  mean("g_loss"),
                                  mean("D_x"),
                                  mean("D_G_z"),
                                  mean("d_accuracy")};
    for (const char* name : terms()) {
        values.push_back(mean(name));
    }
    for (const GanHealthColumn& column : gan_health_columns(gan())) {
        values.push_back(health.*column.value);
    }
    return values;
}

void GanFamily::sample(TrainingRun& run) {
    trainer_.settle_average();
    const Image grid = image_grid(sampler_.images(latents_), grid_columns);
    const std::filesystem::path images = run.folder() / "images";
    write_png(images / fmt::format("fake_step_{:07}.png", step()), grid);
    if (step() == trainer_.total_steps()) {
        write_png(images / "final.png", grid);
    }
    run.image("fixed_fake", grid);
}

void GanFamily::evaluate(TrainingRun& run) {
    if (!evaluation_) {
        return;
    }
    trainer_.settle_average();
    const GanScore score = evaluation_->measure(run.folder(), static_cast<std::int64_t>(step()));
    run.log(fmt::format(
        "Evaluation [{}]: Fréchet distance {:.5g}, kernel distance {:.4g} ± {:.2g} in {}, {} fakes "
        "against {} {} patches{}",
        step(), score.frechet_distance, score.kernel_distance, score.kernel_deviation,
        evaluation_->extractor().name, options_.evaluation.count, evaluation_->real_count(),
        options_.test_patients > 0 ? "held-out" : "training", score.best ? " (best)" : ""));
    run.scalar("evaluation/frechet_distance", score.frechet_distance);
    run.scalar("evaluation/kernel_distance", score.kernel_distance);
    if (score.best) {
        run.write_best(gan().ema > 0 ? "generator_ema.safetensors" : "generator.safetensors",
                       encoded_generator(trainer_.sampling_generator()));
    }
}

} // namespace

void describe(Options& options, GanRunOptions& run) {
    describe(options, run.intervals, "a grid of fakes");
    options.number("test_patients", run.test_patients, {0, 1000000},
                   "patients left out of training (0: none)");
    // How fakes are evaluated may change: every line says how it was measured, and only those of
    // one way are compared.
    describe(options, run.evaluation);
    describe(options, run.run);
}

PatchRows training_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed) {
    PatchRows rows = rows_of(set);
    if (test_patients > 0) {
        rows.subset = split_by_patient(set, {.test_patients = test_patients, .seed = seed}).train;
    }
    return rows;
}

PatchRows evaluation_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed) {
    PatchRows rows = rows_of(set);
    if (test_patients > 0) {
        rows.subset = split_by_patient(set, {.test_patients = test_patients, .seed = seed}).test;
    }
    return rows;
}

namespace {

bool train_gan(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options,
               const PatchRows& rows, const Sharding& sharding,
               const TensorFile* earlier = nullptr) {
    gan.validate_for(rows.used());
    const auto backend = options.run.device.make();
    GanFamily family(*backend, set, gan, options, rows, sharding);
    if (earlier) {
        family.begin_with(*earlier);
    }
    RunRecord record = record_of(gan, options);
    record.changeable_fact("data", set.path().string());
    record.fact("data_hash", hash_of(set));
    record.fact("data_patches", rows.used());
    if (!set.patient_names().empty()) { // runs that began without it go on
        record.changeable_fact("data_patients", patients_of(set, rows));
    }
    record.fact("patch", fmt::format("{} x {} x {}", rows.channels, rows.height, rows.width));
    record.changeable_fact("device", backend->name());
    if (!gan.rates.needs_length()) { // else the rates of every iteration depend on the length
        record.rules.may_change.insert(record.rules.may_change.end(), {"epochs", "steps"});
    }
    return train(family, options.run, std::move(record), sharding);
}

// Two runs, the first within the folder of the second, which begins when it is through. What rank 0 finds of them
// holds for all, as it may have begun to write before others look.
bool train_stack(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options,
                 const PatchRows& rows) {
    const Extent pictures = rows.extent();
    const std::int64_t classes = classes_of(gan, rows);
    const std::filesystem::path folder = options.run.out / earlier_stage;
    Ranks* const ranks = sharding_of(options.run).ranks;
    bool second_begun = false;
    if (!ranks || ranks->rank() == 0) {
        second_begun = is_run_folder(options.run.out);
        if (!second_begun && !options.run.resume) {
            RunFolder::check(options.run.out);
        }
    }
    GanRunOptions second = options;
    if (as_on_first(ranks, second_begun ? 1 : 0) == 0) {
        GanRunOptions first = options;
        first.run.out = folder;
        first.evaluation.interval = 0; // its pictures are compared with nothing
        print_line(fmt::format("Stage 1 of 2: pictures of {} x {}, in {}", rows.height / 2,
                               rows.width / 2, folder.string()));
        std::vector<std::uint8_t> pixels;
        const PatchRows small = halved(rows, pixels);
        const Sharding sharding = sharding_of(first.run);
        if (!train_gan(set, stage_options(gan, 1, pictures, classes), first, small, sharding)) {
            return false;
        }
        second.run.resume = false;
        second.run.shards = sharding.shards; // also where another number of ranks goes on
    }
    print_line(fmt::format("Stage 2 of 2: pictures of {} x {}", rows.height, rows.width));
    const TensorFile earlier = read_safetensors(generator_weights(folder));
    return train_gan(set, stage_options(gan, 2, pictures, classes), second, rows,
                     sharding_of(second.run), &earlier);
}

} // namespace

bool run_gan_training(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options) {
    gan.validate();
    check_ranges(options);
    const PatchRows rows = training_rows(set, options.test_patients, gan.seed);
    if (gan.mode == GanMode::stack) {
        return train_stack(set, gan, options, rows);
    }
    return train_gan(set, gan, options, rows, sharding_of(options.run));
}

} // namespace patchforge
