// Sums over ranks of numbers in the memory of GPUs: messages and additions are enqueued, beside the kernels
// that work out the next pieces, and recorded with them.
#pragma once

#include "host/ranks/exchange.h"
#include "kernels/backend.h"
#include "kernels/communicator.h"

namespace patchforge {

class DeviceExchange final : public Exchange {
  public:
    DeviceExchange(Backend& backend, Communicator& communicator, std::int64_t room);

    void start(const std::vector<ShardTree::Step>& steps, float* slots, std::int64_t stride,
               std::int64_t count) override;
    void finish() override;

  private:
    void enqueue();

    Communicator& communicator_;
    DeviceArray<float> received_;
    std::int64_t taken_ = 0; // of received_
    std::vector<Piece> waiting_;
    bool forked_ = false; // since finish()
};

} // namespace patchforge
