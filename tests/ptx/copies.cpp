// cp.async: copies to shared memory that land when their thread waits for them, not before. Until
// then their target is poisoned: what lay there before must not be read any more.
#include "tests/ptx/memory.h"

#include "tests/simt/runtime/poison.h"

#include <fmt/format.h>

#include <cstring>

namespace ptx {

namespace {

using u32 = std::uint32_t;

template <unsigned copy_bytes>
void start(Warp& w, const Instruction& i) {
    Addresses to, from;
    const auto from_offset = static_cast<std::int32_t>(w.block->launch->kernel->lists[i.list]);
    address_lanes(w, i.a, i.number, false, to);
    address_lanes(w, i.b, from_offset, true, from);
    const u32* valid = w.at<u32>(i.c);
    check_shared(w, i, to, copy_bytes);
    Mask reads = 0, too_many = 0;
    for_active(w, [&](unsigned l) {
        reads |= Mask{valid[l] > 0} << l;
        too_many |= Mask{valid[l] > copy_bytes} << l;
    });
    if (too_many) {
        fail(w, i, simt::Finding::limit, too_many,
             fmt::format("{} bytes are to be read for a copy of {}",
                         valid[static_cast<unsigned>(__builtin_ctz(too_many))], copy_bytes));
    }
    // Nothing is read where no byte is valid; where some are, the address is a multiple of the size,
    // and only those bytes have to exist.
    const Mask active = w.active;
    for (Mask left = reads; left;) {
        const u32 bytes = valid[static_cast<unsigned>(__builtin_ctz(left))];
        Mask alike = 0;
        for (unsigned l = 0; l < lanes; ++l) {
            alike |= Mask{(left >> l & 1) && valid[l] == bytes} << l;
        }
        w.active = alike;
        check_device(w, i, from, bytes, copy_bytes);
        left &= ~alike;
    }
    w.active = active;
    for_active(w, [&](unsigned l) {
        simt::poison(in_shared(w, to[l]), copy_bytes);
        w.copies.push_back({to[l], from[l], copy_bytes, static_cast<std::uint8_t>(valid[l]),
                            static_cast<std::uint8_t>(l), w.groups[l]});
    });
}

void close_group(Warp& w, const Instruction&) {
    for_active(w, [&](unsigned l) { ++w.groups[l]; });
}

// All but the youngest i.number groups of each lane land.
void wait_for_groups(Warp& w, const Instruction& i) {
    const auto pending = static_cast<u32>(i.number);
    std::size_t kept = 0;
    for (const Copy& copy : w.copies) {
        const bool lands =
            (w.active >> copy.lane & 1) && copy.group + pending < w.groups[copy.lane];
        if (lands) {
            std::byte* to = in_shared(w, copy.to);
            std::memcpy(to, in_device(copy.from), copy.valid_bytes);
            std::memset(to + copy.valid_bytes, 0, copy.bytes - copy.valid_bytes);
        } else {
            w.copies[kept++] = copy;
        }
    }
    w.copies.resize(kept);
}

} // namespace

std::vector<Form> copy_forms() {
    return {
        {"cp.async.cg.shared.global", "s g #16 w", start<16>},
        {"cp.async.ca.shared.global", "s g #4 w", start<4>},
        {"cp.async.commit_group", "", close_group},
        {"cp.async.wait_group", "#", wait_for_groups},
    };
}

} // namespace ptx
