// Small functions that the host, the CPU backend and kernels share.
#pragma once

#if defined(__CUDACC__)
#define PATCHFORGE_HOST_DEVICE __host__ __device__
#else
#define PATCHFORGE_HOST_DEVICE
#endif
