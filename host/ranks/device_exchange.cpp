#include "host/ranks/device_exchange.h"

#include <algorithm>

namespace patchforge {

namespace {

// Pieces that go together, round by round: one is summed towards the left and one towards the right, so that
// a rank sends and receives at the same time.
constexpr std::size_t together = 2;

} // namespace

DeviceExchange::DeviceExchange(Backend& backend, Communicator& communicator, std::int64_t room)
    : communicator_(communicator), received_(backend, room) {}

void DeviceExchange::start(const std::vector<ShardTree::Step>& steps, float* slots,
                           std::int64_t stride, std::int64_t count) {
    waiting_.push_back({steps, slots, stride, count, received_.data() + taken_});
    taken_ += count;
    if (waiting_.size() == together) {
        enqueue();
    }
}

void DeviceExchange::finish() {
    if (!waiting_.empty()) {
        enqueue();
    }
    if (forked_) {
        communicator_.join();
    }
    forked_ = false;
    taken_ = 0;
}

// All ranks go through the rounds in step, and the two ranks of a message have it in the same round: so the
// first round that is not over is one in which nobody waits for anything but this round's messages.
void DeviceExchange::enqueue() {
    using Kind = ShardTree::Step::Kind;
    using Way = Communicator::Message::Way;
    communicator_.fork();
    forked_ = true;
    int last = 0;
    for (const Piece& piece : waiting_) {
        for (const ShardTree::Step& step : piece.steps) {
            last = std::max(last, step.round);
        }
    }
    for (int round = 0; round <= last; ++round) {
        const auto each = [&](const auto& call) {
            for (const Piece& piece : waiting_) {
                for (const ShardTree::Step& step : piece.steps) {
                    if (step.round == round) {
                        call(piece, step);
                    }
                }
            }
        };
        std::vector<Communicator::Message> messages;
        each([&](const Piece& piece, const ShardTree::Step& step) {
            float* const slot = piece.slot(step.slot);
            switch (step.kind) {
            case Kind::add:
                break;
            case Kind::send:
            case Kind::send_total:
                messages.push_back({Way::send, slot, piece.count, step.peer});
                break;
            case Kind::add_received:
                messages.push_back({Way::receive, piece.received, piece.count, step.peer});
                break;
            case Kind::receive_total:
                messages.push_back({Way::receive, slot, piece.count, step.peer});
                break;
            }
        });
        if (!messages.empty()) {
            communicator_.exchange(messages);
        }
        each([&](const Piece& piece, const ShardTree::Step& step) {
            if (step.kind == Kind::add) {
                communicator_.add({piece.slot(step.slot), piece.count},
                                  {piece.slot(step.from), piece.count});
            } else if (step.kind == Kind::add_received) {
                communicator_.add({piece.slot(step.slot), piece.count},
                                  {piece.received, piece.count});
            }
        });
    }
    waiting_.clear();
}

} // namespace patchforge
