// Where lanes and warps meet: shuffles, votes and barriers.
#include "tests/ptx/machine.h"

#include <fmt/format.h>

namespace ptx {

namespace {

using u32 = std::uint32_t;

// A GPU waits until the named lanes have come, wherever they are. Here those that are named have to
// come together, as they do where ways that have parted meet again first.
void check_mask(const Warp& w, const Instruction& i, const u32* mask) {
    const Mask named = mask[static_cast<unsigned>(__builtin_ctz(w.active))];
    Mask other = 0;
    for_active(w, [&](unsigned l) { other |= Mask{mask[l] != named} << l; });
    if (named != w.active || other) {
        fail(w, i, simt::Finding::lane_mask, w.active,
             fmt::format("lanes {:#010x} came and {:#010x} are named; all that are named have to "
                         "come together, and no others",
                         w.active, named));
    }
}

// Each lane takes the value of the lane whose number differs in the bits of b. c: the lower five
// bits bound the lanes that are taken from, bits 8 to 12 divide the warp into segments.
template <bool tells>
void shuffle_across(Warp& w, const Instruction& i) {
    check_mask(w, i, w.further<u32>(i, tells ? 1 : 0));
    const u32* a = w.at<u32>(i.a);
    const u32* b = w.at<u32>(i.b);
    const u32* c = w.at<u32>(i.c);
    u32 value[lanes];
    Mask inside = 0;
    Mask missing = 0;
    for (unsigned l = 0; l < lanes; ++l) {
        const u32 segment = c[l] >> 8 & 31;
        const u32 last = (l & segment) | (c[l] & 31 & ~segment);
        const u32 from = l ^ (b[l] & 31);
        inside |= Mask{from <= last} << l;
        value[l] = from <= last ? a[from] : a[l];
        missing |= Mask{from <= last && !(w.active >> from & 1)} << l;
    }
    if (missing & w.active) {
        fail(w, i, simt::Finding::lane_mask, missing & w.active,
             "these lanes take a value from one that is not here");
    }
    on_lanes(w, w.at<u32>(i.d), [&](unsigned l) { return value[l]; });
    if constexpr (tells) {
        Mask& p = *w.further<Mask>(i, 0);
        p = (p & ~w.active) | (inside & w.active);
    }
}

void ballot(Warp& w, const Instruction& i) {
    check_mask(w, i, w.at<u32>(i.b));
    const Mask votes = *w.at<Mask>(i.a) & w.active;
    on_lanes(w, w.at<u32>(i.d), [=](unsigned) { return votes; });
}

void arrive(Warp& w, const Instruction& i) {
    if (w.active != w.live) {
        fail(w, i, simt::Finding::divergent_barrier, w.active,
             fmt::format("lanes {:#010x} of the warp are here while {:#010x} are elsewhere; bring "
                         "all threads to the same barrier",
                         w.active, w.live & ~w.active));
    }
    w.state = Warp::State::at_barrier;
    w.barrier = &i;
}

void arrive_with_vote(Warp& w, const Instruction& i) {
    arrive(w, i);
    w.block->votes |= *w.at<Mask>(i.a) & w.active;
}

void wait_for_predecessor(Warp& w, const Instruction&) {
    w.waited |= w.active;
}

// spin_until() sleeps between its looks: the time for others to go on.
void sleep(Warp& w, const Instruction&) {
    w.state = Warp::State::yields;
}

// Every write is seen by all as soon as it is done.
void nothing(Warp&, const Instruction&) {}

} // namespace

std::vector<Form> warp_forms() {
    return {
        {"shfl.sync.bfly.b32", "=w w w w w", shuffle_across<false>},
        {"shfl.sync.bfly.b32", "=w|p w w w w", shuffle_across<true>},
        {"vote.sync.ballot.b32", "=w p w", ballot},
        {"bar.sync", "#", arrive},
        {"bar.red.or.pred", "=p # p", arrive_with_vote},
        {"membar.gl", "", nothing},
        {"griddepcontrol.launch_dependents", "", nothing},
        {"griddepcontrol.wait", "", wait_for_predecessor},
        {"nanosleep.u32", "w", sleep},
    };
}

} // namespace ptx
