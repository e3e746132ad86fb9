#include "kernels/cuda/nccl_communicator.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "kernels/cuda/cuda_backend.h"

namespace patchforge {
namespace cuda {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<std::int64_t> sent_so_far = 0;

// A rank that fails tells why, a moment after NCCL has noticed that it is gone.
constexpr std::chrono::seconds until_told(1);
// How long kernels of NCCL may take to end when they are told to.
constexpr std::chrono::seconds until_aborted(5);

NcclId id_of(const std::vector<std::byte>& bytes) {
    NcclId id = {};
    if (bytes.size() != sizeof(id)) {
        throw std::invalid_argument("join_communicator: an id of another length");
    }
    std::memcpy(&id, bytes.data(), sizeof(id));
    return id;
}

} // namespace

void count_bytes_sent(std::int64_t bytes) {
    sent_so_far += bytes;
}

NcclCommunicator::NcclCommunicator(CudaBackend& backend, const Membership& membership)
    : backend_(backend), functions_(load_nccl()), pause_(membership.pause) {
    backend_.use();
    try {
        PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
        for (cudaEvent_t* event : {&forked_, &joined_}) {
            PATCHFORGE_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
        }
        initialise(membership);
        connect(membership.peers);
    } catch (...) {
        abort();
        release();
        throw;
    }
}

NcclCommunicator::~NcclCommunicator() {
    if (communicator_) {
        functions_.comm_destroy(communicator_);
    }
    release();
}

void NcclCommunicator::release() noexcept {
    if (aborted_.valid()) {
        aborted_.wait_for(until_aborted);
    }
    for (const cudaEvent_t event : {forked_, joined_}) {
        if (event) {
            cudaEventDestroy(event);
        }
    }
    if (stream_) {
        cudaStreamDestroy(stream_);
    }
}

// ncclCommInitRank returns when all ranks have called it, which one that is gone never does: another thread
// waits for it, and is left behind if need be.
void NcclCommunicator::initialise(const Membership& membership) {
    struct Call {
        void* communicator = nullptr;
        int result = nccl_success;
        std::atomic<bool> ended = false;
    };
    const auto call = std::make_shared<Call>();
    std::thread([call, functions = functions_, device = backend_.device_index_,
                 size = membership.size, id = id_of(membership.id), rank = membership.rank] {
        cudaSetDevice(device);
        call->result = functions.comm_init_rank(&call->communicator, size, id, rank);
        call->ended = true;
    }).detach();
    for (bool first = true; !call->ended; first = false) {
        pause_(first);
    }
    check(call->result, "ncclCommInitRank");
    communicator_ = call->communicator;
}

// NCCL connects two ranks at their first message, which takes memory; not in the middle of a recording.
void NcclCommunicator::connect(const std::vector<int>& peers) {
    const auto count = static_cast<std::int64_t>(peers.size());
    const DeviceArray<float> numbers(backend_, 2 * count);
    std::vector<Message> messages;
    for (std::int64_t i = 0; i < count; ++i) {
        const int peer = peers[static_cast<std::size_t>(i)];
        messages.push_back({Message::Way::send, numbers.data() + i, 1, peer});
        messages.push_back({Message::Way::receive, numbers.data() + count + i, 1, peer});
    }
    put(messages);
    wait_for(stream_);
}

Stream NcclCommunicator::beside() const {
    Stream stream = backend_.stream_;
    stream.handle = stream_;
    stream.overlaps = false;
    return stream;
}

bool NcclCommunicator::enqueues() const {
    return backend_.stream_.launching == Launching::run ||
           backend_.stream_.launching == Launching::check;
}

void NcclCommunicator::fork() {
    if (enqueues()) {
        PATCHFORGE_CUDA_CHECK(cudaEventRecord(forked_, backend_.stream_.handle));
        PATCHFORGE_CUDA_CHECK(cudaStreamWaitEvent(stream_, forked_, 0));
    }
}

void NcclCommunicator::join() {
    if (enqueues()) {
        PATCHFORGE_CUDA_CHECK(cudaEventRecord(joined_, stream_));
        PATCHFORGE_CUDA_CHECK(cudaStreamWaitEvent(backend_.stream_.handle, joined_, 0));
    }
}

void NcclCommunicator::exchange(const std::vector<Message>& messages) {
    std::int64_t moved = 0;
    std::int64_t sent = 0;
    for (const Message& message : messages) {
        const std::int64_t bytes = message.count * static_cast<std::int64_t>(sizeof(float));
        moved += bytes;
        sent += message.way == Message::Way::send ? bytes : 0;
    }
    const LaunchShape shape = {.block = 0,
                               .stream = beside(),
                               .name = "messages",
                               .work = {static_cast<double>(moved), 0.0}};
    if (!prepare_launch(nullptr, shape)) {
        return; // NCCL loads its own kernels
    }
    put(messages);
    if (backend_.recorded_) {
        backend_.recorded_->bytes_sent += sent;
    } else {
        count_bytes_sent(sent);
    }
    if (shape.stream.launching == Launching::check) {
        wait_for(stream_);
    }
}

void NcclCommunicator::put(const std::vector<Message>& messages) {
    check(functions_.group_start(), "ncclGroupStart");
    for (const Message& message : messages) {
        const auto count = static_cast<std::size_t>(message.count);
        if (message.way == Message::Way::send) {
            check(functions_.send(message.numbers, count, nccl_float32, message.peer, communicator_,
                                  stream_),
                  "ncclSend");
        } else {
            check(functions_.recv(message.numbers, count, nccl_float32, message.peer, communicator_,
                                  stream_),
                  "ncclRecv");
        }
    }
    check(functions_.group_end(), "ncclGroupEnd");
}

void NcclCommunicator::add(Vector<float> into, Vector<const float> numbers) {
    struct Beside {
        Stream& place;
        Stream before;
        Beside(Stream& stream, const Stream& other)
            : place(stream), before(std::exchange(stream, other)) {}
        ~Beside() { place = before; }
    };
    const Beside moved(backend_.stream_, beside());
    backend_.weighted_sum(into, into, 1, numbers, 1, {}, 0);
}

void NcclCommunicator::wait_for(cudaStream_t stream) {
    wait_until([stream] { return cudaStreamQuery(stream); });
}

void NcclCommunicator::wait_for(cudaEvent_t event) {
    wait_until([event] { return cudaEventQuery(event); });
}

void NcclCommunicator::wait_until(const std::function<cudaError_t()>& query) {
    cudaError_t status = query();
    for (bool first = true; status == cudaErrorNotReady; first = false, status = query()) {
        cudaGetLastError(); // the runtime keeps it as if it were an error
        if (!communicator_) {
            std::this_thread::yield(); // aborted: it ends by itself
            continue;
        }
        try {
            look_for_errors();
            pause_(first);
        } catch (...) {
            abort();
            throw;
        }
    }
    PATCHFORGE_CUDA_CHECK(status);
}

void NcclCommunicator::look_for_errors() {
    int result = nccl_success;
    check(functions_.comm_get_async_error(communicator_, &result), "ncclCommGetAsyncError");
    if (result == nccl_success || result == nccl_in_progress) {
        return;
    }
    const auto begun = Clock::now();
    for (bool first = true; Clock::now() - begun < until_told; first = false) {
        pause_(first);
    }
    throw std::runtime_error(
        fmt::format("NCCL: {}; another rank or its GPU is gone or cut off; resume from the last "
                    "checkpoint (NCCL_DEBUG=WARN makes NCCL say more)",
                    functions_.get_error_string(result)));
}

// ncclCommAbort stops NCCL's kernels at once, but returns only when no recording holds work of the
// communicator any more, and those live as long as what is being trained.
void NcclCommunicator::abort() noexcept {
    if (!communicator_) {
        return;
    }
    std::packaged_task<void()> task(
        [functions = functions_, communicator = communicator_, device = backend_.device_index_] {
            cudaSetDevice(device);
            functions.comm_abort(communicator);
        });
    communicator_ = nullptr;
    aborted_ = task.get_future();
    std::thread(std::move(task)).detach();
    const auto begun = Clock::now();
    while (cudaStreamQuery(backend_.stream_.handle) == cudaErrorNotReady &&
           Clock::now() - begun < until_aborted) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

Communicator& CudaBackend::join_communicator(const Membership& membership) {
    if (!communicator_) {
        communicator_ = std::make_unique<NcclCommunicator>(*this, membership);
    }
    return *communicator_;
}

Communicator* CudaBackend::communicator() const {
    return communicator_.get();
}

} // namespace cuda

std::vector<std::byte> make_communicator_id() {
    const cuda::NcclFunctions functions = cuda::load_nccl();
    cuda::NcclId id = {};
    cuda::check_nccl(functions, functions.get_unique_id(&id), "ncclGetUniqueId");
    std::vector<std::byte> bytes(sizeof(id));
    std::memcpy(bytes.data(), &id, sizeof(id));
    return bytes;
}

Communicator& join_communicator(Backend& backend, const Membership& membership) {
    return dynamic_cast<cuda::CudaBackend&>(backend).join_communicator(membership);
}

Communicator* communicator_of(Backend& backend) {
    const auto* gpu = dynamic_cast<const cuda::CudaBackend*>(&backend);
    return gpu ? gpu->communicator() : nullptr;
}

std::int64_t bytes_sent_between_gpus() {
    return cuda::sent_so_far;
}

std::string nccl_version() {
    int version = 0;
    cuda::load_nccl().get_version(&version);
    return cuda::nccl_version_text(version);
}

std::string gpu_identity(Backend& backend) {
    const auto* gpu = dynamic_cast<const cuda::CudaBackend*>(&backend);
    return gpu ? gpu->identity() : "";
}

int visible_gpus() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

} // namespace patchforge
