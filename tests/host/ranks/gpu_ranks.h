// Ranks that are threads of one process, each with one of the executor's devices, which meet by the stand-in
// of NCCL.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/backend.h"
#include "tests/host/ranks/nccl_stand_in.h"
#include "tests/host/ranks/thread_ranks.h"
#include "tests/host/temporary_folder.h"
#include "tests/kernels/backends.h"
#include "tests/simt/include/simt.h"

namespace patchforge::testing {

// The executor is for one thread: the ranks take turns, one after the other.
class Turns {
  public:
    explicit Turns(int ranks) : takes_part_(static_cast<std::size_t>(ranks), true), left_(ranks) {}

    void await(int rank) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return whose_ == rank; });
    }
    void pass_on() {
        const std::lock_guard lock(mutex_);
        do {
            whose_ = (whose_ + 1) % static_cast<int>(takes_part_.size());
        } while (!takes_part_[static_cast<std::size_t>(whose_)] && left_ > 0);
        changed_.notify_all();
    }
    void leave(int rank) {
        takes_part_[static_cast<std::size_t>(rank)] = false;
        --left_;
        pass_on();
    }

  private:
    std::vector<bool> takes_part_;
    int left_;
    int whose_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
};

// Of one rank, from its first turn on: while it waits for others, they have theirs.
class TakingTurns final : public Ranks {
  public:
    TakingTurns(Ranks& own, Turns& turns) : own_(own), turns_(turns) {
        patience = own.patience;
        turns_.await(rank());
    }
    ~TakingTurns() override { turns_.leave(rank()); }
    int rank() const override { return own_.rank(); }
    int size() const override { return own_.size(); }
    std::string name() const override { return own_.name(); }
    bool one_machine() const override { return own_.one_machine(); }
    std::unique_ptr<Message> send(const void* bytes, std::size_t count, int to, Tag tag) override {
        return own_.send(bytes, count, to, tag);
    }
    std::unique_ptr<Message> receive(void* bytes, std::size_t count, int from, Tag tag) override {
        return std::make_unique<Awaited>(*this, own_.receive(bytes, count, from, tag));
    }
    std::int64_t waiting(int from, Tag tag) override {
        const std::int64_t bytes = own_.waiting(from, tag);
        if (bytes < 0) {
            let_others();
        }
        return bytes;
    }

    void let_others() {
        turns_.pass_on();
        turns_.await(rank());
    }

  private:
    struct Awaited final : Message {
        TakingTurns& ranks;
        std::unique_ptr<Message> message;
        Awaited(TakingTurns& turns, std::unique_ptr<Message> awaited)
            : ranks(turns), message(std::move(awaited)) {}
        bool done() override {
            const bool there = message->done();
            if (!there) {
                ranks.let_others();
            }
            return there;
        }
    };
    Ranks& own_;
    Turns& turns_;
};

// Calls `job` for each rank. Throws what the first one threw that failed by itself.
inline void run_on_gpus(int ranks, const std::function<void(Ranks&)>& job, double patience = 60) {
    const TemporaryFolder folder; // where the stand-in's ranks meet
    const ScopedVariable there("TMPDIR", folder.path().string());
    const cuda::NcclFunctions functions = nccl_stand_in();
    struct Scope {
        ~Scope() {
            cuda::replace_nccl(nullptr);
            simt::set_device_count(1);
        }
    } const scope;
    cuda::replace_nccl(&functions);
    simt::set_device_count(ranks);
    Turns turns(ranks);
    ThreadRanks(ranks).run(
        [&](Ranks& own) {
            TakingTurns one(own, turns);
            nccl_meanwhile = [&one] { one.let_others(); };
            job(one);
        },
        patience);
    // Aborting takes a thread of its own, which leaves a moment later.
    for (int tries = 0; living_communicators() > 0 && tries < 1000; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

} // namespace patchforge::testing
