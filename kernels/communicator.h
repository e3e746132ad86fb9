// Messages between the GPUs of several processes ("ranks", numbered from 0), beside the operations of their
// backends. NCCL carries them (kernels/cuda/nccl_communicator.h). In a program without CUDA there is none of it:
// null, 0 or empty; what needs one throws std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/views.h"

namespace patchforge {

class Backend;

// Asynchronous, in the order of calls, and part of a recording like any operation. All ranks record and
// replay the same exchanges in the same order.
class Communicator {
  public:
    virtual ~Communicator() = default;

    struct Message {
        enum class Way { send, receive } way;
        float* numbers; // in the memory of the backend
        std::int64_t count;
        int peer;
    };

    // What is called from here on runs beside the backend's operations, behind those it was given so far.
    virtual void fork() = 0;
    // All messages at once: none waits for another. What one rank sends to another arrives in the order of
    // these lists.
    virtual void exchange(const std::vector<Message>& messages) = 0;
    // into += numbers, by the backend's weighted_sum.
    virtual void add(Vector<float> into, Vector<const float> numbers) = 0;
    // What the backend is given from here on runs behind all of that.
    virtual void join() = 0;
};

struct Membership {
    int rank = 0;
    int size = 1;
    std::vector<std::byte> id; // of make_communicator_id() on one rank, the same on all
    std::vector<int> peers;    // with whom messages are exchanged; they name each other
    // Called again and again while this rank waits for others, `first` at the beginning of a wait. What it
    // throws ends the wait, and with it the communicator.
    std::function<void(bool first)> pause;
};

std::vector<std::byte> make_communicator_id();
// The communicator of this backend, which keeps it. Every rank calls it, and it returns when all have. From
// then on whatever waits for the backend looks after the other ranks: std::runtime_error when one is gone.
Communicator& join_communicator(Backend& backend, const Membership& membership);
// Null: it has none.
Communicator* communicator_of(Backend& backend);

// Bytes of the messages that this process has sent, or has put on their way.
std::int64_t bytes_sent_between_gpus();

// "2.20.5". std::runtime_error that says what to install when there is none, or one too old.
std::string nccl_version();
// Of the backend's GPU, the same in every process that uses it. Empty: it is no GPU.
std::string gpu_identity(Backend& backend);
// GPUs that this process may use.
int visible_gpus();

} // namespace patchforge
