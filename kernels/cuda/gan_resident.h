// What one block keeps while a GAN trains in one kernel (gan_iterations.cu): which pixels and hidden
// units are its own, its shared memory, and the way there and back.
#pragma once

#include "kernels/cuda/gan_iterations.h"
#include "kernels/cuda/hidden_shard.h"
#include "kernels/cuda/pixel_slice.h"

namespace patchforge::cuda {

constexpr int gan_metrics = int{DiscriminatorMetrics::count} + int{GeneratorMetrics::count};

// D's last layer, alike in all blocks.
struct LogitLayer {
    Trained<most_hidden> weight;
    Trained<1> bias;
};

struct alignas(16) GanStorage {
    PixelSlice discriminator_first, generator_last;
    HiddenRow tile[tile_rows]; // rows of an exchange, codes, partial sums
    PixelRow
        samples[3 * most_batch]; // patches (later gradients by fakes), fakes of D's step, of G's
    HiddenShard discriminator_second, generator_second;
    Trained<most_latent> generator_first[units_of_block];
    LogitLayer discriminator_last;
    Trained<slice_pixels> generator_last_bias;
    Trained<units_of_block> generator_first_bias, discriminator_first_bias;
    float gradient_of_units[most_rows_of_pass][units_of_block]; // by z of the block's own units
    float logit[most_rows_of_pass], d_logit[most_rows_of_pass];
    float loss[most_rows_of_pass], probability[most_rows_of_pass];
    float metrics[gan_metrics];
    std::int64_t patch[most_batch];
    std::uint64_t step;
};

class GanResident {
  public:
    __device__ __forceinline__ void load() {
        const auto& [g_first, g_second, g_last] = gan_.generator;
        const auto& [d_first, d_second, d_last] = gan_.discriminator;
        if (blockIdx.x < job_.slices) {
            load_slice(s_.discriminator_first, d_first, true);
            load_slice(s_.generator_last, g_last, false);
        }
        s_.discriminator_second.load(d_second, own_, hidden_);
        s_.generator_second.load(g_second, own_, hidden_);
        for (unsigned i = threadIdx.x; i < own_.count * latent_; i += slice_threads) {
            s_.generator_first[i / latent_].load(g_first.weight, i % latent_,
                                                 std::int64_t{own_.first} * latent_ + i);
        }
        if (threadIdx.x < own_.count) {
            s_.generator_first_bias.load(g_first.bias, threadIdx.x, own_.first + threadIdx.x);
            s_.discriminator_first_bias.load(d_first.bias, threadIdx.x, own_.first + threadIdx.x);
        }
        if (threadIdx.x < pixels_) {
            s_.generator_last_bias.load(g_last.bias, threadIdx.x, first_pixel_ + threadIdx.x);
        }
        if (threadIdx.x < hidden_) {
            s_.discriminator_last.weight.load(d_last.weight, threadIdx.x, threadIdx.x);
        }
        for (unsigned i = threadIdx.x; i < 3 * batch_ * slice_pixels; i += slice_threads) {
            s_.samples[i / slice_pixels][i % slice_pixels] = 0.0f;
        }
        if (threadIdx.x == 0) {
            s_.discriminator_last.bias.load(d_last.bias, 0, 0);
            s_.step = *gan_.step;
        }
        __syncthreads();
    }

    // Nobody writes what others still read: all have passed the last barrier, behind which only
    // this block's own share is touched.
    __device__ __forceinline__ void store(std::uint64_t first) {
        const auto& [g_first, g_second, g_last] = gan_.generator;
        const auto& [d_first, d_second, d_last] = gan_.discriminator;
        if (blockIdx.x < job_.slices) {
            store_slice(s_.discriminator_first, d_first, true);
            store_slice(s_.generator_last, g_last, false);
        }
        s_.discriminator_second.store(d_second, own_, hidden_);
        s_.generator_second.store(g_second, own_, hidden_);
        for (unsigned i = threadIdx.x; i < own_.count * latent_; i += slice_threads) {
            s_.generator_first[i / latent_].store(g_first.weight, i % latent_,
                                                  std::int64_t{own_.first} * latent_ + i);
        }
        if (threadIdx.x < own_.count) {
            s_.generator_first_bias.store(g_first.bias, threadIdx.x, own_.first + threadIdx.x);
            s_.discriminator_first_bias.store(d_first.bias, threadIdx.x, own_.first + threadIdx.x);
        }
        if (threadIdx.x < pixels_) {
            s_.generator_last_bias.store(g_last.bias, threadIdx.x, first_pixel_ + threadIdx.x);
        }
        if (blockIdx.x == 0 && threadIdx.x < hidden_) {
            s_.discriminator_last.weight.store(d_last.weight, threadIdx.x, threadIdx.x);
        }
        if (blockIdx.x == 0 && threadIdx.x == 0) {
            s_.discriminator_last.bias.store(d_last.bias, 0, 0);
            *gan_.step = first + static_cast<std::uint64_t>(job_.count);
        }
    }

  protected:
    __device__ __forceinline__ GanResident(const GanIterationsJob& job, GanStorage& storage)
        : job_(job), gan_(job.gan), exchange_(job.exchange), s_(storage),
          batch_(static_cast<unsigned>(gan_.rows)), hidden_(static_cast<unsigned>(gan_.hidden)),
          latent_(static_cast<unsigned>(gan_.latent)), own_(hidden_),
          first_pixel_(std::int64_t{blockIdx.x} * slice_pixels),
          pixels_(blockIdx.x < job.slices
                      ? static_cast<unsigned>(gan_.pixels - first_pixel_ < slice_pixels
                                                  ? gan_.pixels - first_pixel_
                                                  : slice_pixels)
                      : 0) {}

    __device__ __forceinline__ float* moment(float* const (&of_layer)[2], int layer) const {
        return of_layer[layer] + blockIdx.x * (slice_pixels * hidden_);
    }

    const GanIterationsJob& job_;
    const GanIterations& gan_;
    const GanExchange& exchange_;
    GanStorage& s_;
    const unsigned batch_, hidden_, latent_;
    const OwnUnits own_;
    const std::int64_t first_pixel_;
    const unsigned pixels_; // of this block; 0 in blocks that only own hidden units

  private:
    __device__ __forceinline__ SlicePlace place(const Vector<float>& tensor,
                                                bool of_discriminator) const {
        return {tensor.data + first_pixel_ * (of_discriminator ? 1 : gan_.hidden),
                of_discriminator ? 1 : gan_.hidden, of_discriminator ? gan_.pixels : 1, pixels_,
                hidden_};
    }
    __device__ __forceinline__ void load_slice(PixelSlice& slice, const TrainedLayer& layer,
                                               bool of_discriminator) {
        const int which = of_discriminator ? 0 : 1;
        for (unsigned i = threadIdx.x; i < slice_pixels * hidden_; i += slice_threads) {
            slice.weight[i / hidden_][i % hidden_] = 0.0f;
        }
        __syncthreads();
        place(layer.weight.value, of_discriminator).each([&](unsigned p, unsigned h, float& w) {
            slice.weight[p][h] = w;
        });
        float* const m = moment(exchange_.first_moment, which);
        place(layer.weight.first_moment, of_discriminator)
            .each([&](unsigned p, unsigned h, float& value) { m[p * hidden_ + h] = value; });
        float* const v = moment(exchange_.second_moment, which);
        place(layer.weight.second_moment, of_discriminator)
            .each([&](unsigned p, unsigned h, float& value) { v[p * hidden_ + h] = value; });
    }

    __device__ __forceinline__ void store_slice(const PixelSlice& slice, const TrainedLayer& layer,
                                                bool of_discriminator) const {
        const int which = of_discriminator ? 0 : 1;
        place(layer.weight.value, of_discriminator).each([&](unsigned p, unsigned h, float& w) {
            w = slice.weight[p][h];
        });
        const float* const m = moment(exchange_.first_moment, which);
        place(layer.weight.first_moment, of_discriminator)
            .each([&](unsigned p, unsigned h, float& value) { value = m[p * hidden_ + h]; });
        const float* const v = moment(exchange_.second_moment, which);
        place(layer.weight.second_moment, of_discriminator)
            .each([&](unsigned p, unsigned h, float& value) { value = v[p * hidden_ + h]; });
    }
};

} // namespace patchforge::cuda
