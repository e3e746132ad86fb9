// A barrier for all blocks of a cooperative launch, in two halves, so that a block may do what
// concerns nobody else between them. The counter only rises: one memset before the launch.
#pragma once

#include "kernels/cuda/device.h"

namespace patchforge::cuda {

class GridBarrier {
  public:
    // *arrived is 0 when the kernel starts. It may rise to 2^32: 16 million barriers of 256 blocks.
    __device__ explicit GridBarrier(unsigned* arrived) : arrived_(arrived) {}

    // What this block wrote before is visible to every block after its wait().
    __device__ void arrive() {
        complete_ += gridDim.x;
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(arrived_, 1u);
        }
    }

    __device__ void wait() {
        if (threadIdx.x == 0) {
            spin_until([&] { return *const_cast<volatile unsigned*>(arrived_) >= complete_; });
            __threadfence();
        }
        __syncthreads();
    }

    __device__ void arrive_and_wait() {
        arrive();
        wait();
    }

  private:
    unsigned* arrived_;
    unsigned complete_ = 0;
};

} // namespace patchforge::cuda
