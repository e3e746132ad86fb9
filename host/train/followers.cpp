#include "host/train/followers.h"

#include <chrono>

#include "host/ranks/host_exchange.h"
#include "host/run/interrupt.h"

namespace patchforge {

namespace {

constexpr char restores = 'c', runs = 'r', ends = 'e', dismisses = 'd';

// The next command of rank 0, which may take its time as long as it lives.
std::string command(Ranks& ranks) {
    while (true) {
        RankWait wait(ranks);
        while (ranks.waiting(0, Tag::alive) < 0) {
            if (ranks.waiting(0, Tag::command) >= 0) {
                return text_of(receive_now(ranks, 0, Tag::command));
            }
            wait.pause(20);
        }
        char sign = 0;
        wait_for(ranks, *ranks.receive(&sign, 1, 0, Tag::alive));
    }
}

} // namespace

Leader::Leader(Ranks* ranks) : ranks_(ranks && ranks->size() > 1 ? ranks : nullptr) {
    if (ranks_) {
        alive_ = std::thread([this] {
            using Clock = std::chrono::steady_clock;
            const std::chrono::duration<double> interval(ranks_->patience / 4);
            auto last = Clock::now();
            while (!ended_) {
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                if (Clock::now() - last >= interval) {
                    last = Clock::now();
                    static const char sign = 0;
                    for (int rank = 1; rank < ranks_->size(); ++rank) {
                        try {
                            ranks_->send(&sign, 1, rank, Tag::alive); // small: gone at once
                        } catch (const std::exception&) { // the training's own messages tell
                        }
                    }
                }
            }
        });
    }
}

Leader::~Leader() {
    ended_ = true;
    if (alive_.joinable()) {
        alive_.join();
    }
}

void Leader::tell(char what, const std::string& argument) {
    for (int rank = 1; ranks_ && rank < ranks_->size(); ++rank) {
        send_now(*ranks_, bytes_of(what + argument), rank, Tag::command);
    }
}

void Leader::restore(const std::filesystem::path& checkpoint) {
    tell(restores, checkpoint.string());
}

void Leader::run(std::int64_t count) {
    tell(runs, std::to_string(count));
}

std::int64_t Leader::end(bool complete) {
    tell(ends, complete ? "1" : "0");
    std::int64_t sent = bytes_of_sums_sent();
    for (int rank = 1; ranks_ && rank < ranks_->size(); ++rank) {
        sent += std::stoll(text_of(receive_now(*ranks_, rank, Tag::gather)));
    }
    return sent;
}

void Leader::dismiss() {
    tell(dismisses, "");
}

bool follow(Family& family, Ranks& ranks) {
    InterruptScope rank_0_decides;
    bool complete = false;
    while (true) {
        const std::string said = command(ranks);
        const std::string argument = said.substr(1);
        switch (said.front()) {
        case restores:
            family.restore(argument);
            break;
        case runs:
            family.run(std::stoll(argument));
            break;
        case ends:
            send_now(ranks, bytes_of(std::to_string(bytes_of_sums_sent())), 0, Tag::gather);
            complete = argument == "1";
            break;
        default:
            return complete;
        }
    }
}

std::int64_t as_on_first(Ranks* ranks, std::int64_t number) {
    if (ranks && ranks->rank() > 0) {
        return std::stoll(text_of(receive_now(*ranks, 0, Tag::command)));
    }
    for (int rank = 1; ranks && rank < ranks->size(); ++rank) {
        send_now(*ranks, bytes_of(std::to_string(number)), rank, Tag::command);
    }
    return number;
}

} // namespace patchforge
