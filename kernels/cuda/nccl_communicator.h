// Communicator by NCCL: messages lie on a stream of their own, forked from the backend's and joined to it by
// events, so that a recording holds them beside its kernels.
#pragma once

#include <future>
#include <memory>

#include "kernels/communicator.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/nccl.h"

namespace patchforge::cuda {

class CudaBackend;

class NcclCommunicator final : public Communicator {
  public:
    NcclCommunicator(CudaBackend& backend, const Membership& membership);
    ~NcclCommunicator() override;
    NcclCommunicator(const NcclCommunicator&) = delete;
    NcclCommunicator& operator=(const NcclCommunicator&) = delete;

    void fork() override;
    void exchange(const std::vector<Message>& messages) override;
    void add(Vector<float> into, Vector<const float> numbers) override;
    void join() override;

    // Return when what was put there is done. When another rank is gone or the membership's pause throws,
    // abort() and std::runtime_error.
    void wait_for(cudaStream_t stream);
    void wait_for(cudaEvent_t event);
    // Messages on their way end, and there will be no others.
    void abort() noexcept;

  private:
    void wait_until(const std::function<cudaError_t()>& query);
    void initialise(const Membership& membership);
    void connect(const std::vector<int>& peers);
    void put(const std::vector<Message>& messages); // on the stream
    void look_for_errors();
    void check(int result, const char* call) const { check_nccl(functions_, result, call); }
    void release() noexcept;
    Stream beside() const; // the backend's, but for the place
    bool enqueues() const; // not while kernels are only loaded or announced

    CudaBackend& backend_;
    NcclFunctions functions_;
    std::function<void(bool first)> pause_;
    void* communicator_ = nullptr;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t forked_ = nullptr;
    cudaEvent_t joined_ = nullptr;
    std::future<void> aborted_;
};

// What recordings send is known when they are made, and sent whenever they are replayed.
void count_bytes_sent(std::int64_t bytes);

} // namespace patchforge::cuda
