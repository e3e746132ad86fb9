#include "host/plan/rank_link.h"

#include <fmt/format.h>

#include <bit>
#include <stdexcept>
#include <vector>

namespace patchforge {

namespace {

// Of one rank with one port; a test holds the table of docs/scale.md to these.
constexpr RankLink links[] = {
    {"nvlink", 450e9, 3e-6, "NVLink 4 of an H100 SXM: 900 GB/s in both directions together"},
    {"ib", 50e9, 2e-6, "InfiniBand NDR: 400 Gbit/s"},
    {"ethernet", 1.25e9, 30e-6, "10 Gbit/s Ethernet"},
};

} // namespace

std::span<const RankLink> rank_links() {
    return links;
}

const RankLink& rank_link(const std::string& name) {
    std::vector<std::string> names;
    for (const RankLink& link : links) {
        if (link.name == name) {
            return link;
        }
        names.push_back(link.name);
    }
    throw std::invalid_argument(
        fmt::format("--link {}: no such link; use {}", name, fmt::join(names, ", ")));
}

// Half of the pieces end on the first rank and half on the last one. A rank where a piece ends receives it
// `levels` times on the way up and sends it as often on the way down; the others of its pieces it sends up and
// receives back once.
RankTraffic rank_traffic(double numbers, int ranks) {
    const double bytes = 4 * numbers;
    RankTraffic traffic;
    traffic.levels = static_cast<int>(std::bit_width(static_cast<unsigned>(ranks - 1)));
    traffic.sent = 2 * (ranks - 1) * bytes;
    traffic.busiest = ranks == 1 ? 0 : bytes / 2 * (traffic.levels + 1);
    return traffic;
}

double communication_seconds(const RankTraffic& traffic, const RankLink& link) {
    return traffic.busiest / link.bytes_per_second + 2 * traffic.levels * link.seconds_a_message;
}

std::string communication_text(double numbers, int ranks, const RankLink& link) {
    const RankTraffic traffic = rank_traffic(numbers, ranks);
    return fmt::format(
        "{} ranks on {} ({}): {:.2f} MB sent an iteration by all, {:.2f} MB by the busiest, at "
        "least "
        "{:.1f} us if nothing hides behind the kernels (computed, not measured; docs/scale.md)\n",
        ranks, link.name, link.source, traffic.sent * 1e-6, traffic.busiest * 1e-6,
        communication_seconds(traffic, link) * 1e6);
}

} // namespace patchforge
