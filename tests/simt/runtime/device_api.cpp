// The runtime's questions about the device, its errors, and its memory.
#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/checker.h"
#include "tests/simt/runtime/device_memory.h"
#include "tests/simt/runtime/streams.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

namespace {

constexpr int multiprocessors = 132; // as the largest GPU aimed at
constexpr int shared_per_block = 227 * 1024;
constexpr int shared_per_multiprocessor = 228 * 1024;
constexpr int threads_per_multiprocessor = 2048;
constexpr int version = CUDART_VERSION;

// $PATCHFORGE_SIMT_DEVICES, at the start.
int device_count = [] {
    const char* given = std::getenv("PATCHFORGE_SIMT_DEVICES");
    return given ? std::max(std::atoi(given), 1) : 1;
}();
thread_local int device_of_thread = 0;
std::set<const void*> loaded_kernels;

bool known_device(int device) {
    return device >= 0 && device < device_count;
}

bool range_known(const void* pointer, std::size_t bytes) {
    return simt::allocation_of(pointer, bytes) != nullptr;
}

// Host memory that was not allocated here cannot be checked; device memory always was.
bool copy_allowed(const void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return (!to_device || range_known(to, bytes)) && (!from_device || range_known(from, bytes));
}

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    std::memmove(to, from, bytes);
    if (simt::checker && kind == cudaMemcpyDeviceToDevice) {
        simt::checker->copied(to, from, bytes);
    } else if (simt::checker) {
        simt::checker->written_by_host(to, bytes);
    }
}

} // namespace

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define NAME(code)                                                                                 \
    case code:                                                                                     \
        return #code
        NAME(cudaSuccess);
        NAME(cudaErrorInvalidValue);
        NAME(cudaErrorMemoryAllocation);
        NAME(cudaErrorInvalidConfiguration);
        NAME(cudaErrorInsufficientDriver);
        NAME(cudaErrorNoDevice);
        NAME(cudaErrorInvalidDevice);
        NAME(cudaErrorNoKernelImageForDevice);
        NAME(cudaErrorInvalidResourceHandle);
        NAME(cudaErrorNotReady);
        NAME(cudaErrorIllegalAddress);
        NAME(cudaErrorLaunchFailure);
        NAME(cudaErrorNotSupported);
        NAME(cudaErrorStreamCaptureUnsupported);
        NAME(cudaErrorStreamCaptureInvalidated);
        NAME(cudaErrorStreamCaptureUnjoined);
        NAME(cudaErrorStreamCaptureImplicit);
        NAME(cudaErrorUnknown);
#undef NAME
    }
    return "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureUnjoined:
        return "capturing stream has unjoined work";
    default:
        return cudaGetErrorName(error);
    }
}

cudaError_t cudaGetLastError() {
    return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() {
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = device_count;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (!known_device(device)) {
        return cudaErrorInvalidDevice;
    }
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "CPU executor (simt)");
    properties->totalGlobalMem = simt::device_bytes;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->sharedMemPerBlockOptin = shared_per_block;
    properties->sharedMemPerMultiprocessor = shared_per_multiprocessor;
    properties->regsPerBlock = 65536;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = threads_per_multiprocessor;
    properties->maxGridSize[0] = 0x7fffffff;
    properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
    properties->major = 9;
    properties->minor = 0;
    properties->multiProcessorCount = multiprocessors;
    properties->l2CacheSize = 50 << 20;
    properties->memoryBusWidth = 5120;
    properties->cooperativeLaunch = 1;
    properties->concurrentKernels = 1;
    properties->asyncEngineCount = 1;
    properties->uuid.bytes[15] = static_cast<char>(device);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    if (!known_device(device)) {
        return cudaErrorInvalidDevice;
    }
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, device);
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = properties.maxThreadsPerBlock;
        return cudaSuccess;
    case cudaDevAttrWarpSize:
        *value = properties.warpSize;
        return cudaSuccess;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
        *value = 0; // kHz: there is no clock to speak of
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = properties.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = properties.memoryBusWidth;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = properties.l2CacheSize;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = properties.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = properties.minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = shared_per_multiprocessor;
        return cudaSuccess;
    case cudaDevAttrCooperativeLaunch:
        *value = 1;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = shared_per_block;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
}

cudaError_t cudaGetDevice(int* device) {
    *device = device_of_thread;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (!known_device(device)) {
        return cudaErrorInvalidDevice;
    }
    device_of_thread = device;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    return simt::any_stream_captured() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t cudaDeviceReset() {
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* driver) {
    *driver = version;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* runtime) {
    *runtime = version;
    return cudaSuccess;
}

namespace simt {

void set_device_count(int count) {
    device_count = count;
}

bool load_kernel(const void* kernel) {
    if (!loaded_kernels.contains(kernel) && any_stream_captured()) {
        return false;
    }
    loaded_kernels.insert(kernel);
    return true;
}

} // namespace simt

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
    if (!kernel || !attributes) {
        return cudaErrorInvalidValue;
    }
    *attributes = {0, 1024, 0};
    return simt::load_kernel(kernel) ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
    const bool too_much =
        attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value > shared_per_block;
    const bool no_share =
        attribute == cudaFuncAttributePreferredSharedMemoryCarveout && (value < -1 || value > 100);
    if (!kernel || too_much || no_share) {
        return cudaErrorInvalidValue;
    }
    return simt::load_kernel(kernel) ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}

cudaError_t simt_occupancy(int* blocks, int block_size, std::size_t shared_bytes) {
    if (block_size <= 0 || block_size > 1024) {
        return cudaErrorInvalidValue;
    }
    *blocks = threads_per_multiprocessor / block_size;
    // Every block also takes 1 KiB for the system.
    const int by_shared = shared_per_multiprocessor / (static_cast<int>(shared_bytes) + 1024);
    *blocks = std::min({*blocks, by_shared, 32});
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
    if (!pointer) {
        return cudaErrorInvalidValue;
    }
    *pointer = bytes ? simt::allocate(bytes, simt::MemoryKind::device) : nullptr;
    return bytes && !*pointer ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
    return !pointer || simt::release(pointer, simt::MemoryKind::device) ? cudaSuccess
                                                                        : cudaErrorInvalidValue;
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
    if (!pointer) {
        return cudaErrorInvalidValue;
    }
    *pointer = bytes ? simt::allocate(bytes, simt::MemoryKind::pinned) : nullptr;
    return bytes && !*pointer ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
    return cudaMallocHost(pointer, bytes);
}

cudaError_t cudaFreeHost(void* pointer) {
    return !pointer || simt::release(pointer, simt::MemoryKind::pinned) ? cudaSuccess
                                                                        : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
    *total_bytes = simt::device_bytes;
    *free_bytes = simt::device_bytes - simt::allocated_bytes();
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return simt::any_stream_captured() ? cudaErrorStreamCaptureImplicit
                                       : cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
    return simt::any_stream_captured()
               ? cudaErrorStreamCaptureImplicit
               : cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
    if (width == 0 || height == 0) {
        return cudaSuccess;
    }
    if (width > to_pitch || width > from_pitch) {
        return cudaErrorInvalidValue;
    }
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const std::byte*>(from);
    if (!copy_allowed(target, source, width, kind) ||
        !copy_allowed(target + (height - 1) * to_pitch, source + (height - 1) * from_pitch, width,
                      kind)) {
        return cudaErrorInvalidValue;
    }
    return simt::put_on_stream(stream, [=] {
        for (std::size_t row = 0; row < height; ++row) {
            copy(target + row * to_pitch, source + row * from_pitch, width, kind);
        }
    });
}

cudaError_t cudaMemset(void* pointer, int value, std::size_t bytes) {
    return simt::any_stream_captured() ? cudaErrorStreamCaptureImplicit
                                       : cudaMemsetAsync(pointer, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* pointer, int value, std::size_t bytes, cudaStream_t stream) {
    if (bytes == 0) {
        return cudaSuccess;
    }
    if (!range_known(pointer, bytes)) {
        return cudaErrorInvalidValue;
    }
    return simt::put_on_stream(stream, [=] {
        std::memset(pointer, value, bytes);
        if (simt::checker) {
            simt::checker->written_by_host(pointer, bytes);
        }
    });
}
