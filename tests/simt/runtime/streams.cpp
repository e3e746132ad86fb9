#include "tests/simt/runtime/streams.h"

#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/executor.h"
#include "tests/simt/runtime/graph_order.h"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using simt::Work;
using Clock = std::chrono::steady_clock;

struct CUgraph_st {
    std::vector<simt::GraphNode> nodes;
    cudaStream_t origin = nullptr;
    std::map<cudaStream_t, std::set<int>> last; // what the next node of a stream comes after
    // Streams that joined by waiting for an event of this capture and whose last node was not waited for.
    std::set<cudaStream_t> unjoined;
};

struct CUgraphExec_st {
    std::vector<simt::GraphNode> nodes;
};

struct CUstream_st {
    cudaGraph_t capture = nullptr;
    int device = 0;
    std::deque<Work> waiting; // the first of them could not end yet
};

struct CUevent_st {
    bool timed = true;
    Clock::time_point time;
    bool recorded = false;
    std::shared_ptr<bool> reached; // null: never recorded outside of a capture
    cudaStream_t stream = nullptr; // the stream recorded last
    cudaGraph_t capture = nullptr; // that stream's capture at that time
    std::set<int> after;           // and its nodes that the event comes after
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

// How long a wait lasts at most for work that nobody helps with.
constexpr std::chrono::seconds longest_wait(60);

// Runs what can run on the device of this thread.
void advance() {
    int device = 0;
    cudaGetDevice(&device);
    for (bool moved = true; moved;) {
        moved = false;
        for (const cudaStream_t stream : streams()) {
            while (stream->device == device && !stream->waiting.empty()) {
                Work work = std::move(stream->waiting.front());
                stream->waiting.pop_front(); // should it throw, it is gone
                if (!work()) {
                    stream->waiting.push_front(std::move(work));
                    break;
                }
                moved = true;
            }
        }
    }
}

// Waits until `over` answers true.
template <class Condition>
cudaError_t advance_until(Condition over) {
    const auto begun = Clock::now();
    for (advance(); !over(); advance()) {
        if (Clock::now() - begun > longest_wait) {
            return cudaErrorUnknown;
        }
        std::this_thread::yield();
    }
    return cudaSuccess;
}

bool reached(cudaEvent_t event) {
    return !event->reached || *event->reached;
}

Work once(std::function<void()> work) {
    return [work = std::move(work)] {
        work();
        return true;
    };
}

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

cudaError_t put_on_stream(cudaStream_t stream, std::function<void()> work) {
    return put_on_stream_until(stream, once(std::move(work)));
}

cudaError_t put_on_stream_until(cudaStream_t stream, Work work) {
    if (unknown(stream)) {
        return cudaErrorInvalidResourceHandle;
    }
    if (cudaGraph_t graph = capture_of(stream)) {
        std::set<int>& last = graph->last[stream];
        const bool aside = stream != graph->origin;
        graph->nodes.push_back({std::move(work), {last.begin(), last.end()}, aside});
        last = {static_cast<int>(graph->nodes.size()) - 1};
        if (aside) {
            graph->unjoined.insert(stream);
        }
        return cudaSuccess;
    }
    if (failed) {
        return cudaErrorIllegalAddress;
    }
    // The null stream waits for all others, which a capture cannot record.
    if (!stream && any_stream_captured()) {
        return cudaErrorStreamCaptureImplicit;
    }
    if (!stream) {
        return advance_until(work);
    }
    stream->waiting.push_back(std::move(work));
    advance();
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
    if (capture_of(stream) || failed) {
        return capture_of(stream) ? cudaErrorStreamCaptureUnsupported : cudaErrorIllegalAddress;
    }
    const cudaError_t status =
        advance_until([stream] { return failed || !stream || stream->waiting.empty(); });
    return failed ? cudaErrorIllegalAddress : status;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    if (stream && !unknown(stream) && !stream->capture && !failed) {
        advance();
        if (!stream->waiting.empty() && !failed) {
            return cudaErrorNotReady;
        }
    }
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
            if (event->after == event->capture->last[event->stream]) {
                event->capture->unjoined.erase(event->stream);
            }
        } else {
            return cudaErrorStreamCaptureInvalidated;
        }
        stream->capture->last[stream].insert(event->after.begin(), event->after.end());
    } else if (stream && !stream->capture && !reached(event)) {
        return simt::put_on_stream_until(stream, [reached = event->reached] { return *reached; });
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
    if (event->capture) {
        event->after = event->capture->last[stream];
        return cudaSuccess;
    }
    event->reached = std::make_shared<bool>(!stream || stream->waiting.empty());
    return *event->reached ? cudaSuccess
                           : simt::put_on_stream(stream, [mark = event->reached] { *mark = true; });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    if (!event) {
        return cudaErrorInvalidResourceHandle;
    }
    if (event->capture) {
        return cudaErrorStreamCaptureUnsupported;
    }
    advance();
    return reached(event) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const cudaError_t status = cudaEventQuery(event);
    return status == cudaErrorNotReady ? advance_until([event] { return reached(event); }) : status;
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
    // Of every launch its own: how far it is.
    auto nodes = std::make_shared<std::vector<Work>>();
    for (const int i : simt::order_of(executable->nodes)) {
        nodes->push_back(executable->nodes[static_cast<std::size_t>(i)].work);
    }
    return simt::put_on_stream_until(stream, [nodes, next = std::size_t{0}]() mutable {
        while (next < nodes->size() && (*nodes)[next]()) {
            ++next;
        }
        return next == nodes->size();
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    return cudaSuccess;
}
