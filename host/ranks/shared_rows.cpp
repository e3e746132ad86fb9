#include "host/ranks/shared_rows.h"

#include <cstring>
#include <utility>

namespace patchforge {

namespace {

thread_local Ranks* sharing = nullptr; // ranks may be threads of one process

} // namespace

SharedRows::SharedRows(Ranks* ranks) {
    sharing = ranks && ranks->size() > 1 ? ranks : nullptr;
}

SharedRows::~SharedRows() {
    sharing = nullptr;
}

SharedRows::Alone::Alone() : before_(std::exchange(sharing, nullptr)) {}

SharedRows::Alone::~Alone() {
    sharing = before_;
}

Ranks* SharedRows::ranks() {
    return sharing;
}

bool SharedRows::mine(std::int64_t batch) {
    return !sharing || batch % sharing->size() == sharing->rank();
}

bool SharedRows::writes() {
    return !sharing || sharing->rank() == 0;
}

std::vector<std::vector<std::byte>> gather_everywhere(Ranks& ranks,
                                                      const std::vector<std::byte>& bytes) {
    // Over rank 0: to it, and all of it back.
    std::vector<std::vector<std::byte>> all(static_cast<std::size_t>(ranks.size()));
    if (ranks.rank() > 0) {
        send_now(ranks, bytes, 0, Tag::gather);
        for (std::vector<std::byte>& one : all) {
            one = receive_now(ranks, 0, Tag::gather);
        }
        return all;
    }
    all.front() = bytes;
    for (int rank = 1; rank < ranks.size(); ++rank) {
        all[static_cast<std::size_t>(rank)] = receive_now(ranks, rank, Tag::gather);
    }
    for (int rank = 1; rank < ranks.size(); ++rank) {
        for (const std::vector<std::byte>& one : all) {
            send_now(ranks, one, rank, Tag::gather);
        }
    }
    return all;
}

void meet_ranks() {
    if (sharing) {
        gather_everywhere(*sharing, {});
    }
}

void sum_over_ranks(std::vector<std::int64_t>& counts) {
    if (!sharing) {
        return;
    }
    const auto bytes = std::as_bytes(std::span(counts));
    const auto all = gather_everywhere(*sharing, {bytes.begin(), bytes.end()});
    std::ranges::fill(counts, 0);
    for (const std::vector<std::byte>& one : all) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
            std::int64_t count = 0;
            std::memcpy(&count, one.data() + i * sizeof(count), sizeof(count));
            counts[i] += count;
        }
    }
}

} // namespace patchforge
