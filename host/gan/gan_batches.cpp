// What the networks of a GAN are given: patches, codes, fakes, and how D is shown them.
#include <algorithm>
#include <stdexcept>

#include "host/gan/gan_trainer.h"

namespace patchforge {

namespace {

constexpr std::uint32_t first_statistics_draw = 16; // of Purpose::fixed_latent; 0 and 1 are taken

} // namespace

std::int64_t classes_of(const GanOptions& options, const PatchRows& patches) {
    std::int64_t classes = 0;
    for (std::int64_t i = 0; options.conditional && i < patches.used(); ++i) {
        const std::int64_t label = patches.labels.empty() ? -1 : patches.labels[patches.row(i)];
        if (label < 0) {
            throw std::invalid_argument(
                "--conditional: some patches have no class; give patches in folders by class, or "
                "--conditional=false");
        }
        classes = std::max(classes, label + 1);
    }
    return classes;
}

// The reference of virtual batches never changes: patches evenly spaced, and codes of their own.
void GanTrainer::set_reference_rows(const PatchRows& patches) {
    const auto patch_of = [&](std::int64_t row, std::int64_t of) {
        return patches.row(row * patches.used() / of);
    };
    if (reference_d_ > 0) {
        std::vector<float> host(static_cast<std::size_t>(reference_d_ * pixels_));
        std::vector<std::int32_t> labels;
        for (std::int64_t r = 0; r < reference_d_; ++r) {
            const std::int64_t row = patch_of(r, reference_d_);
            const std::uint8_t* patch = patches.pixels + row * pixels_;
            std::transform(patch, patch + pixels_, host.begin() + r * pixels_,
                           [](std::uint8_t byte) { return static_cast<float>(byte) / 127.5f - 1; });
            labels.push_back(classes_ > 0 ? patches.labels[row] : 0);
        }
        samples_.upload(host.data(), reference_d_ * pixels_);
        if (classes_ > 0) {
            labels_.upload(labels.data(), reference_d_);
        }
    }
    if (reference_g_ > 0) {
        const std::int64_t columns = generator_.shape().inputs();
        const Matrix<float> latent = latent_.matrix(reference_g_, columns);
        const Matrix<float> drawn =
            classes_ > 0 ? drawn_latent_.matrix(reference_g_, options_.latent_dim) : latent;
        draw_latent(drawn, Purpose::fixed_latent, {nullptr, 1, 1}); // draw 0 is the grids'
        if (classes_ > 0) {
            backend_.copy_columns(latent, 0, drawn, 0, options_.latent_dim);
            std::vector<std::int32_t> labels;
            for (std::int64_t r = 0; r < reference_g_; ++r) {
                labels.push_back(patches.labels[patch_of(r, reference_g_)]);
            }
            DeviceArray<std::int32_t> on_device(backend_, reference_g_);
            on_device.upload(labels.data(), reference_g_);
            backend_.one_hot(latent, options_.latent_dim, classes_, on_device.view());
            backend_.synchronise(); // before the labels' memory goes
        }
    }
}

void GanTrainer::draw_patches(std::int64_t first, std::int64_t rows, std::int64_t draw, int slot) {
    const Matrix<float> patches = samples_.matrix(first + rows, pixels_).row_range(first, rows);
    const Matrix<float> drawn =
        options_.symmetries ? drawn_patches_.matrix(rows, pixels_) : patches;
    const Vector<std::int32_t> numbers =
        classes_ == 0 ? Vector<std::int32_t>{} : row_numbers_.view().part(0, rows);
    iterations_.gather(drawn, numbers, draw, slot, PixelRange::signed_unit);
    if (classes_ > 0) {
        backend_.gather_labels(labels_.view().part(first, rows), iterations_.source().labels(),
                               numbers);
    }
    if (options_.symmetries) {
        backend_.dihedral(patches, drawn, pictures_, augmentation(0, draw));
    }
    if (options_.dequantise) {
        const Vector<float> noise = drawn_patches_.view().part(0, patches.size());
        constexpr float half_step = 1.0f / 255;
        backend_.fill_uniform(noise, -half_step, half_step,
                              {options_.seed, static_cast<std::uint32_t>(Purpose::dequantisation),
                               iterations_.row_count(options_.n_critic, draw)});
        backend_.weighted_sum(patches.flat(), patches.flat(), 1, noise, 1, {}, 0);
    }
}

RandomStream GanTrainer::augmentation(std::uint32_t use, std::int64_t step) const {
    return {options_.seed, static_cast<std::uint32_t>(Purpose::augmentation) + use,
            iterations_.row_count(options_.n_critic + 1, step)};
}

void GanTrainer::draw_latent(Matrix<float> latent, Purpose purpose, StepCount draw) {
    const RandomStream random{options_.seed, static_cast<std::uint32_t>(purpose), draw};
    if (options_.latent == LatentDistribution::normal) {
        backend_.fill_normal(latent.flat(), 0, 1, random);
    } else {
        backend_.fill_uniform(latent.flat(), -1, 1, random);
    }
}

void GanTrainer::draw_codes(Matrix<float> latent, Purpose purpose, StepCount draw) {
    if (!iterations_.sharding().cut()) {
        draw_latent(latent, purpose, draw);
        return;
    }
    const Shard& shard = iterations_.shard();
    const Matrix<float> all = batch_latent_.matrix(shard.first + shard.rows, options_.latent_dim);
    draw_latent(all, purpose, draw);
    backend_.copy_columns(latent, 0, all.row_range(shard.first, shard.rows), 0,
                          options_.latent_dim);
}

// A conditional GAN's fakes take the classes of the patches of the same batch, which lie behind the
// reference rows.
void GanTrainer::draw_fakes(std::int64_t first, std::int64_t rows, Purpose purpose, StepCount draw,
                            std::int64_t step) {
    const Matrix<float> codes = latent_.matrix(reference_g_ + rows, generator_.shape().inputs());
    const Matrix<float> fresh = codes.row_range(reference_g_, rows);
    const Matrix<float> fakes = samples_.matrix(first + rows, pixels_).row_range(first, rows);
    if (classes_ == 0) {
        draw_codes(fresh, purpose, draw);
    } else {
        const Matrix<float> drawn = drawn_latent_.matrix(rows, options_.latent_dim);
        const Vector<std::int32_t> labels = labels_.view().part(reference_d_, rows);
        draw_codes(drawn, purpose, draw);
        backend_.copy_columns(fresh, 0, drawn, 0, options_.latent_dim);
        backend_.one_hot(fresh, options_.latent_dim, classes_, labels);
        if (first != reference_d_) {
            backend_.copy(labels_.data() + first, labels.data,
                          static_cast<std::size_t>(rows) * sizeof(std::int32_t));
        }
    }
    DropoutSource training{true, options_.seed, 0, {}, 1};
    training.picture_seed = options_.seed;
    const std::int64_t batch = batch_ * iterations_.sharding().shards;
    training.picture = iterations_.count((options_.n_critic + 1) * batch,
                                         step * batch + iterations_.shard().first);
    if (reference_g_ == 0) {
        generator_pass_.forward(codes, training, fakes);
    } else {
        const Matrix<float> all = generator_pass_.forward(codes, training);
        backend_.copy(fakes.data, all.row_range(reference_g_, rows).data,
                      static_cast<std::size_t>(fakes.size()) * sizeof(float));
    }
}

// G's weights pass through memory once for both, and four kernels less wait for each other.
void GanTrainer::draw_fakes_of_both_steps(std::int64_t rows) {
    const StepCount count = iterations_.count();
    const Matrix<float> codes = latent_.matrix(2 * rows, generator_.shape().inputs());
    draw_latent(codes.row_range(0, rows), Purpose::latent_discriminator, count);
    draw_latent(codes.row_range(rows, rows), Purpose::latent_generator, count);
    generator_pass_.forward(codes, {true, options_.seed, 0, {}, 1},
                            samples_.matrix(3 * rows, pixels_).row_range(rows, 2 * rows));
    generator_pass_.keep_rows(rows, rows);
}

Matrix<const float> GanTrainer::shown(std::int64_t rows, std::int64_t step) {
    Matrix<float> seen = samples_.matrix(rows, pixels_);
    if (options_.instance_noise > 0) {
        const Matrix<float> noisy = noisy_.matrix(rows, pixels_);
        backend_.copy(noisy.data, seen.data, static_cast<std::size_t>(seen.size()) * sizeof(float));
        const StepCount draw = iterations_.row_count(options_.n_critic + 1, step);
        backend_.add_noise(
            noisy.row_range(reference_d_, rows - reference_d_).flat(),
            {static_cast<float>(options_.instance_noise), iterations_.count(),
             static_cast<std::uint64_t>(options_.instance_noise_steps)},
            {options_.seed, static_cast<std::uint32_t>(Purpose::instance_noise), draw});
        seen = noisy;
    }
    if (options_.augments()) {
        const Matrix<float> moved = moved_.matrix(rows, pixels_);
        backend_.translate(moved, seen, pictures_, static_cast<int>(options_.translation),
                           augmentation(4, step));
        if (options_.cutout > 0) {
            backend_.cutout(moved, moved, pictures_, static_cast<int>(options_.cutout),
                            augmentation(5, step));
        }
        seen = moved;
    }
    if (classes_ > 0) {
        seen = class_columns_.append(seen, labels_.view().part(0, rows));
    }
    return seen;
}

// Behind the backward pass of the others, whose singular vectors this pass moves and whose columns of
// classes nobody reads any more. Noise, translation and dropout are those of the patch with its own class:
// the class alone differs.
void GanTrainer::add_wrong_pairs(Vector<float> gradients, Vector<float> metric, std::int64_t rows,
                                 std::int64_t draw) {
    const StepCount count = iterations_.row_count(options_.n_critic, draw);
    const Vector<std::int32_t> wrong = wrong_labels_.view().part(0, rows);
    backend_.other_labels(wrong, labels_.view().part(0, rows), classes_,
                          {options_.seed, static_cast<std::uint32_t>(Purpose::wrong_class), count});
    wrong_pass_->forward(class_columns_.append(seen(rows), wrong),
                         {true, options_.seed,
                          static_cast<std::uint32_t>(Purpose::dropout_discriminator_step), count,
                          1});
    for (const int head : discriminator_.shape().heads()) {
        backend_.fill(wrong_pass_->gradient(head).flat(), 0);
    }
    // The operation wants answers to patches, too: the same ones, whose part is not used.
    const Vector<float> answers = wrong_answers_.view().part(0, 2 * rows);
    const Vector<float> d_answers = wrong_answers_.view().part(2 * batch_, 2 * rows);
    const auto share = static_cast<float>(share_of_fakes());
    for (const std::int64_t half : {std::int64_t{0}, rows}) {
        backend_.copy(answers.data + half,
                      wrong_pass_->output(discriminator_.layer_count() - 1).data,
                      static_cast<std::size_t>(rows) * sizeof(float));
    }
    backend_.discriminator_loss(d_answers, wrong_metrics_.view(), answers, rows, options_.loss,
                                static_cast<float>(options_.real_label));
    backend_.affine(wrong_pass_->output_gradient().flat(), d_answers.part(rows, rows), share, 0);
    const Vector<float> loss = wrong_metrics_.view().part(DiscriminatorMetrics::loss_fake, 1);
    const Vector<float> fakes = iterations_.metrics(DiscriminatorMetrics::loss_fake);
    backend_.affine(metric, loss, 1, 0);
    backend_.weighted_sum(fakes, fakes, 1, loss, share, {}, 0);
    wrong_pass_->backward_gradients(gradients, true);
}

void GanTrainer::weigh_terms(std::int64_t rows) {
    const std::vector<int> heads = discriminator_.shape().heads();
    const auto of_real = static_cast<float>(1.0 / static_cast<double>(heads.size()));
    const auto of_fake = static_cast<float>(share_of_fakes());
    for (const int head : heads) {
        const Matrix<float> d_logit = discriminator_pass_.gradient(head);
        const Vector<float> real = d_logit.row_range(0, rows).flat();
        const Vector<float> fake = d_logit.row_range(rows, rows).flat();
        backend_.affine(real, real, of_real, 0);
        backend_.affine(fake, fake, of_fake, 0);
    }
    const Vector<float> loss_real = iterations_.metrics(DiscriminatorMetrics::loss_real);
    const Vector<float> loss_fake = iterations_.metrics(DiscriminatorMetrics::loss_fake);
    backend_.affine(loss_real, loss_real, of_real, 0);
    backend_.affine(loss_fake, loss_fake, of_fake, 0);
}

void GanTrainer::settle_average() {
    if (!average_pass_) {
        return;
    }
    const std::int64_t columns = generator_.shape().inputs();
    DeviceArray<float> codes(backend_, statistics_rows * columns);
    const Matrix<float> latent = codes.matrix(statistics_rows, columns);
    DeviceArray<float> drawn(backend_, statistics_rows * options_.latent_dim);
    DeviceArray<std::int32_t> in_turn(backend_, statistics_rows);
    if (classes_ > 0) {
        std::vector<std::int32_t> labels;
        for (std::int32_t row = 0; row < statistics_rows; ++row) {
            labels.push_back(row % static_cast<std::int32_t>(classes_));
        }
        in_turn.upload(labels.data(), statistics_rows);
        backend_.one_hot(latent, options_.latent_dim, classes_, in_turn.view());
    }
    for (std::int64_t batch = 0; batch < options_.ema_statistics; ++batch) {
        const Matrix<float> fresh = drawn.matrix(statistics_rows, options_.latent_dim);
        draw_latent(fresh, Purpose::fixed_latent,
                    {nullptr, 1, first_statistics_draw + static_cast<std::uint32_t>(batch)});
        backend_.copy_columns(latent, 0, fresh, 0, options_.latent_dim);
        DropoutSource training{true, options_.seed, 0, {}, 1};
        training.picture_seed = options_.seed;
        training.picture.offset = static_cast<std::uint32_t>(batch * statistics_rows);
        training.momentum = 1.0f / static_cast<float>(batch + 1); // their mean
        average_pass_->forward(latent, training);
    }
    backend_.synchronise(); // before the codes' memory goes
}

} // namespace patchforge
