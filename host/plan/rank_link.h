// What an iteration of several ranks sends, and how long that takes at least on a link: information beside the
// floor of the kernels, from data sheets and the order of the sums (host/ranks/shard_tree.h). Nothing here was
// measured.
#pragma once

#include <span>
#include <string>

namespace patchforge {

struct RankLink {
    const char* name;
    double bytes_per_second;  // of a rank, in one direction
    double seconds_a_message; // latency
    const char* source;
};

// nvlink, ib, ethernet.
std::span<const RankLink> rank_links();
// std::invalid_argument naming --link.
const RankLink& rank_link(const std::string& name);

struct RankTraffic {
    double sent = 0;    // bytes by all ranks: 2 (N - 1) times those of all numbers
    double busiest = 0; // that one rank sends, or receives, whichever is more
    int levels = 0;     // of the tree over ranks
};
// `numbers` floats summed over `ranks` ranks that hold whole subtrees.
RankTraffic rank_traffic(double numbers, int ranks);
// Both ways through the tree, in pieces that follow each other; nothing hidden behind computing.
double communication_seconds(const RankTraffic& traffic, const RankLink& link);

std::string communication_text(double numbers, int ranks, const RankLink& link);

} // namespace patchforge
