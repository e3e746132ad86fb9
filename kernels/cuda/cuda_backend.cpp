#include "kernels/cuda/cuda_backend.h"

#include <fmt/format.h>

#include <exception>

#include "kernels/cuda/device.h"
#include "kernels/cuda/nccl_communicator.h"

namespace patchforge {
namespace cuda {
namespace {

// Compute capability 8.0 is the oldest whose code is in the binary (SM 80), with cp.async and tf32.
constexpr int oldest_major = 8;

std::string version_text(int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

cudaDeviceProp properties_of(int device_index) {
    cudaDeviceProp properties = {};
    PATCHFORGE_CUDA_CHECK(cudaGetDeviceProperties(&properties, device_index));
    return properties;
}

// Why device `device_index` cannot be used; empty when it can.
std::string reason_against(int device_index) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    int runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    if (status == cudaErrorInsufficientDriver) {
        int driver = 0;
        cudaDriverGetVersion(&driver);
        return driver == 0
                   ? "no NVIDIA driver is installed"
                   : fmt::format("the NVIDIA driver is for CUDA {}, this program for CUDA {}",
                                 version_text(driver), version_text(runtime));
    }
    if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
        return "the NVIDIA driver finds no GPU";
    }
    if (status != cudaSuccess) {
        return fmt::format("the NVIDIA driver answers {}: {}", cudaGetErrorName(status),
                           cudaGetErrorString(status));
    }
    if (device_index < 0 || device_index >= count) {
        return fmt::format("there is no GPU number {}, only 0 to {}", device_index, count - 1);
    }
    const cudaDeviceProp properties = properties_of(device_index);
    if (properties.major < oldest_major) {
        return fmt::format("{} has compute capability {}.{}, and {}.0 is needed", properties.name,
                           properties.major, properties.minor, oldest_major);
    }
    return {};
}

class GraphRecording final : public Recording {
  public:
    GraphRecording(cudaGraph_t graph, const Stream& stream, AdamRates* rates, const AdamList& adams,
                   std::int64_t bytes_sent)
        : stream_(stream), rates_(rates), adams_(adams), bytes_sent_(bytes_sent) {
        PATCHFORGE_CUDA_CHECK(cudaGraphInstantiate(&executable_, graph, 0));
    }
    ~GraphRecording() override { cudaGraphExecDestroy(executable_); }
    GraphRecording(const GraphRecording&) = delete;
    GraphRecording& operator=(const GraphRecording&) = delete;

    void replay(std::int64_t times) override {
        use_device(stream_.device);
        launch_adam_rates(rates_, adams_, stream_); // the step may have been set since
        for (std::int64_t i = 0; i < times; ++i) {
            PATCHFORGE_CUDA_CHECK(cudaGraphLaunch(executable_, stream_.handle));
        }
        count_bytes_sent(times * bytes_sent_);
    }

  private:
    cudaGraphExec_t executable_ = nullptr;
    Stream stream_;
    AdamRates* rates_;
    AdamList adams_;
    std::int64_t bytes_sent_;
};

// With launches that are checked: the operations themselves, again and again.
class CheckedRecording final : public Recording {
  public:
    explicit CheckedRecording(std::function<void()> body) : body_(std::move(body)) {}
    void replay(std::int64_t times) override {
        for (std::int64_t i = 0; i < times; ++i) {
            body_();
        }
    }

  private:
    std::function<void()> body_;
};

bool same_rates(const Adam& a, const Adam& b) {
    return a.learning_rate == b.learning_rate && a.beta1 == b.beta1 && a.beta2 == b.beta2 &&
           a.step.step == b.step.step && a.step.stride == b.step.stride &&
           a.step.offset == b.step.offset && a.schedule.shape == b.schedule.shape &&
           a.schedule.factor == b.schedule.factor && a.schedule.start == b.schedule.start &&
           a.schedule.end == b.schedule.end;
}

} // namespace

void throw_cuda_error(cudaError_t status, const char* expression, const char* file, int line) {
    // What a kernel did is reported by whichever call comes next.
    const bool of_a_kernel = status >= cudaErrorIllegalAddress && status <= cudaErrorLaunchFailure;
    throw std::runtime_error(
        fmt::format("cuda: {} ({}) at {}:{} in {}; {}", cudaGetErrorString(status),
                    cudaGetErrorName(status), file, line, expression,
                    of_a_kernel ? "a kernel before it failed: --check-launches names it"
                                : "see `patchforge doctor`"));
}

CudaBackend::CudaBackend(int device_index, const BackendOptions& options)
    : device_index_(device_index), multiprocessors_(options.multiprocessors),
      precision_(options.precision) {
    if (const std::string reason = reason_against(device_index); !reason.empty()) {
        throw std::runtime_error(
            fmt::format("--device cuda:{}: {}; use --device cpu", device_index, reason));
    }
    if (options.overlap_launches) {
        if (const std::string reason = why_no_overlap(device_index); !reason.empty()) {
            throw std::runtime_error("--overlap-launches: " + reason + "; leave it out");
        }
        stream_.overlaps = true;
    }
    stream_.device = device_index_;
    if (options.check_launches) {
        stream_.launching = Launching::check;
    }
    try {
        use();
        if (multiprocessors_ == 0) {
            PATCHFORGE_CUDA_CHECK(cudaDeviceGetAttribute(
                &multiprocessors_, cudaDevAttrMultiProcessorCount, device_index_));
        }
        PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_.handle, cudaStreamNonBlocking));
        PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&staging_stream_, cudaStreamNonBlocking));
        for (Slot& slot : slots_) {
            PATCHFORGE_CUDA_CHECK(cudaEventCreateWithFlags(&slot.copied, cudaEventDisableTiming));
            PATCHFORGE_CUDA_CHECK(cudaEventCreateWithFlags(&slot.released, cudaEventDisableTiming));
        }
        // Here and not when first needed: a recording must not allocate.
        workspace_.partial = static_cast<float*>(allocate(workspace_bytes));
        workspace_.arrived =
            static_cast<unsigned*>(allocate(workspace_counters * sizeof(unsigned)));
        adam_rates_ = static_cast<AdamRates*>(allocate((most_adam_rates + 1) * sizeof(AdamRates)));
        if (options.gemm == Gemm::cublas) {
            cublas_ = std::make_unique<Cublas>(stream_, precision_);
        }
    } catch (...) {
        destroy();
        throw;
    }
}

CudaBackend::CudaBackend(Announced, const BackendOptions& options)
    : device_index_(-1), multiprocessors_(options.multiprocessors), precision_(options.precision) {
    stream_.launching = Launching::announce;
}

CudaBackend::~CudaBackend() {
    destroy();
}

void CudaBackend::destroy() noexcept {
    if (stream_.launching == Launching::announce) {
        return;
    }
    cudaSetDevice(device_index_);
    if (communicator_ && std::uncaught_exceptions() > 0) {
        communicator_->abort(); // others may never answer what is on its way
    }
    if (stream_.handle) {
        cudaStreamSynchronize(stream_.handle);
    }
    communicator_.reset();
    cublas_.reset();
    cudaFree(workspace_.partial);
    cudaFree(workspace_.arrived);
    cudaFree(adam_rates_);
    cudaFree(exchange_);
    for (const Slot& slot : slots_) {
        for (const cudaEvent_t event : {slot.copied, slot.released}) {
            if (event) {
                cudaEventDestroy(event);
            }
        }
    }
    for (const cudaStream_t stream : {stream_.handle, staging_stream_}) {
        if (stream) {
            cudaStreamDestroy(stream);
        }
    }
}

std::string CudaBackend::name() const {
    return fmt::format("cuda:{}", device_index_);
}

std::string CudaBackend::identity() const {
    std::string text;
    for (const char byte : properties_of(device_index_).uuid.bytes) {
        text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    }
    return text;
}

std::string CudaBackend::description() const {
    const cudaDeviceProp properties = properties_of(device_index_);
    int driver = 0;
    int runtime = 0;
    PATCHFORGE_CUDA_CHECK(cudaDriverGetVersion(&driver));
    PATCHFORGE_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    return fmt::format(
        "{}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB; CUDA {}, "
        "driver for CUDA {}{}{}{}",
        properties.name, properties.major, properties.minor, properties.multiProcessorCount,
        static_cast<double>(properties.totalGlobalMem) / (1 << 30), version_text(runtime),
        version_text(driver), products_text(precision_), cublas_ ? ", by cuBLAS" : "",
        stream_.overlaps ? ", overlapping launches" : "");
}

std::int64_t CudaBackend::free_memory() const {
    use();
    std::size_t available = 0;
    std::size_t total = 0;
    PATCHFORGE_CUDA_CHECK(cudaMemGetInfo(&available, &total));
    return static_cast<std::int64_t>(available);
}

void* CudaBackend::allocate(std::size_t bytes) {
    if (bytes == 0) {
        return nullptr;
    }
    use();
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError(); // the runtime would report it again at the next launch
        throw std::runtime_error(fmt::format("{}: {} bytes of device memory were asked for, {} are "
                                             "free; use a smaller --batch-size or --placement "
                                             "streamed",
                                             name(), bytes, free_memory()));
    }
    PATCHFORGE_CUDA_CHECK(status);
    PATCHFORGE_CUDA_CHECK(cudaMemsetAsync(memory, 0, bytes, stream_.handle));
    synchronise(); // a copy on the staging stream may come next
    return memory;
}

void CudaBackend::release(void* memory) noexcept {
    cudaSetDevice(device_index_);
    cudaFree(memory);
}

void CudaBackend::upload(void* device, const void* host, std::size_t bytes) {
    use();
    PATCHFORGE_CUDA_CHECK(
        cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_.handle));
    // `host` may be pinned, and then the call returns before it has been read.
    synchronise();
}

void CudaBackend::download(void* host, const void* device, std::size_t bytes) {
    use();
    PATCHFORGE_CUDA_CHECK(
        cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_.handle));
    synchronise();
}

void CudaBackend::copy(void* to, const void* from, std::size_t bytes) {
    const LaunchShape shape = {.block = 0,
                               .stream = stream_,
                               .name = "copy",
                               .work = {2.0 * static_cast<double>(bytes), 0.0}};
    if (prepare_launch(nullptr, shape)) {
        check_launch(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_.handle),
                     shape);
    }
}

void CudaBackend::synchronise() {
    use();
    if (communicator_) {
        communicator_->wait_for(stream_.handle);
    } else {
        PATCHFORGE_CUDA_CHECK(cudaStreamSynchronize(stream_.handle));
    }
}

std::unique_ptr<Recording> CudaBackend::record(std::function<void()> body) {
    if (stream_.launching != Launching::run) {
        return std::make_unique<CheckedRecording>(std::move(body));
    }
    use();
    Recorded recorded;
    // Drivers before CUDA 12.3 cannot load a kernel's code while a stream is captured.
    {
        const Making making(*this, recorded, Launching::load);
        body();
    }
    recorded = {};
    PATCHFORGE_CUDA_CHECK(cudaStreamBeginCapture(stream_.handle, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
        const Making making(*this, recorded, Launching::run);
        body();
    } catch (...) {
        cudaStreamEndCapture(stream_.handle, &graph); // leaves the stream usable
        cudaGraphDestroy(graph);
        throw;
    }
    PATCHFORGE_CUDA_CHECK(cudaStreamEndCapture(stream_.handle, &graph));
    const std::unique_ptr<CUgraph_st, decltype(&cudaGraphDestroy)> owner(graph, &cudaGraphDestroy);
    return std::make_unique<GraphRecording>(graph, stream_, adam_rates_, recorded.adams,
                                            recorded.bytes_sent);
}

AdamConstants CudaBackend::constants_of(const Adam& adam) {
    if (recorded_) {
        AdamList& list = recorded_->adams;
        int i = 0;
        while (i < list.count && !same_rates(list.adam[i], adam)) {
            ++i;
        }
        if (i == list.count && !recorded_->finished && i < most_adam_rates) {
            list.adam[list.count++] = adam;
        }
        if (i < list.count) {
            return adam_constants(adam, adam_rates_ + i);
        }
    }
    AdamRates* const alone = adam_rates_ + most_adam_rates;
    launch_adam_rates(alone, {{adam}, 1}, stream_);
    return adam_constants(adam, alone);
}

void* CudaBackend::allocate_staging(std::size_t bytes) {
    if (bytes == 0) {
        return nullptr;
    }
    use();
    void* memory = nullptr;
    const cudaError_t status = cudaMallocHost(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        throw std::runtime_error(fmt::format(
            "{}: {} bytes of pinned host memory cannot be had; use a smaller --batch-size", name(),
            bytes));
    }
    PATCHFORGE_CUDA_CHECK(status);
    return memory;
}

void CudaBackend::release_staging(void* memory) noexcept {
    cudaFreeHost(memory);
}

void CudaBackend::stage(int slot, void* device, const void* host, std::size_t bytes) {
    use();
    // An event that was never recorded counts as reached: the first copies wait for nothing.
    PATCHFORGE_CUDA_CHECK(cudaStreamWaitEvent(staging_stream_, slots_[slot].released, 0));
    PATCHFORGE_CUDA_CHECK(
        cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, staging_stream_));
    PATCHFORGE_CUDA_CHECK(cudaEventRecord(slots_[slot].copied, staging_stream_));
}

void CudaBackend::await_slot(int slot) {
    use();
    PATCHFORGE_CUDA_CHECK(cudaStreamWaitEvent(stream_.handle, slots_[slot].copied, 0));
}

void CudaBackend::release_slot(int slot) {
    use();
    PATCHFORGE_CUDA_CHECK(cudaEventRecord(slots_[slot].released, stream_.handle));
}

void CudaBackend::wait_until_staged(int slot) {
    if (communicator_) {
        communicator_->wait_for(slots_[slot].copied);
    } else {
        PATCHFORGE_CUDA_CHECK(cudaEventSynchronize(slots_[slot].copied));
    }
}

} // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(int device_index, const BackendOptions& options) {
    return std::make_unique<cuda::CudaBackend>(device_index, options);
}

std::string why_no_cuda() {
    return cuda::reason_against(0);
}

} // namespace patchforge
