#include "host/ranks/host_exchange.h"

#include <atomic>
#include <list>
#include <optional>

#include "kernels/communicator.h"

namespace patchforge {

namespace {

// While the process computes, its cores are the computation's: a message then waits this long at most.
constexpr int pause_beside_computing = 50; // us

std::atomic<std::int64_t> sent_so_far = 0;

} // namespace

std::int64_t bytes_of_sums_sent() {
    return sent_so_far + bytes_sent_between_gpus();
}

HostExchange::HostExchange(Ranks& ranks, std::int64_t room)
    : ranks_(ranks), received_(static_cast<std::size_t>(room)), thread_([this] { carry(); }) {}

HostExchange::~HostExchange() {
    {
        const std::lock_guard lock(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void HostExchange::start(const std::vector<ShardTree::Step>& steps, float* slots,
                         std::int64_t stride, std::int64_t count) {
    {
        const std::lock_guard lock(mutex_);
        idle_ = false;
        started_.push_back(
            {{steps, slots, stride, count, received_.data() + taken_}, sum_tag(pieces_++)});
        taken_ += count;
    }
    changed_.notify_all();
}

void HostExchange::finish() {
    std::unique_lock lock(mutex_);
    awaited_ = true;
    changed_.wait(lock, [&] { return idle_; });
    awaited_ = false;
    taken_ = 0;
    pieces_ = 0;
    if (failure_) {
        std::rethrow_exception(failure_);
    }
}

bool HostExchange::all_sent(Carried& piece) {
    std::erase_if(piece.sent, [](const auto& message) { return message->done(); });
    return piece.sent.empty();
}

bool HostExchange::advance(Carried& piece) {
    using Kind = ShardTree::Step::Kind;
    const auto bytes = static_cast<std::size_t>(piece.count) * sizeof(float);
    const auto add = [&](float* into, const float* numbers) {
        for (std::int64_t i = 0; i < piece.count; ++i) {
            into[i] += numbers[i];
        }
    };
    for (; piece.step < piece.steps.size(); ++piece.step) {
        const ShardTree::Step& step = piece.steps[piece.step];
        float* slot = piece.slot(step.slot);
        switch (step.kind) {
        case Kind::add:
            add(slot, piece.slot(step.from));
            break;
        case Kind::send:
        case Kind::send_total:
            piece.sent.push_back(ranks_.send(slot, bytes, step.peer, piece.tag));
            sent_so_far += static_cast<std::int64_t>(bytes);
            break;
        case Kind::add_received:
            if (!piece.awaited) {
                piece.awaited = ranks_.receive(piece.received, bytes, step.peer, piece.tag);
            }
            if (!piece.awaited->done()) {
                return false;
            }
            piece.awaited = nullptr;
            add(slot, piece.received);
            break;
        case Kind::receive_total:
            if (!piece.awaited) {
                if (!all_sent(piece)) {
                    return false;
                }
                piece.awaited = ranks_.receive(slot, bytes, step.peer, piece.tag);
            }
            if (!piece.awaited->done()) {
                return false;
            }
            piece.awaited = nullptr;
            break;
        }
    }
    return all_sent(piece);
}

void HostExchange::carry() {
    std::list<Carried> pieces;
    std::optional<RankWait> wait;
    while (true) {
        bool awaited = false;
        {
            std::unique_lock lock(mutex_);
            if (pieces.empty() && started_.empty()) {
                idle_ = true;
                changed_.notify_all();
                changed_.wait(lock, [&] { return ends_ || !started_.empty(); });
            }
            if (ends_) {
                return;
            }
            std::move(started_.begin(), started_.end(), std::back_inserter(pieces));
            started_.clear();
            awaited = awaited_;
        }
        try {
            bool moved = false;
            for (auto piece = pieces.begin(); piece != pieces.end();) {
                const std::size_t before = piece->step;
                const bool done = advance(*piece);
                moved = moved || done || piece->step > before;
                piece = done ? pieces.erase(piece) : std::next(piece);
            }
            if (moved) {
                wait.reset();
            } else {
                if (!wait) {
                    wait.emplace(ranks_);
                }
                wait->pause(awaited ? 0 : pause_beside_computing);
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            failure_ = std::current_exception();
            pieces.clear();
            started_.clear();
        }
    }
}

} // namespace patchforge
