// Sums over ranks of numbers in host memory: one thread carries the messages and adds.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "host/ranks/exchange.h"
#include "host/ranks/ranks.h"

namespace patchforge {

class HostExchange final : public Exchange {
  public:
    HostExchange(Ranks& ranks, std::int64_t room);
    ~HostExchange() override;

    void start(const std::vector<ShardTree::Step>& steps, float* slots, std::int64_t stride,
               std::int64_t count) override;
    void finish() override;

  private:
    struct Carried : Piece {
        Tag tag;
        std::size_t step = 0;
        std::unique_ptr<Ranks::Message> awaited{};
        std::vector<std::unique_ptr<Ranks::Message>> sent{};
    };

    void carry();                  // the thread
    bool advance(Carried& piece);  // as far as it can; whether all is done
    bool all_sent(Carried& piece); // and so the slots may be written

    Ranks& ranks_;
    std::vector<float> received_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Carried> started_; // by finish() to be waited for
    std::int64_t taken_ = 0;      // of received_
    int pieces_ = 0;              // since finish()
    bool idle_ = true;
    bool awaited_ = false; // somebody does nothing but wait
    bool ends_ = false;
    std::exception_ptr failure_;
    std::thread thread_;
};

// By all exchanges of this process so far, between GPUs too.
std::int64_t bytes_of_sums_sent();

} // namespace patchforge
