// Whole GAN iterations in one kernel that stays on the device (docs/persistent.md): block k owns 60
// pixels, in the generator's last layer and in the discriminator's first, and a few hidden units of
// the small layers. Fakes of its pixels are made, judged and improved where they lie. What blocks
// tell each other goes through L2: their parts of the sums over all pixels, and hidden activations.
//
// An iteration has 12 barriers of the whole grid; an exchange of [rows, 256] floats lies between two.
// Memory moves B patches in an iteration, and nothing else where L2 holds the moments of the wide
// layers (31 MB): 75 kB instead of 97 MB at B = 10.
#include "kernels/cuda/adam_rates.h"
#include "kernels/cuda/batch_rows.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/gan_resident.h"
#include "kernels/cuda/grid_barrier.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

class Iterations : public GanResident {
  public:
    __device__ __forceinline__ Iterations(const GanIterationsJob& job, GanStorage& storage)
        : GanResident(job, storage), barrier_(job.exchange.arrived) {}

    __device__ __forceinline__ void run() {
        load();
        const std::uint64_t first = s_.step;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            // Hidden activations of G are read by slow blocks when fast ones are an iteration on.
            generator_hidden_[0] = exchange_.generator_hidden[i % 2][0];
            generator_hidden_[1] = exchange_.generator_hidden[i % 2][1];
            draw_batch();
            PATCHFORGE_NO_UNROLL
            for (int turn = 0; turn < 2; ++turn) {
                take_turn(turn == 0);
            }
            finish();
        }
        store(first);
    }

  private:
    // Random numbers and Adam at this block's count of steps.

    __device__ __forceinline__ RandomStream stream(Purpose purpose, unsigned layer = 0) const {
        return {gan_.seed, static_cast<std::uint32_t>(purpose) + layer, {&s_.step, 1, 0}};
    }
    __device__ __forceinline__ ElementEpilogue epilogue(const TrainedLayer& layer, Purpose purpose,
                                                        unsigned number) const {
        return ElementEpilogue(
            Epilogue{layer.activation, layer.slope, layer.dropout, stream(purpose, number)});
    }
    __device__ __forceinline__ ElementEpilogue epilogue(const TrainedLayer& layer) const {
        return ElementEpilogue(Epilogue{layer.activation, layer.slope, 0.0f, {}});
    }
    __device__ __forceinline__ AdamUpdate adam(bool of_discriminator) const {
        return {of_discriminator ? job_.adam_d : job_.adam_g, s_.rates[of_discriminator ? 0 : 1]};
    }

    // Exchanges.

    // `rows` rows of an exchange into the tile, all on their way at once; the caller puts a barrier
    // behind it.
    __device__ __forceinline__ void fill_tile(const float* from, unsigned first, unsigned rows) {
        constexpr unsigned together = tile_rows * most_hidden / 4 / slice_threads;
        const unsigned quads = hidden_ / 4;
        float quad[together][4];
        PATCHFORGE_UNROLL
        for (unsigned j = 0; j < together; ++j) {
            const unsigned i = threadIdx.x + j * slice_threads;
            if (i < rows * quads) {
                load_from_l2(quad[j], from + first * hidden_ + 4 * i);
            }
        }
        PATCHFORGE_UNROLL
        for (unsigned j = 0; j < together; ++j) {
            const unsigned i = threadIdx.x + j * slice_threads;
            if (i < rows * quads) {
                store_quad<true>(s_.tile[i / quads] + 4 * (i % quads), quad[j], 4);
            }
        }
    }

    // This slice's sums over its pixels, of `rows` rows of samples.
    __device__ __forceinline__ void give_parts(const PixelSlice& slice, unsigned first_sample,
                                               unsigned rows) {
        float* const part = exchange_.part + blockIdx.x * (2 * batch_ * hidden_);
        for (unsigned first = 0; first < rows && pixels_ > 0; first += tile_rows) {
            slice.over_pixels(s_.samples + first_sample + first, min(tile_rows, rows - first),
                              hidden_, [&](unsigned row, unsigned h, const float(&sum)[4]) {
                                  store_to_l2(part + (first + row) * hidden_ + h, sum);
                              });
        }
    }

    // Adds up all slices' parts, in their order; each block does a run of quads of [rows, hidden].
    // finish(quad, row, h) gets each sum once.
    template <class Finish>
    __device__ __forceinline__ void add_parts(unsigned rows, Finish finish) {
        const unsigned quads = rows * hidden_ / 4;
        const unsigned each = (quads + gridDim.x - 1) / gridDim.x; // at most 48
        const unsigned begin = min(blockIdx.x * each, quads);
        const unsigned own = min(each, quads - begin);
        const unsigned groups = min(slice_threads / each, job_.slices);
        const unsigned quad = threadIdx.x % each;
        const unsigned group = threadIdx.x / each;
        float* const sums = s_.tile[0]; // [groups, each, 4]
        if (group < groups && quad < own) {
            float sum[4] = {};
            for (unsigned slice = group; slice < job_.slices; slice += groups) {
                float part[4];
                load_from_l2(part, exchange_.part + std::int64_t{slice} * (2 * batch_ * hidden_) +
                                       4 * (begin + quad));
                PATCHFORGE_UNROLL
                for (unsigned k = 0; k < 4; ++k) {
                    sum[k] += part[k];
                }
            }
            store_quad<true>(sums + 4 * (group * each + quad), sum, 4);
        }
        __syncthreads();
        if (threadIdx.x < own) {
            float total[4] = {};
            for (unsigned g = 0; g < groups; ++g) {
                float sum[4];
                load_shared(sum, sums + 4 * (g * each + threadIdx.x));
                PATCHFORGE_UNROLL
                for (unsigned k = 0; k < 4; ++k) {
                    total[k] += sum[k];
                }
            }
            const unsigned element = 4 * (begin + threadIdx.x);
            finish(total, element / hidden_, element % hidden_);
        }
    }

    // The parts of an iteration.

    __device__ __forceinline__ void gather_patches() {
        if (threadIdx.x < batch_) {
            BatchPlan plan = gan_.plan;
            plan.draw = {&s_.step, 1, 0};
            s_.patch[threadIdx.x] = row_of_plan(plan, threadIdx.x);
        }
        __syncthreads();
        for (unsigned i = threadIdx.x; i < batch_ * pixels_; i += slice_threads) {
            const unsigned row = i / pixels_;
            const unsigned p = i % pixels_;
            const std::uint8_t byte = gan_.patches[s_.patch[row] * gan_.pixels + first_pixel_ + p];
            s_.samples[row][p] = fmaf(static_cast<float>(byte), 2.0f / 255.0f, -1.0f);
        }
    }

    // Codes of one purpose into codes [batch * latent].
    __device__ __forceinline__ void draw_codes(float* codes, Purpose purpose) const {
        const PhiloxDraw draw(stream(purpose));
        for (unsigned group = threadIdx.x; group < batch_ * latent_ / 4; group += slice_threads) {
            std::uint32_t word[4];
            draw.words(word, group);
            float value[4];
            if (gan_.normal_codes) {
                standard_normals(value, word);
            } else {
                PATCHFORGE_UNROLL
                for (int i = 0; i < 4; ++i) {
                    value[i] = fmaf(2.0f, uniform_from_word(word[i]), -1.0f);
                }
            }
            store_quad<true>(codes + 4 * group, value, 4);
        }
    }

    // Patches come from memory while the other blocks arrive.
    __device__ __forceinline__ void draw_batch() {
        float* const codes = s_.tile[0];
        draw_codes(codes, Purpose::latent_discriminator);
        draw_codes(codes + batch_ * latent_, Purpose::latent_generator);
        __syncthreads();
        first_layer_of_generator(codes);
        barrier_.arrive();
        if (threadIdx.x < 2) {
            s_.rates[threadIdx.x] =
                adam_rates::of(threadIdx.x == 0 ? gan_.adam_d : gan_.adam_g, s_.step);
        }
        gather_patches();
        barrier_.wait();
        own_units(s_.generator_second, epilogue(gan_.generator[1]), generator_hidden_[0],
                  generator_hidden_[1], 2 * batch_);
        barrier_.arrive_and_wait();
        for (unsigned first = 0; first < 2 * batch_; first += tile_rows) {
            const unsigned rows = min(tile_rows, 2 * batch_ - first);
            fill_tile(generator_hidden_[1], first, rows);
            __syncthreads();
            s_.generator_last.over_hidden(s_.tile, rows, pixels_, hidden_,
                                          [&](unsigned row, unsigned p, float sum) {
                                              s_.samples[batch_ + first + row][p] = sum;
                                          });
            __syncthreads();
        }
        const ElementEpilogue last = epilogue(gan_.generator[2]);
        for (unsigned i = threadIdx.x; i < 2 * batch_ * pixels_; i += slice_threads) {
            const unsigned p = i % pixels_;
            float& pixel = s_.samples[batch_ + i / pixels_][p];
            pixel = last.apply(pixel + s_.generator_last_bias.value[p], 0);
        }
        __syncthreads();
    }

    // codes: [2B, latent] in shared memory.
    __device__ __forceinline__ void first_layer_of_generator(const float* codes) {
        const ElementEpilogue first = epilogue(gan_.generator[0]);
        const unsigned lane = threadIdx.x % 32;
        for (unsigned row = threadIdx.x / 32; row < 2 * batch_; row += slice_threads / 32) {
            for (unsigned unit = 0; unit < own_.count; ++unit) {
                float sum = 0.0f;
                for (unsigned i = lane; i < latent_; i += 32) {
                    sum = fmaf(codes[row * latent_ + i], s_.generator_first[unit].value[i], sum);
                }
                for (unsigned distance = 16; distance > 0; distance /= 2) {
                    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
                }
                if (lane == 0) {
                    __stcg(generator_hidden_[0] + row * hidden_ + own_.first + unit,
                           first.apply(sum + s_.generator_first_bias.value[unit], 0));
                }
            }
        }
    }

    // A layer between hidden units, forward: from one exchange into the next.
    __device__ __forceinline__ void own_units(const HiddenShard& shard,
                                              const ElementEpilogue& after, const float* below,
                                              float* above, unsigned rows) {
        own_products(
            rows, hidden_, own_.count, shard.row,
            [&](float(&quad)[4], unsigned row, unsigned h) {
                load_from_l2(quad, below + row * hidden_ + h);
            },
            [&](unsigned row, unsigned unit, float sum) {
                const unsigned element = row * hidden_ + own_.first + unit;
                __stcg(above + element, after.apply(sum + shard.bias.value[unit], element));
            });
    }

    // D on `rows` samples, as far as its last hidden layer.
    __device__ __forceinline__ void discriminate(unsigned first_sample, unsigned rows,
                                                 Purpose dropout) {
        give_parts(s_.discriminator_first, first_sample, rows);
        barrier_.arrive_and_wait();
        const ElementEpilogue after_first = epilogue(gan_.discriminator[0], dropout, 0);
        const float* const bias = gan_.discriminator[0].bias.value.data;
        add_parts(rows, [&](float(&sum)[4], unsigned row, unsigned h) {
            PATCHFORGE_UNROLL
            for (unsigned k = 0; k < 4; ++k) {
                sum[k] += __ldcg(bias + h + k);
            }
            after_first.apply_quad(sum, row * hidden_ + h);
            store_to_l2(exchange_.discriminator_hidden[0] + row * hidden_ + h, sum);
        });
        barrier_.arrive_and_wait();
        own_units(s_.discriminator_second, epilogue(gan_.discriminator[1], dropout, 1),
                  exchange_.discriminator_hidden[0], exchange_.discriminator_hidden[1], rows);
        barrier_.arrive_and_wait();
    }

    // D's logits of a tile of rows, with the loss and its gradient of each.
    __device__ __forceinline__ void judge(unsigned first, unsigned rows, bool of_discriminator) {
        fill_tile(exchange_.discriminator_hidden[1], first, rows);
        __syncthreads();
        own_products(
            rows, hidden_, 1, &s_.discriminator_last.weight,
            [&](float(&quad)[4], unsigned row, unsigned h) { load_shared(quad, s_.tile[row] + h); },
            [&](unsigned row, unsigned, float sum) {
                s_.logit[first + row] = sum + s_.discriminator_last.bias.value[0];
            });
        __syncthreads();
        if (threadIdx.x < rows) {
            const unsigned row = first + threadIdx.x;
            const float logit = s_.logit[row];
            const auto term =
                of_discriminator
                    ? gan_loss::discriminator_term(gan_.loss, logit, row < batch_, gan_.real_label)
                    : gan_loss::generator_term(gan_.loss, logit);
            s_.loss[row] = term.loss;
            s_.d_logit[row] = term.slope / static_cast<float>(batch_);
            s_.probability[row] = gan_loss::sigmoid(logit);
        }
        __syncthreads();
    }

    // The tile's rows of D's last hidden layer become gradients by what enters its epilogue.
    __device__ __forceinline__ void gradient_from_logits(unsigned first, unsigned rows,
                                                         Purpose dropout) {
        const ElementEpilogue after_second = epilogue(gan_.discriminator[1], dropout, 1);
        const unsigned quads = hidden_ / 4;
        for (unsigned i = threadIdx.x; i < rows * quads; i += slice_threads) {
            const unsigned r = i / quads;
            const unsigned h = 4 * (i % quads);
            float y[4], d[4];
            load_shared(y, s_.tile[r] + h);
            load_shared(d, s_.discriminator_last.weight.value + h);
            PATCHFORGE_UNROLL
            for (unsigned k = 0; k < 4; ++k) {
                d[k] *= s_.d_logit[first + r];
            }
            after_second.multiply_by_derivative(d, y, (first + r) * hidden_ + h);
            store_quad<true>(s_.tile[r] + h, d, 4);
        }
    }

    // From the tile, gradients by a layer's z, to the units of the same numbers below it: into
    // gradient_of_units, and into an exchange unless that is null.
    __device__ __forceinline__ void gradient_below(const HiddenShard& shard,
                                                   const ElementEpilogue& below, unsigned first,
                                                   unsigned rows, float* exchange) {
        own_products(
            rows, hidden_, own_.count, shard.column,
            [&](float(&quad)[4], unsigned row, unsigned h) { load_shared(quad, s_.tile[row] + h); },
            [&](unsigned tile_row, unsigned unit, float sum) {
                const unsigned row = first + tile_row;
                const unsigned element = row * hidden_ + own_.first + unit;
                const float gradient = sum * below.derivative(shard.input[row][unit], element);
                s_.gradient_of_units[row][unit] = gradient;
                if (exchange != nullptr) {
                    __stcg(exchange + element, gradient);
                }
            });
    }

    // The discriminator's turn: it sees patches and fakes, and learns. The generator's: it sees other
    // fakes, and the generator learns through it. One text for both, since a kernel as long as this
    // is slow where its instructions do not fit the cache.
    __device__ __forceinline__ void take_turn(bool of_discriminator) {
        const Purpose dropout = of_discriminator ? Purpose::dropout_discriminator_step
                                                 : Purpose::dropout_generator_step;
        const unsigned rows = of_discriminator ? 2 * batch_ : batch_;
        discriminate(of_discriminator ? 0 : 2 * batch_, rows, dropout);

        const float* const below = exchange_.discriminator_hidden[0];
        HiddenShard::Gradient of_second;
        float of_last = 0.0f;
        s_.discriminator_second.keep_input(below, rows, own_, hidden_);
        for (unsigned first = 0; first < rows; first += tile_rows) {
            const unsigned count = min(tile_rows, rows - first);
            judge(first, count, of_discriminator);
            if (of_discriminator) {
                for (unsigned r = 0; r < count && threadIdx.x < hidden_; ++r) {
                    of_last = fmaf(s_.d_logit[first + r], s_.tile[r][threadIdx.x], of_last);
                }
                __syncthreads();
            }
            gradient_from_logits(first, count, dropout);
            __syncthreads();
            gradient_below(s_.discriminator_second, epilogue(gan_.discriminator[0], dropout, 0),
                           first, count, exchange_.discriminator_gradient);
            if (of_discriminator) {
                s_.discriminator_second.add_gradient(of_second, s_.tile, below, first, count, own_,
                                                     hidden_);
            }
            __syncthreads();
        }
        barrier_.arrive();
        const AdamUpdate adam = this->adam(of_discriminator);
        if (threadIdx.x == 0) {
            measure(of_discriminator);
        }
        if (of_discriminator) {
            update_upper_layers(of_second, of_last, adam);
        }
        barrier_.wait();

        const float* const hidden_of_fakes = generator_hidden_[1] + batch_ * hidden_;
        if (!of_discriminator) {
            gradient_by_fakes();
            give_parts(s_.generator_last, 0, batch_);
            barrier_.arrive();
        }
        update_slice(of_discriminator ? s_.discriminator_first : s_.generator_last,
                     of_discriminator ? 0 : 1, rows,
                     of_discriminator ? exchange_.discriminator_gradient : hidden_of_fakes, adam);
        if (!of_discriminator) {
            if (threadIdx.x < pixels_) {
                float of_bias = 0.0f;
                for (unsigned r = 0; r < batch_; ++r) {
                    of_bias += s_.samples[r][threadIdx.x];
                }
                s_.generator_last_bias.update(threadIdx.x, of_bias, adam);
            }
            barrier_.wait();
            update_generators_first_layers(hidden_of_fakes, adam);
        }
    }

    // D's second and last layer, and the bias of its first.
    __device__ __forceinline__ void update_upper_layers(const HiddenShard::Gradient& of_second,
                                                        float of_last, const AdamUpdate& adam) {
        s_.discriminator_second.update(of_second, own_, hidden_, adam);
        if (threadIdx.x < hidden_) {
            s_.discriminator_last.weight.update(threadIdx.x, of_last, adam);
        }
        if (threadIdx.x == 0) {
            float of_bias = 0.0f;
            for (unsigned r = 0; r < 2 * batch_; ++r) {
                of_bias += s_.d_logit[r];
            }
            s_.discriminator_last.bias.update(0, of_bias, adam);
        }
        if (threadIdx.x < own_.count) {
            Trained<units_of_block>& bias = s_.discriminator_first_bias;
            bias.update(threadIdx.x, gradient_of_bias(2 * batch_), adam);
            __stcg(gan_.discriminator[0].bias.value.data + own_.first + threadIdx.x,
                   bias.value[threadIdx.x]);
        }
    }

    // Of the block's own unit number threadIdx.x.
    __device__ __forceinline__ float gradient_of_bias(unsigned rows) const {
        float sum = 0.0f;
        for (unsigned r = 0; r < rows; ++r) {
            sum += s_.gradient_of_units[r][threadIdx.x];
        }
        return sum;
    }

    // Through D's first layer and G's output, to the z of this block's pixels; it takes the place of
    // the patches, which nobody needs any more.
    __device__ __forceinline__ void gradient_by_fakes() {
        fill_tile(exchange_.discriminator_gradient, 0, batch_);
        __syncthreads();
        s_.discriminator_first.over_hidden(
            s_.tile, batch_, pixels_, hidden_,
            [&](unsigned row, unsigned p, float sum) { s_.samples[row][p] = sum; });
        __syncthreads();
        const ElementEpilogue output = epilogue(gan_.generator[2]);
        for (unsigned i = threadIdx.x; i < batch_ * pixels_; i += slice_threads) {
            const unsigned row = i / pixels_;
            const unsigned p = i % pixels_;
            s_.samples[row][p] *= output.derivative(s_.samples[2 * batch_ + row][p], 0);
        }
        __syncthreads();
    }

    // Adam on a slice: samples, from the first on, times rows of an exchange.
    __device__ __forceinline__ void update_slice(PixelSlice& slice, int layer, unsigned rows,
                                                 const float* by_hidden, const AdamUpdate& adam) {
        if (pixels_ == 0) {
            return;
        }
        PixelSlice::Gradient gradient;
        for (unsigned first = 0; first < rows; first += tile_rows) {
            const unsigned count = min(tile_rows, rows - first);
            fill_tile(by_hidden, first, count);
            __syncthreads();
            gradient.add(s_.samples + first, s_.tile, count, hidden_);
            __syncthreads();
        }
        slice.update(gradient, moment(exchange_.first_moment, layer),
                     moment(exchange_.second_moment, layer), pixels_, hidden_, adam);
        __syncthreads();
    }

    // From all parts of the gradient by what G's last layer reads.
    __device__ __forceinline__ void update_generators_first_layers(const float* hidden_of_fakes,
                                                                   const AdamUpdate& adam) {
        const ElementEpilogue after_second = epilogue(gan_.generator[1]);
        add_parts(batch_, [&](float(&sum)[4], unsigned row, unsigned h) {
            float y[4];
            load_from_l2(y, hidden_of_fakes + row * hidden_ + h);
            after_second.multiply_by_derivative(sum, y, 0);
            store_to_l2(exchange_.generator_gradient + row * hidden_ + h, sum);
        });
        barrier_.arrive_and_wait();

        const float* const below = generator_hidden_[0] + batch_ * hidden_;
        HiddenShard::Gradient of_second;
        s_.generator_second.keep_input(below, batch_, own_, hidden_);
        fill_tile(exchange_.generator_gradient, 0, batch_);
        __syncthreads();
        gradient_below(s_.generator_second, epilogue(gan_.generator[0]), 0, batch_, nullptr);
        s_.generator_second.add_gradient(of_second, s_.tile, below, 0, batch_, own_, hidden_);
        __syncthreads();
        s_.generator_second.update(of_second, own_, hidden_, adam);
        float* const codes = s_.tile[0];
        draw_codes(codes, Purpose::latent_generator);
        __syncthreads();
        for (unsigned i = threadIdx.x; i < own_.count * latent_; i += slice_threads) {
            const unsigned unit = i / latent_;
            float gradient = 0.0f;
            for (unsigned r = 0; r < batch_; ++r) {
                gradient =
                    fmaf(s_.gradient_of_units[r][unit], codes[r * latent_ + i % latent_], gradient);
            }
            s_.generator_first[unit].update(i % latent_, gradient, adam);
        }
        if (threadIdx.x < own_.count) {
            s_.generator_first_bias.update(threadIdx.x, gradient_of_bias(batch_), adam);
        }
    }

    // Metrics, by one thread; block 0's are kept.

    // In float64, as all metrics are.
    __device__ __forceinline__ float mean_of_batch(const float* of_row) const {
        double sum = 0.0;
        for (unsigned r = 0; r < batch_; ++r) {
            sum += of_row[r];
        }
        return static_cast<float>(sum / batch_);
    }

    __device__ __forceinline__ void measure(bool of_discriminator) {
        if (!of_discriminator) {
            float* const metrics = s_.metrics + DiscriminatorMetrics::count;
            metrics[GeneratorMetrics::loss] = mean_of_batch(s_.loss);
            metrics[GeneratorMetrics::probability_fake] = mean_of_batch(s_.probability);
            return;
        }
        using Metric = DiscriminatorMetrics;
        unsigned right = 0;
        for (unsigned r = 0; r < batch_; ++r) {
            right += (s_.logit[r] > 0.0f ? 1 : 0) + (s_.logit[batch_ + r] <= 0.0f ? 1 : 0);
        }
        s_.metrics[Metric::loss_real] = mean_of_batch(s_.loss);
        s_.metrics[Metric::loss_fake] = mean_of_batch(s_.loss + batch_);
        s_.metrics[Metric::probability_real] = mean_of_batch(s_.probability);
        s_.metrics[Metric::probability_fake] = mean_of_batch(s_.probability + batch_);
        s_.metrics[Metric::accuracy] = static_cast<float>(right / (2.0 * batch_));
    }

    __device__ __forceinline__ void finish() {
        __syncthreads(); // everybody has used the step
        const Matrix<float>& history = gan_.history;
        float* const row = history.data + static_cast<std::int64_t>(
                                              s_.step % static_cast<std::uint64_t>(history.rows)) *
                                              history.columns;
        if (blockIdx.x == 0 && threadIdx.x < history.columns) {
            row[threadIdx.x] = threadIdx.x < gan_metrics ? s_.metrics[threadIdx.x] : 0.0f;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            ++s_.step;
        }
        __syncthreads();
    }

    GridBarrier barrier_;
    float* generator_hidden_[2] = {};
};

__global__ void __launch_bounds__(slice_threads, 1)
    gan_iterations_kernel(const __grid_constant__ GanIterationsJob job) {
    begin_kernel();
    Iterations(job, shared<GanStorage>()).run();
}

} // namespace

static_assert(sizeof(GanStorage) <= gan_iterations_shared_bytes);

void launch_gan_iterations(const GanIterationsJob& job, const Work& work, const Stream& stream) {
    launch(gan_iterations_kernel,
           {.grid = job.blocks,
            .block = slice_threads,
            .shared_bytes = sizeof(GanStorage),
            .stream = stream,
            .name = "gan_iterations",
            .work = work,
            .cooperative = true,
            .resident_blocks = 1},
           job);
}

} // namespace patchforge::cuda
