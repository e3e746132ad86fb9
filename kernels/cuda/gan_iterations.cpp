// The host's side of whole GAN iterations: what a device must have for them, and their memory.
#include "kernels/cuda/gan_iterations.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/cuda/cuda_backend.h"

namespace patchforge::cuda {
namespace {

unsigned slices_of(const GanIterations& job) {
    return blocks_for(job.pixels, slice_pixels);
}
unsigned blocks_of(const GanIterations& job) {
    return std::max(slices_of(job), blocks_for(job.hidden, units_of_block));
}

// Carves a GanExchange from one piece of memory; called with null it only counts the bytes.
GanExchange exchange_in(void* memory, const GanIterations& job, std::size_t& bytes) {
    auto* const base = static_cast<char*>(memory);
    bytes = 0;
    const auto take = [&](std::int64_t floats) {
        char* const place = base == nullptr ? nullptr : base + bytes;
        bytes += (static_cast<std::size_t>(floats) * sizeof(float) + 255) / 256 * 256;
        return reinterpret_cast<float*>(place);
    };
    const std::int64_t slices = slices_of(job);
    const std::int64_t hidden_rows = 2 * job.rows * job.hidden;
    GanExchange exchange = {};
    exchange.arrived = reinterpret_cast<unsigned*>(take(1));
    for (int layer = 0; layer < 2; ++layer) {
        exchange.first_moment[layer] = take(slices * slice_pixels * job.hidden);
        exchange.second_moment[layer] = take(slices * slice_pixels * job.hidden);
        exchange.generator_hidden[0][layer] = take(hidden_rows);
        exchange.generator_hidden[1][layer] = take(hidden_rows);
        exchange.discriminator_hidden[layer] = take(hidden_rows);
    }
    exchange.part = take(slices * hidden_rows);
    exchange.discriminator_gradient = take(hidden_rows);
    exchange.generator_gradient = take(hidden_rows);
    return exchange;
}

// All parameters in and out once, and the patches. Products of a layer, in units of B rows:
//              wide                                 middle                                     narrow
//     D's turn 2 forward, 2 by weights              2 forward, 2 backward, 2 by weights
//     G's turn 1 forward, 1 backward through D      1 forward, 1 backward through D
//     G        2 forward, 1 backward, 1 by weights  2 forward, 1 backward, 1 by weights        2 + 1
// The second copy of a middle layer's weight gradient is not counted.
Work work_of(const GanIterations& job, std::int64_t count) {
    const auto b = static_cast<double>(job.rows);
    const auto h = static_cast<double>(job.hidden);
    const double wide = h * static_cast<double>(job.pixels);
    const double middle = h * h;
    const double narrow = h * static_cast<double>(job.latent);
    const double parameters = 2 * (wide + middle) + narrow;
    return {24.0 * parameters + static_cast<double>(count) * b * static_cast<double>(job.pixels),
            static_cast<double>(count) * 2.0 * b * (10 * wide + 12 * middle + 3 * narrow)};
}

} // namespace

std::string CudaBackend::why_no_gan_iterations(const GanIterations& job) const {
    if (job.hidden < 16 || job.hidden > most_hidden || job.hidden % 16 != 0) {
        return fmt::format("it takes hidden layers of a multiple of 16 up to {} units, not {}",
                           most_hidden, job.hidden);
    }
    if (job.latent < 4 || job.latent > most_latent || job.latent % 4 != 0) {
        return fmt::format("it takes a latent code of a multiple of 4 up to {} numbers, not {}",
                           most_latent, job.latent);
    }
    if (job.rows < 1 || job.rows > most_batch) {
        return fmt::format("it takes 1 to {} patches a batch, not {}", most_batch, job.rows);
    }
    int shared = 0;
    int multiprocessors = 0;
    PATCHFORGE_CUDA_CHECK(
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device_index_));
    PATCHFORGE_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device_index_));
    if (static_cast<std::size_t>(shared) < gan_iterations_shared_bytes) {
        return fmt::format("it takes {} KiB of shared memory a block, as Hopper has, and {} has {}",
                           gan_iterations_shared_bytes / 1024, name(), shared / 1024);
    }
    if (blocks_of(job) > static_cast<unsigned>(multiprocessors)) {
        return fmt::format("{} pixels take {} multiprocessors, and {} has {}", job.pixels,
                           blocks_of(job), name(), multiprocessors);
    }
    return {};
}

void CudaBackend::gan_iterations(const GanIterations& job, std::int64_t count) {
    use();
    if (const std::string reason = why_no_gan_iterations(job); !reason.empty()) {
        throw std::invalid_argument("gan_iterations: " + reason);
    }
    std::size_t bytes = 0;
    exchange_in(nullptr, job, bytes);
    if (bytes > exchange_bytes_) {
        release(exchange_);
        exchange_ = nullptr;
        exchange_bytes_ = 0;
        exchange_ = allocate(bytes);
        exchange_bytes_ = bytes;
    }
    const GanExchange exchange = exchange_in(exchange_, job, bytes);
    PATCHFORGE_CUDA_CHECK(cudaMemsetAsync(exchange.arrived, 0, sizeof(unsigned), stream_.handle));
    launch_gan_iterations({job, exchange, adam_constants(job.adam_d, nullptr),
                           adam_constants(job.adam_g, nullptr), count, slices_of(job),
                           blocks_of(job)},
                          work_of(job, count), stream_);
}

} // namespace patchforge::cuda
