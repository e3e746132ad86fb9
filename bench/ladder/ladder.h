// Two kernels, each from the first thing that works to the one that is shipped. Read README.md,
// then the rungs in order. Every rung computes the same and is tested like the shipped kernel.
#pragma once

#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/workspace.h"

namespace patchforge::ladder {

// y [B, O] = x [B, I] weight^T [I, O] + bias [O]. At most 32 rows; I a multiple of four; all
// buffers aligned to 16 bytes.
struct Forward {
    Matrix<float> y;
    Matrix<const float> x;
    Matrix<const float> weight;
    Vector<const float> bias;
    cuda::SplitWorkspace workspace; // of rung 4

    __host__ __device__ int rows() const { return static_cast<int>(x.rows); }
    __host__ __device__ int inputs() const { return static_cast<int>(x.columns); }
    __host__ __device__ int outputs() const { return static_cast<int>(weight.rows); }
};

// One step of Adam of weight [O, I] along dz^T [O, B] x [B, I]. The same limits.
struct Update {
    AdamTensor weight;
    Matrix<const float> dz;
    Matrix<const float> x;
    Adam adam;
    Vector<float> gradient; // O * I numbers, of rung 1

    __host__ __device__ int rows() const { return static_cast<int>(x.rows); }
    __host__ __device__ int inputs() const { return static_cast<int>(x.columns); }
    __host__ __device__ int outputs() const { return static_cast<int>(dz.columns); }
};

template <class Problem>
struct Rung {
    const char* name;
    const char* change;  // from the rung below
    double predicted_us; // 7500 x 256, 20 rows, H100: the arithmetic is in the file's head
    // Null: the shipped kernel, which the backend launches.
    void (*launch)(const Problem& problem, cudaStream_t stream);
};

void forward_naive(const Forward& problem, cudaStream_t stream);
void forward_coalesced(const Forward& problem, cudaStream_t stream);
void forward_each_weight_once(const Forward& problem, cudaStream_t stream);
void forward_filled_device(const Forward& problem, cudaStream_t stream);
void forward_shipped(const Forward& problem, Backend& backend);

void update_naive(const Update& problem, cudaStream_t stream);
void update_fused(const Update& problem, cudaStream_t stream);
void update_quads(const Update& problem, cudaStream_t stream);
void update_shipped(const Update& problem, Backend& backend);

const std::vector<Rung<Forward>>& forward_rungs();
const std::vector<Rung<Update>>& update_rungs();

// Puts a rung on `stream`, or on the backend's own if it is the shipped one.
void enqueue(const Rung<Forward>& rung, const Forward& problem, Backend& backend,
             cudaStream_t stream);
void enqueue(const Rung<Update>& rung, const Update& problem, Backend& backend,
             cudaStream_t stream);

} // namespace patchforge::ladder
