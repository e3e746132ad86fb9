#if defined(PATCHFORGE_SIMT)
#include "tests/host/ranks/nccl_stand_in.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/simt/runtime/device_memory.h"
#include "tests/simt/runtime/streams.h"

namespace patchforge::testing {

NcclFaults nccl_faults;
thread_local std::function<void()> nccl_meanwhile;

namespace {

namespace fs = std::filesystem;

constexpr int system_error = 2, invalid_argument = 4, invalid_usage = 5, remote_error = 6;
constexpr std::chrono::seconds longest_meeting(60);

std::atomic<int> living = 0;
std::atomic<std::int64_t> sent_messages = 0;
std::atomic<bool> something_was_lost = false;

struct Peer {
    std::int64_t sent = 0, received = 0;
    std::vector<char> before; // received last
};

struct Communicator {
    fs::path folder; // where the ranks meet
    int rank = 0, size = 1, device = 0;
    std::atomic<bool> aborted = false;
    std::map<int, Peer> peers;

    fs::path message(int from, int to, std::int64_t number) const {
        return folder /
               (std::to_string(from) + "-" + std::to_string(to) + "-" + std::to_string(number));
    }
    void leave(const char* how) {
        std::ofstream(folder / (how + std::to_string(rank)));
        for (int other = 0; other < size; ++other) {
            if (!fs::exists(folder / ("left" + std::to_string(other)))) {
                return;
            }
        }
        std::error_code ignored;
        fs::remove_all(folder, ignored);
    }
};

struct Operation {
    bool sends;
    void* memory;
    std::size_t bytes;
    int peer;
};

// The messages of a group, each time that its place on the stream is reached.
struct Group {
    std::shared_ptr<Communicator> communicator;
    std::vector<Operation> operations;
    std::vector<fs::path> open; // empty: it has not begun, or the message is over
    bool begun = false;

    void send(const Operation& one, fs::path& file) {
        Communicator& own = *communicator;
        int to = one.peer;
        if (nccl_faults.wrong_peer && to == (own.rank + 1) % own.size) {
            to = (own.rank + 2) % own.size;
        }
        file = own.message(own.rank, to, own.peers[to].sent++);
        if (sent_messages++ == nccl_faults.lost) {
            something_was_lost = true;
            return;
        }
        const fs::path part = file.string() + "part";
        std::ofstream(part, std::ios::binary)
            .write(static_cast<const char*>(one.memory), static_cast<std::streamsize>(one.bytes));
        fs::rename(part, file);
    }
    // Whether all messages are over.
    bool advance() {
        Communicator& own = *communicator;
        if (own.aborted) {
            return true;
        }
        if (!begun) {
            begun = true;
            open.assign(operations.size(), {});
            for (std::size_t i = 0; i < operations.size(); ++i) {
                const Operation& one = operations[i];
                if (one.sends) {
                    send(one, open[i]);
                } else {
                    open[i] = own.message(one.peer, own.rank, own.peers[one.peer].received++);
                }
            }
        }
        bool over = true;
        for (std::size_t i = 0; i < operations.size(); ++i) {
            const Operation& one = operations[i];
            if (open[i].empty()) {
                continue;
            }
            const bool there = fs::exists(open[i]);
            if (one.sends ? !there : there && receive(one, open[i])) {
                open[i].clear();
            }
            over = over && open[i].empty();
        }
        begun = !over;
        return over;
    }
    bool receive(const Operation& one, const fs::path& file) {
        // As many bytes as were asked for: NCCL does not compare either.
        std::vector<char> bytes(one.bytes);
        std::ifstream(file, std::ios::binary)
            .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        std::vector<char>& before = communicator->peers[one.peer].before;
        const std::vector<char>& given = nccl_faults.late && !before.empty() ? before : bytes;
        std::memcpy(one.memory, given.data(), std::min(given.size(), one.bytes));
        before = bytes;
        return fs::remove(file);
    }
};

struct Called {
    Operation operation;
    std::shared_ptr<Communicator> communicator;
    cudaStream_t stream;
};
thread_local int depth = 0;
thread_local std::vector<Called> called;

// Handles are pointers to these.
using Handle = std::shared_ptr<Communicator>;

int add(bool sends, void* memory, std::size_t count, int type, int peer, void* handle,
        cudaStream_t stream) {
    const Handle& own = *static_cast<Handle*>(handle);
    const std::size_t bytes = count * sizeof(float);
    const simt::Allocation* held = simt::allocation_of(memory, bytes);
    if (depth == 0 || type != cuda::nccl_float32 || count == 0 || peer < 0 || peer >= own->size ||
        peer == own->rank || !held || held->device != own->device) {
        return invalid_argument;
    }
    called.push_back({{sends, memory, bytes, peer}, own, stream});
    return cuda::nccl_success;
}

} // namespace

int living_communicators() {
    return living;
}

std::int64_t messages_sent() {
    return sent_messages;
}

extern "C" {

int ncclGetVersion(int* version) {
    *version = nccl_faults.version;
    return cuda::nccl_success;
}

int ncclGetUniqueId(cuda::NcclId* id) {
    const std::string pattern = (fs::temp_directory_path() / "nccl-stand-in-XXXXXX").string();
    if (pattern.size() >= sizeof(id->internal)) {
        return system_error;
    }
    std::strcpy(id->internal, pattern.c_str());
    sent_messages = 0;
    something_was_lost = false;
    return ::mkdtemp(id->internal) ? cuda::nccl_success : system_error;
}

int ncclCommInitRank(void** handle, int size, cuda::NcclId id, int rank) {
    auto own = std::make_shared<Communicator>();
    own->folder = id.internal;
    own->rank = rank;
    own->size = size;
    cudaGetDevice(&own->device);
    std::ofstream(own->folder / ("there" + std::to_string(rank)));
    const auto begun = std::chrono::steady_clock::now();
    for (int other = 0; other < size; ++other) {
        while (!fs::exists(own->folder / ("there" + std::to_string(other)))) {
            if (std::chrono::steady_clock::now() - begun > longest_meeting) {
                return system_error;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    ++living;
    *handle = new Handle(own);
    return cuda::nccl_success;
}

int ncclCommDestroy(void* handle) {
    (*static_cast<Handle*>(handle))->leave("left");
    delete static_cast<Handle*>(handle);
    --living;
    return cuda::nccl_success;
}

int ncclCommAbort(void* handle) {
    (*static_cast<Handle*>(handle))->aborted = true;
    return ncclCommDestroy(handle);
}

int ncclCommGetAsyncError(void*, int* result) {
    if (nccl_meanwhile) {
        nccl_meanwhile();
    }
    *result = nccl_faults.remote_error && something_was_lost ? remote_error : cuda::nccl_success;
    return cuda::nccl_success;
}

int ncclGroupStart() {
    ++depth;
    return cuda::nccl_success;
}

int ncclGroupEnd() {
    if (--depth > 0 || called.empty()) {
        return cuda::nccl_success;
    }
    const auto group = std::make_shared<Group>();
    const cudaStream_t stream = called.front().stream;
    group->communicator = called.front().communicator;
    bool fits = true;
    for (const Called& one : called) {
        fits = fits && one.stream == stream && one.communicator == group->communicator;
        group->operations.push_back(one.operation);
    }
    called.clear();
    if (!fits ||
        simt::put_on_stream_until(stream, [group] { return group->advance(); }) != cudaSuccess) {
        return invalid_usage;
    }
    return cuda::nccl_success;
}

int ncclSend(const void* from, std::size_t count, int type, int peer, void* handle,
             cudaStream_t stream) {
    return add(true, const_cast<void*>(from), count, type, peer, handle, stream);
}

int ncclRecv(void* to, std::size_t count, int type, int peer, void* handle, cudaStream_t stream) {
    return add(false, to, count, type, peer, handle, stream);
}

const char* ncclGetErrorString(int result) {
    return result == remote_error ? "remote process exited or there was a network error"
                                  : "an error of the stand-in";
}

const char* ncclGetLastError(void*) {
    return "";
}

} // extern "C"

cuda::NcclFunctions nccl_stand_in() {
    return {ncclGetVersion,  ncclGetUniqueId,    ncclCommInitRank,
            ncclCommDestroy, ncclCommAbort,      ncclCommGetAsyncError,
            ncclGroupStart,  ncclGroupEnd,       ncclSend,
            ncclRecv,        ncclGetErrorString, ncclGetLastError};
}

} // namespace patchforge::testing
#endif
