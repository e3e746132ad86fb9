// Streams, events and graphs: work is done when it is put on a stream, unless it stands behind work that has
// to wait, or becomes a node of the graph that captures the stream.
#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace simt {

cudaError_t put_on_stream(cudaStream_t stream, std::function<void()> work);
// Work that somebody outside has to help with: it is called until it answers that it is done, and what is put
// on the stream behind it waits.
cudaError_t put_on_stream_until(cudaStream_t stream, std::function<bool()> done);
bool any_stream_captured();
// False if the kernel is not loaded yet and cannot be now. device_api.cpp.
bool load_kernel(const void* kernel);

} // namespace simt
