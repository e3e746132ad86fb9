#include "tests/simt/runtime/streams.h"

#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/executor.h"

#include <chrono>
#include <memory>
#include <set>
#include <vector>

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

struct CUgraph_st {
    std::vector<Work> nodes;
    cudaStream_t origin = nullptr;
    // Streams that joined by waiting for an event of this capture and were not waited for since.
    std::set<cudaStream_t> unjoined;
};

struct CUgraphExec_st {
    std::vector<Work> nodes;
};

struct CUstream_st {
    cudaGraph_t capture = nullptr;
    int device = 0;
};

struct CUevent_st {
    bool timed = true;
    Clock::time_point time;
    bool recorded = false;
    cudaStream_t stream = nullptr; // the stream recorded last
    cudaGraph_t capture = nullptr; // that stream's capture at that time
};

namespace {

std::set<cudaStream_t>& streams() {
    static std::set<cudaStream_t> set;
    return set;
}

bool unknown(cudaStream_t stream) {
    return stream && !streams().contains(stream);
}

cudaGraph_t capture_of(cudaStream_t stream) {
    return stream ? stream->capture : nullptr;
}

simt::Engine engine = nullptr;

// What fail_in() asked for, and whether it has happened.
std::string failing;
bool failed = false;

bool of_other_device(cudaStream_t stream) {
    int device = 0;
    cudaGetDevice(&device);
    return stream && stream->device != device;
}

} // namespace

namespace simt {

void fail_in(const char* kernel) {
    failing = kernel ? kernel : "";
    failed = false;
}

void set_engine(Engine new_engine) {
    engine = new_engine;
}

bool any_stream_captured() {
    for (const cudaStream_t stream : streams()) {
        if (stream->capture) {
            return true;
        }
    }
    return false;
}

cudaError_t put_on_stream(cudaStream_t stream, Work work) {
    if (unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    if (cudaGraph_t graph = capture_of(stream)) {
        graph->nodes.push_back(std::move(work));
        return cudaSuccess;
    }
    if (failed) {
        return cudaErrorIllegalAddress;
    }
    // The null stream waits for all others, which a capture cannot record.
    if (!stream && any_stream_captured()) {
        return cudaErrorStreamCaptureImplicit;
    }
    work();
    return cudaSuccess;
}

void launch_threads(const LaunchGeometry& geometry, cudaStream_t stream, ThreadBody body) {
    // The name must outlive the capture.
    auto name = std::make_shared<std::string>(geometry.name ? geometry.name : "");
    LaunchGeometry kept = geometry;
    kept.name = name->c_str();
    if (!load_kernel(body.kernel)) {
        throw Failure(Finding::not_loaded,
                      "kernel " + *name +
                          " is recorded before its code was loaded, which drivers "
                          "before CUDA 12.3 cannot do while a stream is captured");
    }
    const auto work = [=] {
        if (!engine || !engine(kept, body)) {
            executor.run(kept, body);
        }
        failed = failed || (!failing.empty() && *name == failing);
    };
    const auto status = !unknown(stream) && of_other_device(stream) ? cudaErrorInvalidResourceHandle
                                                                    : put_on_stream(stream, work);
    if (status != cudaSuccess) {
        throw std::runtime_error("kernel " + *name + ": " + cudaGetErrorString(status));
    }
}

} // namespace simt

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    *stream = new CUstream_st;
    cudaGetDevice(&(*stream)->device);
    streams().insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    return cudaStreamCreate(stream);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    if (!stream || unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    streams().erase(stream);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    return capture_of(stream) ? cudaErrorStreamCaptureUnsupported
           : failed           ? cudaErrorIllegalAddress
                              : cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (unknown(stream) || !event) {
        return cudaErrorInvalidResourceHandle;
    }
    if (event->capture && stream) {
        if (!stream->capture) {
            stream->capture = event->capture;
            event->capture->unjoined.insert(stream);
        } else if (stream->capture == event->capture) {
            event->capture->unjoined.erase(event->stream);
        } else {
            return cudaErrorStreamCaptureInvalidated;
        }
    }
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* context) {
    return simt::put_on_stream(stream, [=] { function(context); });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
    *event = new CUevent_st;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    *event = new CUevent_st;
    (*event)->timed = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    if (!event) {
        return cudaErrorInvalidResourceHandle;
    }
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (!event || unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    event->stream = stream;
    event->capture = capture_of(stream);
    event->recorded = !event->capture;
    event->time = Clock::now();
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event) {
        return cudaErrorInvalidResourceHandle;
    }
    return event->capture ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return cudaEventQuery(event);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    if (!start || !end || !start->timed || !end->timed || !start->recorded || !end->recorded) {
        return cudaErrorInvalidResourceHandle;
    }
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (!stream || unknown(stream) || stream->capture) {
        return cudaErrorStreamCaptureUnsupported;
    }
    stream->capture = new CUgraph_st;
    stream->capture->origin = stream;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    if (!stream || unknown(stream) || !stream->capture || stream->capture->origin != stream) {
        return cudaErrorStreamCaptureInvalidated;
    }
    const cudaGraph_t captured = stream->capture;
    const bool joined = captured->unjoined.empty();
    for (const cudaStream_t other : streams()) {
        if (other->capture == captured) {
            other->capture = nullptr;
        }
    }
    *graph = joined ? captured : nullptr;
    if (!joined) {
        delete captured;
        return cudaErrorStreamCaptureUnjoined;
    }
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    if (unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    *status = capture_of(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
    if (!graph) {
        return cudaErrorInvalidValue;
    }
    *executable = new CUgraphExec_st{graph->nodes};
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
    if (!graph || nodes) {
        return cudaErrorNotSupported; // nodes can be counted, not looked at
    }
    *count = graph->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t) {
    return executable ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    if (!executable) {
        return cudaErrorInvalidValue;
    }
    return simt::put_on_stream(stream, [executable] {
        for (const auto& node : executable->nodes) {
            node();
        }
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}
