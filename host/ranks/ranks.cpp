#include "host/ranks/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace patchforge {

namespace {

std::int64_t now() {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// Looking for failures takes a call for each rank: once in so many pauses.
constexpr int pauses_a_look = 64;

// MPI counts in int.
constexpr std::size_t largest_message = std::size_t{1} << 30;

} // namespace

RankWait::RankWait(Ranks& ranks) : ranks_(ranks), begun_(now()) {}

void RankWait::pause(int microseconds) {
    if (pauses_++ % pauses_a_look == 0 || microseconds >= 1000) {
        for (int rank = 0; rank < ranks_.size(); ++rank) {
            const std::int64_t size =
                rank == ranks_.rank() ? -1 : ranks_.waiting(rank, Tag::failure);
            if (size >= 0) {
                std::string reason(static_cast<std::size_t>(size), ' ');
                const auto message =
                    ranks_.receive(reason.data(), reason.size(), rank, Tag::failure);
                while (!message->done()) {
                    std::this_thread::yield();
                }
                throw RankFailure(reason);
            }
        }
        if (static_cast<double>(now() - begun_) > ranks_.patience * 1e9) {
            throw std::runtime_error(
                fmt::format("nothing came from the other ranks for {:g} s; one of them hangs "
                            "or is cut off; "
                            "resume from the last checkpoint, or give a longer --rank-timeout",
                            ranks_.patience));
        }
    }
    if (microseconds > 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    } else {
        std::this_thread::yield();
    }
}

void wait_for(Ranks& ranks, Ranks::Message& message) {
    RankWait wait(ranks);
    for (int asked = 0; !message.done(); ++asked) {
        wait.pause(asked < 1000 ? 0 : 50); // who waits long leaves the core to others
    }
}

void send_now(Ranks& ranks, std::span<const std::byte> bytes, int to, Tag tag) {
    const std::uint64_t size = bytes.size();
    wait_for(ranks, *ranks.send(&size, sizeof(size), to, tag));
    for (std::size_t first = 0; first < size; first += largest_message) {
        const std::size_t count = std::min(largest_message, bytes.size() - first);
        wait_for(ranks, *ranks.send(bytes.data() + first, count, to, tag));
    }
}

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::byte> receive_now(Ranks& ranks, int from, Tag tag) {
    std::uint64_t size = 0;
    wait_for(ranks, *ranks.receive(&size, sizeof(size), from, tag));
    std::vector<std::byte> bytes(size);
    for (std::size_t first = 0; first < size; first += largest_message) {
        const std::size_t count = std::min(largest_message, bytes.size() - first);
        wait_for(ranks, *ranks.receive(bytes.data() + first, count, from, tag));
    }
    return bytes;
}

std::vector<std::vector<float>> gather_on_first(Ranks* ranks, const std::vector<float>& values) {
    if (!ranks || ranks->size() == 1) {
        return {values};
    }
    if (ranks->rank() > 0) {
        send_now(*ranks, std::as_bytes(std::span(values)), 0, Tag::gather);
        return {};
    }
    std::vector<std::vector<float>> all = {values};
    for (int rank = 1; rank < ranks->size(); ++rank) {
        const std::vector<std::byte> bytes = receive_now(*ranks, rank, Tag::gather);
        all.emplace_back(bytes.size() / sizeof(float));
        std::memcpy(all.back().data(), bytes.data(), bytes.size());
    }
    return all;
}

void tell_failure(Ranks& ranks, const std::string& reason) {
    for (int rank = 0; rank < ranks.size(); ++rank) {
        if (rank != ranks.rank()) {
            // Nobody may be there to take it: a second is enough for those who are.
            const auto message = ranks.send(reason.data(), reason.size(), rank, Tag::failure);
            const std::int64_t begun = now();
            while (!message->done() && now() - begun < 1'000'000'000) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }
}

} // namespace patchforge
