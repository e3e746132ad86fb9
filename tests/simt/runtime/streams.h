// Streams, events and graphs: work is done when it is put on a stream, or becomes a node of the
// graph that captures the stream.
#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace simt {

cudaError_t put_on_stream(cudaStream_t stream, std::function<void()> work);
bool any_stream_captured();
// False if the kernel is not loaded yet and cannot be now. device_api.cpp.
bool load_kernel(const void* kernel);

} // namespace simt
