// What the host prepares for the kernel of whole GAN iterations (gan_iterations.cu).
#pragma once

#include "kernels/cuda/adam_constants.h"
#include "kernels/cuda/device.h"
#include "kernels/operations/gan_iterations.h"

namespace patchforge::cuda {

constexpr unsigned slice_threads = 256;
constexpr unsigned slice_pixels = 60; // of a block in each wide layer; 7500 = 125 * 60
constexpr unsigned most_hidden = 256;
constexpr unsigned units_of_block = 3; // 256 hidden units on 86 blocks or more
constexpr unsigned most_latent = 128;
constexpr unsigned most_batch = 32;
constexpr unsigned most_rows_of_pass = 2 * most_batch;

// What a block of Hopper can have; one block fills a multiprocessor.
constexpr std::size_t gan_iterations_shared_bytes = 227 * 1024;

// What blocks exchange, and the moments of the wide layers in the order in which blocks use them.
// Wide layer 0 is D's first, 1 G's last.
struct GanExchange {
    float* first_moment[2]; // [slices, slice_pixels, hidden]
    float* second_moment[2];
    float* part;                    // [slices, 2B, hidden]: sums over the pixels of a slice
    float* generator_hidden[2][2];  // [2B, hidden] of layer 0, 1; even and odd iterations
    float* discriminator_hidden[2]; // [2B, hidden] of layer 0, 1
    float* discriminator_gradient;  // [2B, hidden] by z of layer 0
    float* generator_gradient;      // [B, hidden] by z of layer 1
    unsigned* arrived;
};

struct GanIterationsJob {
    GanIterations gan;
    GanExchange exchange;
    AdamConstants adam_d, adam_g; // their rates are worked out in the kernel
    std::int64_t count;
    unsigned slices; // blocks that own pixels
    unsigned blocks; // all; those beyond the slices own hidden units only
};

void launch_gan_iterations(const GanIterationsJob& job, const Work& work, const Stream& stream);

} // namespace patchforge::cuda
