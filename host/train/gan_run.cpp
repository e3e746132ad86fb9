#include "host/train/gan_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/png.h"
#include "data/split.h"
#include "host/files/safetensors.h"
#include "host/model/image_generator.h"
#include "host/run/event_file.h"
#include "host/run/image_grid.h"
#include "host/run/interrupt.h"
#include "host/run/progress.h"
#include "host/run/run_folder.h"
#include "host/train/gan_evaluation.h"
#include "host/train/gan_health.h"
#include "host/train/gan_monitor.h"
#include "host/train/gan_report.h"
#include "host/train/gan_trainer.h"

namespace patchforge {

namespace {

constexpr std::int64_t grid_images = 64;
constexpr int grid_columns = 8;

// Columns that a run with these options has; no column stands for what is not computed.
std::vector<std::string> metric_columns(const GanOptions& options) {
    std::vector<std::string> columns = {"epoch",  "d_loss_real", "d_loss_fake", "d_loss",
                                        "g_loss", "D_x",         "D_G_z",       "d_accuracy"};
    if (options.lambda_gp > 0) {
        columns.emplace_back("gradient_penalty");
    }
    if (options.lambda_pixel > 0) {
        columns.emplace_back("pixel_distance");
    }
    for (const GanHealthColumn& column : gan_health_columns(options)) {
        columns.emplace_back(column.name);
    }
    return columns;
}

// Means since the last logged step. Part of a checkpoint, so that a resumed run logs what the
// uninterrupted one would have.
struct LoggedInterval {
    GanMetrics sum;
    std::uint64_t count = 0;

    void add(const GanMetrics& metrics) {
        sum.loss_d_real += metrics.loss_d_real;
        sum.loss_d_fake += metrics.loss_d_fake;
        sum.probability_real += metrics.probability_real;
        sum.probability_fake += metrics.probability_fake;
        sum.accuracy_d += metrics.accuracy_d;
        sum.loss_g += metrics.loss_g;
        sum.gradient_penalty += metrics.gradient_penalty;
        sum.pixel_distance += metrics.pixel_distance;
        ++count;
    }
    GanMetrics mean() const {
        const double n = static_cast<double>(count);
        return {sum.loss_d_real / n,      sum.loss_d_fake / n,   sum.probability_real / n,
                sum.probability_fake / n, sum.accuracy_d / n,    sum.loss_g / n,
                sum.gradient_penalty / n, sum.pixel_distance / n};
    }
    std::vector<std::byte> encode() const {
        Tensor sums{"sums", "F64", {8}, std::vector<std::byte>(sizeof(GanMetrics))};
        std::memcpy(sums.bytes.data(), &sum, sizeof(GanMetrics));
        return encode_safetensors({sums, make_u64("count", {}, &count)});
    }
    static LoggedInterval decode(const TensorFile& file) {
        LoggedInterval interval;
        const Tensor& sums = file.at("sums");
        if (sums.bytes.size() != sizeof(GanMetrics)) {
            throw std::runtime_error(file.name + ": tensor sums has the wrong size; resume from "
                                                 "another checkpoint");
        }
        std::memcpy(&interval.sum, sums.bytes.data(), sizeof(GanMetrics));
        interval.count = u64(file.at("count"))[0];
        return interval;
    }
};
static_assert(sizeof(GanMetrics) == 8 * sizeof(double));

Parameters parameters_of(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options,
                         const PatchRows& rows, const Backend& backend) {
    Parameters parameters;
    for (const auto& [name, value] : gan.listed()) {
        parameters.emplace_back(name, value);
    }
    parameters.emplace_back("log_interval", options.log_interval);
    parameters.emplace_back("sample_interval", options.sample_interval);
    parameters.emplace_back("checkpoint_interval", options.checkpoint_interval);
    parameters.emplace_back("keep", std::int64_t{options.keep});
    parameters.emplace_back("test_patients", options.test_patients);
    parameters.emplace_back("eval_interval", options.evaluation.interval);
    parameters.emplace_back("eval_count", options.evaluation.count);
    parameters.emplace_back("features", options.evaluation.features);
    parameters.emplace_back("data", set.path().string());
    parameters.emplace_back("data_hash", fmt::format("{:016x}", set.content_hash()));
    parameters.emplace_back("data_patches", rows.used());
    parameters.emplace_back("patch",
                            fmt::format("{} x {} x {}", rows.channels, rows.height, rows.width));
    parameters.emplace_back("precision", precision_name(options.backend.precision));
    parameters.emplace_back("gemm", gemm_name(options.backend.gemm));
    parameters.emplace_back("device", backend.name());
    return parameters;
}

// How fakes are evaluated may change: every line says how it was measured, and only those of one
// way are compared.
std::vector<std::string> may_change(const GanOptions& gan) {
    std::vector<std::string> names = {
        "sample_interval", "checkpoint_interval", "keep",     "data",
        "device",          "eval_interval",       "features", "eval_count"};
    if (gan.decay_epoch < 0) { // else the rates of every iteration depend on the length
        names.insert(names.end(), {"epochs", "steps"});
    }
    return names;
}

// Everything that a training loop touches, so that its steps read as sentences.
class Session {
  public:
    Session(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options)
        : options_(options), backend_(make_backend(options.device, options.backend)),
          rows_(checked_rows(set, gan, options)),
          trainer_(*backend_, gan, rows_, options.placement),
          format_{set.channels(), set.height(), set.width(),
                  gan.latent == LatentDistribution::normal ? "normal" : "uniform",
                  class_names(set, trainer_)},
          sampler_(trainer_.sampling_generator(), format_), probe_(*backend_, trainer_, rows_),
          latents_(sampler_.latents(grid_images, gan.seed, Purpose::fixed_latent)),
          folder_(open_folder(parameters_of(set, gan, options, rows_, *backend_))),
          events_(folder_.path()), monitor_(gan.loss) {
        if (options.evaluation.interval > 0) {
            evaluation_ = std::make_unique<GanEvaluation>(
                *backend_, sampler_, evaluation_rows(set, options.test_patients, gan.seed),
                options.evaluation, options.backend.threads);
        }
        resume();
    }

    bool train();

  private:
    static PatchRows checked_rows(const PackedSet& set, const GanOptions& gan,
                                  const GanRunOptions& options) {
        PatchRows rows = training_rows(set, options.test_patients, gan.seed);
        gan.validate_for(rows.used());
        return rows;
    }
    static std::vector<std::string> class_names(const PackedSet& set, const GanTrainer& trainer) {
        const auto names = set.class_names();
        return {names.begin(), names.begin() + trainer.classes()};
    }
    RunFolder open_folder(const Parameters& parameters) const {
        return options_.resume ? RunFolder::resume(options_.out, "train gan", parameters,
                                                   may_change(trainer_.options()))
                               : RunFolder::create(options_.out, "train gan", parameters);
    }
    void resume();
    void begin();
    // Iterations until the next thing that must happen between two iterations.
    std::int64_t until_next_event() const;
    void take_in(const std::vector<GanMetrics>& metrics);
    void log_interval(std::uint64_t step);
    void sample();
    void evaluate();
    void checkpoint();
    // The network's weights with what makes its outputs pictures.
    std::vector<std::byte> encoded_generator(const Network& network) const;
    std::uint64_t step() const { return trainer_.step(); }
    bool due(std::int64_t interval) const {
        return interval > 0 && step() % static_cast<std::uint64_t>(interval) == 0;
    }

    GanRunOptions options_;
    std::unique_ptr<Backend> backend_;
    PatchRows rows_;
    GanTrainer trainer_;
    GeneratorFormat format_;
    ImageGenerator sampler_;
    GanProbe probe_;
    std::vector<float> latents_;
    RunFolder folder_;
    EventFile events_;
    LoggedInterval interval_;
    GanMonitor monitor_;
    double seconds_per_step_ = 0;
    std::unique_ptr<GanEvaluation> evaluation_; // null: never
};

void Session::resume() {
    std::int64_t keep_up_to = 0;
    if (options_.resume) {
        if (const auto last = folder_.latest_checkpoint()) {
            trainer_.restore(last->folder.string());
            interval_ =
                LoggedInterval::decode(read_safetensors(last->folder / "interval.safetensors"));
            keep_up_to = last->step;
            folder_.log(fmt::format("Resumed from {}", last->folder.string()));
        } else {
            folder_.log("No checkpoint yet: starting from the first step");
        }
    }
    folder_.open_metrics(metric_columns(trainer_.options()), keep_up_to);
    const Metrics logged = read_metrics(folder_.path() / "metrics.csv");
    for (std::size_t row = 0; row < logged.rows.size(); ++row) {
        monitor_.look(static_cast<std::uint64_t>(logged.rows[row][0]), gan_signs(logged, row));
    }
    forget_evaluations(folder_.path(), keep_up_to);
    if (evaluation_) {
        evaluation_->remember(folder_.path());
    }
}

void Session::begin() {
    folder_.log(fmt::format("Device: {}", backend_->description()));
    folder_.log(fmt::format("Data: {} patches of {} x {} x {}, batches of {}, {} a epoch{}",
                            rows_.used(), rows_.channels, rows_.height, rows_.width,
                            trainer_.options().batch_size, trainer_.batches_per_epoch(),
                            trainer_.streamed() ? ", streamed" : ""));
    folder_.log(fmt::format("Discriminator: {} parameters, generator: {}",
                            trainer_.discriminator().shape().parameter_count(),
                            trainer_.generator().shape().parameter_count()));
    folder_.log(gan_rest_text(trainer_.options()));
    const std::filesystem::path real = folder_.images() / "real.png";
    if (!std::filesystem::exists(real)) {
        std::vector<Image> patches;
        const std::int64_t shown = std::min(grid_images, rows_.used());
        for (std::int64_t i = 0; i < shown; ++i) {
            const std::uint8_t* patch =
                rows_.pixels + rows_.row(i * rows_.used() / shown) * rows_.pixels_per_patch();
            patches.push_back({rows_.width,
                               rows_.height,
                               rows_.channels,
                               {patch, patch + rows_.pixels_per_patch()}});
        }
        write_png(real, image_grid(patches, grid_columns));
    }
    const Tensor latents =
        make_f32("latents", {grid_images, sampler_.latent_dim()}, latents_.data());
    write_safetensors(folder_.path() / "latents.safetensors", {latents},
                      {{"latent", format_.latent}});
}

std::int64_t Session::until_next_event() const {
    std::uint64_t next = trainer_.total_steps();
    for (const std::int64_t interval :
         {options_.log_interval, options_.sample_interval, options_.checkpoint_interval,
          options_.evaluation.interval}) {
        if (interval > 0) {
            const auto every = static_cast<std::uint64_t>(interval);
            next = std::min(next, (step() / every + 1) * every);
        }
    }
    // About a fifth of a second at a time, so that Ctrl-C and the bar are answered.
    const double affordable = seconds_per_step_ > 0 ? 0.2 / seconds_per_step_ : 1;
    return std::clamp(static_cast<std::int64_t>(std::min(affordable, 1e6)), std::int64_t{1},
                      std::min(static_cast<std::int64_t>(next - step()), GanTrainer::maximum_run));
}

void Session::take_in(const std::vector<GanMetrics>& metrics) {
    const std::uint64_t first = step() - metrics.size();
    for (std::size_t i = 0; i < metrics.size(); ++i) {
        const std::uint64_t at = first + i + 1;
        if (!metrics[i].finite()) {
            const auto last = folder_.latest_checkpoint();
            throw std::runtime_error(
                fmt::format("{}: step {}: a loss is not finite; {}; lower --lr, --lr-d or --lr-g",
                            folder_.path().string(), at,
                            last ? "the last good checkpoint is " + last->folder.string()
                                 : std::string("there is no checkpoint before it")));
        }
        interval_.add(metrics[i]);
        if (at % static_cast<std::uint64_t>(options_.log_interval) == 0 ||
            at == trainer_.total_steps()) {
            log_interval(at);
        }
    }
}

void Session::log_interval(std::uint64_t step) {
    const GanMetrics mean = interval_.mean();
    interval_ = {};
    const std::uint64_t per_epoch = trainer_.steps_per_epoch();
    const std::uint64_t epoch = (step - 1) / per_epoch + 1;
    const std::uint64_t epochs = (trainer_.total_steps() + per_epoch - 1) / per_epoch;
    folder_.log(fmt::format("Epoch [{}/{}], Step [{}/{}], d_loss: {:.4f}, g_loss: {:.4f}, D(x): "
                            "{:.2f}, D(G(z)): {:.2f}",
                            epoch, epochs, (step - 1) % per_epoch + 1, per_epoch, mean.loss_d(),
                            mean.loss_g, mean.probability_real, mean.probability_fake));
    const GanHealth health = probe_.look();
    for (const std::string& warning :
         monitor_.look(step, {mean.probability_real, mean.probability_fake, mean.loss_d(),
                              mean.loss_g, health})) {
        folder_.log("Warning: " + warning);
    }
    const GanOptions& options = trainer_.options();
    std::vector<double> values = {static_cast<double>(epoch),
                                  mean.loss_d_real,
                                  mean.loss_d_fake,
                                  mean.loss_d(),
                                  mean.loss_g,
                                  mean.probability_real,
                                  mean.probability_fake,
                                  mean.accuracy_d};
    if (options.lambda_gp > 0) {
        values.push_back(mean.gradient_penalty);
    }
    if (options.lambda_pixel > 0) {
        values.push_back(mean.pixel_distance);
    }
    const auto at = static_cast<std::int64_t>(step);
    events_.scalar("loss/d_real", at, mean.loss_d_real);
    events_.scalar("loss/d_fake", at, mean.loss_d_fake);
    events_.scalar("loss/d", at, mean.loss_d());
    events_.scalar("loss/g", at, mean.loss_g);
    events_.scalar("prob/D_x", at, mean.probability_real);
    events_.scalar("prob/D_Gz", at, mean.probability_fake);
    for (const GanHealthColumn& column : gan_health_columns(options)) {
        values.push_back(health.*column.value);
        events_.scalar(column.tag, at, health.*column.value);
    }
    folder_.append_metrics(at, values);
    events_.flush();
}

void Session::sample() {
    const Image grid = image_grid(sampler_.images(latents_), grid_columns);
    write_png(folder_.images() / fmt::format("fake_step_{:07}.png", step()), grid);
    if (step() == trainer_.total_steps()) {
        write_png(folder_.images() / "final.png", grid);
    }
    events_.image("fixed_fake", static_cast<std::int64_t>(step()), grid);
    events_.flush();
}

void Session::evaluate() {
    const auto at = static_cast<std::int64_t>(step());
    const GanScore score = evaluation_->measure(folder_.path(), at);
    folder_.log(fmt::format(
        "Evaluation [{}]: Fréchet distance {:.5g}, kernel distance {:.4g} ± {:.2g} in {}, {} fakes "
        "against {} {} patches{}",
        at, score.frechet_distance, score.kernel_distance, score.kernel_deviation,
        evaluation_->extractor().name, options_.evaluation.count, evaluation_->real_count(),
        options_.test_patients > 0 ? "held-out" : "training", score.best ? " (best)" : ""));
    events_.scalar("evaluation/frechet_distance", at, score.frechet_distance);
    events_.scalar("evaluation/kernel_distance", at, score.kernel_distance);
    events_.flush();
    if (score.best) {
        folder_.write_best(trainer_.options().ema > 0 ? "generator_ema.safetensors"
                                                      : "generator.safetensors",
                           encoded_generator(trainer_.sampling_generator()));
    }
}

std::vector<std::byte> Session::encoded_generator(const Network& network) const {
    TensorFile weights = network.weights();
    format_.write(weights);
    return encode_safetensors(weights.tensors, weights.metadata);
}

void Session::checkpoint() {
    auto files = trainer_.checkpoint();
    files["generator.safetensors"] = encoded_generator(trainer_.generator());
    if (trainer_.options().ema > 0) {
        files["generator_ema.safetensors"] = encoded_generator(trainer_.sampling_generator());
    }
    files["interval.safetensors"] = interval_.encode();
    folder_.write_checkpoint(static_cast<std::int64_t>(step()), files, options_.keep);
}

bool Session::train() {
    begin();
    InterruptScope interrupt_scope;
    {
        ProgressBar bar("train", static_cast<std::int64_t>(trainer_.total_steps()), "steps",
                        static_cast<std::int64_t>(step()));
        bool saved = true; // the state of this step is on disk
        while (step() < trainer_.total_steps() && !interrupted()) {
            const std::int64_t count = until_next_event();
            const auto start = std::chrono::steady_clock::now();
            const std::vector<GanMetrics> metrics = trainer_.run(count);
            const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
            seconds_per_step_ = passed.count() / static_cast<double>(count);
            take_in(metrics);
            const bool done = step() == trainer_.total_steps();
            if (done || due(options_.sample_interval)) {
                sample();
            }
            if (evaluation_ && (done || due(options_.evaluation.interval))) {
                evaluate();
            }
            saved = done || due(options_.checkpoint_interval);
            if (saved) {
                checkpoint();
            }
            bar.update(static_cast<std::int64_t>(step()));
        }
        if (!saved) {
            checkpoint();
        }
    }
    write_gan_report(folder_.path());
    if (step() < trainer_.total_steps()) {
        folder_.log(fmt::format("Interrupted at step {} of {}; everything is saved", step(),
                                trainer_.total_steps()));
        return false;
    }
    return true;
}

} // namespace

void GanRunOptions::validate() const {
    const auto at_least = [](std::int64_t value, std::int64_t least, const char* option) {
        if (value < least) {
            throw std::invalid_argument(fmt::format(
                "{} {}: out of range; give a value of at least {}", option, value, least));
        }
    };
    if (out.empty()) {
        throw std::invalid_argument("--out: missing; name the folder of the run, e.g. runs/gan");
    }
    at_least(log_interval, 1, "--log-interval");
    at_least(sample_interval, 0, "--sample-interval");
    at_least(checkpoint_interval, 0, "--checkpoint-interval");
    at_least(keep, 1, "--keep");
    at_least(test_patients, 0, "--test-patients");
    at_least(backend.threads, 0, "--threads");
    evaluation.validate();
}

PatchRows training_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed) {
    PatchRows rows{set.pixels(), set.count(), set.channels(), set.height(), set.width(),
                   set.labels(), {}};
    if (test_patients > 0) {
        rows.subset = split_by_patient(set, {.test_patients = test_patients, .seed = seed}).train;
    }
    return rows;
}

PatchRows evaluation_rows(const PackedSet& set, std::int64_t test_patients, std::uint64_t seed) {
    PatchRows rows = training_rows(set, 0, seed);
    if (test_patients > 0) {
        rows.subset = split_by_patient(set, {.test_patients = test_patients, .seed = seed}).test;
    }
    return rows;
}

bool run_gan_training(const PackedSet& set, const GanOptions& gan, const GanRunOptions& options) {
    gan.validate();
    options.validate();
    return Session(set, gan, options).train();
}

} // namespace patchforge
