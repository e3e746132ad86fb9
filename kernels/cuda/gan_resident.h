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
    AdamRates rates[2]; // of D and of G at this step
};

class GanResident {
  public:
    __device__ __forceinline__ void load() {
        for (unsigned i = threadIdx.x; i < slice_pixels * hidden_; i += slice_threads) {
            s_.discriminator_first.weight[i / hidden_][i % hidden_] = 0.0f;
            s_.generator_last.weight[i / hidden_][i % hidden_] = 0.0f;
        }
        for (unsigned i = threadIdx.x; i < 3 * batch_ * slice_pixels; i += slice_threads) {
            s_.samples[i / slice_pixels][i % slice_pixels] = 0.0f;
        }
        __syncthreads();
        each_of_slices([](float& here, const float& there) { here = there; });
        s_.discriminator_second.load(gan_.discriminator[1], own_, hidden_);
        s_.generator_second.load(gan_.generator[1], own_, hidden_);
        const auto load_one = [](auto& here, const AdamTensor& there, unsigned i,
                                 std::int64_t place) { here.load(there, i, place); };
        each_of_units_and_pixels(load_one);
        each_of_logit_layer(load_one);
        if (threadIdx.x == 0) {
            s_.step = *gan_.step;
        }
        __syncthreads();
    }

    // Nobody writes what others still read: all have passed the last barrier, behind which only
    // this block's own share is touched.
    __device__ __forceinline__ void store(std::uint64_t first) {
        each_of_slices([](const float& here, float& there) { there = here; });
        s_.discriminator_second.store(gan_.discriminator[1], own_, hidden_);
        s_.generator_second.store(gan_.generator[1], own_, hidden_);
        const auto store_one = [](const auto& here, const AdamTensor& there, unsigned i,
                                  std::int64_t place) { here.store(there, i, place); };
        each_of_units_and_pixels(store_one);
        if (blockIdx.x == 0) {
            each_of_logit_layer(store_one);
        }
        if (blockIdx.x == 0 && threadIdx.x == 0) {
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
    // Calls move(here, there) for every weight and moment of both slices: where this block keeps it,
    // and its place in the network.
    template <class Move>
    __device__ __forceinline__ void each_of_slices(Move move) {
        each_of_slice(s_.discriminator_first, gan_.discriminator[0], 0, move);
        each_of_slice(s_.generator_last, gan_.generator[2], 1, move);
    }
    // Wide layer 0 has rows of pixels, 1 rows of hidden units (GanExchange).
    template <class Move>
    __device__ __forceinline__ void each_of_slice(PixelSlice& slice, const TrainedLayer& layer,
                                                  int wide, Move move) {
        const std::int64_t pixel_stride = wide == 0 ? 1 : gan_.hidden;
        const std::int64_t hidden_stride = wide == 0 ? gan_.pixels : 1;
        const auto place = [&](const Vector<float>& tensor) {
            return SlicePlace{tensor.data + first_pixel_ * pixel_stride, pixel_stride,
                              hidden_stride, pixels_, hidden_};
        };
        place(layer.weight.value).each([&](unsigned p, unsigned h, float& there) {
            move(slice.weight[p][h], there);
        });
        float* const m = moment(exchange_.first_moment, wide);
        place(layer.weight.first_moment).each([&](unsigned p, unsigned h, float& there) {
            move(m[p * hidden_ + h], there);
        });
        float* const v = moment(exchange_.second_moment, wide);
        place(layer.weight.second_moment).each([&](unsigned p, unsigned h, float& there) {
            move(v[p * hidden_ + h], there);
        });
    }

    // Calls move(here, there, i, place): number i of a Trained is the tensor's at `place`. Of the
    // other layers, what belongs to this block's units and pixels, but for the shards.
    template <class Move>
    __device__ __forceinline__ void each_of_units_and_pixels(Move move) {
        for (unsigned i = threadIdx.x; i < own_.count * latent_; i += slice_threads) {
            move(s_.generator_first[i / latent_], gan_.generator[0].weight, i % latent_,
                 std::int64_t{own_.first} * latent_ + i);
        }
        if (threadIdx.x < own_.count) {
            const std::int64_t unit = own_.first + threadIdx.x;
            move(s_.generator_first_bias, gan_.generator[0].bias, threadIdx.x, unit);
            move(s_.discriminator_first_bias, gan_.discriminator[0].bias, threadIdx.x, unit);
        }
        if (threadIdx.x < pixels_) {
            move(s_.generator_last_bias, gan_.generator[2].bias, threadIdx.x,
                 first_pixel_ + threadIdx.x);
        }
    }
    template <class Move>
    __device__ __forceinline__ void each_of_logit_layer(Move move) {
        if (threadIdx.x < hidden_) {
            move(s_.discriminator_last.weight, gan_.discriminator[2].weight, threadIdx.x,
                 threadIdx.x);
        }
        if (threadIdx.x == 0) {
            move(s_.discriminator_last.bias, gan_.discriminator[2].bias, 0, 0);
        }
    }
};

} // namespace patchforge::cuda
