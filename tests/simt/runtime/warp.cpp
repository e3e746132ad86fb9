// Warp-wide instructions: each is a meeting of the lanes named in its mask.
#include "tests/simt/runtime/checker.h"
#include "tests/simt/runtime/executor.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace simt {

namespace {

struct Exchange {
    std::uint64_t value;
    unsigned source;
    std::uint64_t result;
};

struct Ballot {
    bool predicate;
    Vote kind;
    std::uint32_t result;
};

struct Reduced {
    std::uint32_t value;
    Reduction kind;
    bool is_signed;
};

bool same_call(const Rendezvous& rendezvous, const char* what, Site site) {
    return rendezvous.site.line == site.line && std::strcmp(rendezvous.site.file, site.file) == 0 &&
           std::strcmp(rendezvous.what, what) == 0;
}

// Finds the meeting this lane belongs to, or opens it. Refuses masks that cannot be right.
Rendezvous& join(Warp& warp, unsigned lane, std::uint32_t mask, WarpCompute compute,
                 const char* what, Site site) {
    const std::uint32_t self = 1u << lane;
    if (!(mask & self)) {
        executor.fail(
            Finding::lane_mask, site,
            fmt::format("lane {} calls {} with mask {:#010x}, which does not name it; name "
                        "every lane that calls",
                        lane, what, mask));
    }
    if (mask & ~warp.live) {
        executor.fail(
            Finding::lane_mask, site,
            fmt::format("{} names lanes {:#010x} in mask {:#010x}, but they have left the "
                        "kernel; name only lanes that take part",
                        what, mask & ~warp.live, mask));
    }
    for (auto& rendezvous : warp.pending) {
        if (rendezvous.mask == mask && same_call(rendezvous, what, site)) {
            rendezvous.arrived |= self;
            return rendezvous;
        }
        // Lanes that wait for this one elsewhere, while this one waits for them here.
        if ((rendezvous.arrived & mask) && (rendezvous.mask & self)) {
            executor.fail(
                Finding::lane_mask, site,
                fmt::format("lane {} is at {} with mask {:#010x} while lanes {:#010x} wait "
                            "for it at {} with mask {:#010x} at {}:{}; bring all named "
                            "lanes to the same call",
                            lane, what, mask, rendezvous.arrived, rendezvous.what, rendezvous.mask,
                            rendezvous.site.file, rendezvous.site.line));
        }
    }
    warp.pending.push_back({mask, self, compute, what, site});
    return warp.pending.back();
}

} // namespace

void warp_rendezvous(std::uint32_t mask, void* mine, WarpCompute compute, const char* what,
                     Site site) {
    Thread& self = executor.current();
    Block& block = *self.block;
    Warp& warp = block.warps[self.index / 32];
    Rendezvous& rendezvous = join(warp, self.lane(), mask, compute, what, site);
    self.deposit = mine;
    if (rendezvous.arrived != mask) {
        executor.wait(what, site);
        return;
    }
    rendezvous = warp.pending.back();
    warp.pending.pop_back();
    void* deposits[32] = {};
    Thread* lanes = &block.threads[self.index - self.lane()];
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (mask & (1u << lane)) {
            deposits[lane] = lanes[lane].deposit;
        }
    }
    if (compute) {
        compute(deposits, mask);
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
        if ((mask & (1u << lane)) && lane != self.lane()) {
            executor.wake(lanes[lane]);
        }
    }
}

void sync_warp(std::uint32_t mask, Site site) {
    const auto order = [](void* const*, std::uint32_t members) {
        if (checker) {
            const Thread& last = executor.current();
            std::vector<Thread*> threads;
            for (unsigned lane = 0; lane < 32; ++lane) {
                if (members & (1u << lane)) {
                    threads.push_back(&last.block->threads[last.index - last.lane() + lane]);
                }
            }
            checker->joined(threads);
        }
    };
    warp_rendezvous(mask, nullptr, order, "__syncwarp", site);
}

std::uint32_t active_mask() {
    const Thread& self = executor.current();
    return self.block->warps[self.index / 32].live;
}

std::uint64_t shuffle(std::uint32_t mask, std::uint64_t value, Shuffle kind, unsigned operand,
                      int width, const char* what, Site site) {
    if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width))) {
        executor.fail(
            Finding::lane_mask, site,
            fmt::format("{} with width {}; widths are powers of two up to 32", what, width));
    }
    const unsigned lane = executor.current().lane();
    const unsigned segment = static_cast<unsigned>(width);
    const unsigned first = lane & ~(segment - 1);
    // A lane whose source falls outside its segment keeps its own value.
    unsigned source = lane;
    switch (kind) {
    case Shuffle::index:
        source = first + (operand & (segment - 1));
        break;
    case Shuffle::up:
        source = lane - first >= operand ? lane - operand : lane;
        break;
    case Shuffle::down:
        source = lane - first + operand < segment ? lane + operand : lane;
        break;
    case Shuffle::exclusive_or:
        source = lane ^ operand;
        // A source in a later segment is out of reach, one in an earlier segment is not.
        source = source < first + segment ? source : lane;
        break;
    }
    if (!(mask & (1u << source))) {
        executor.fail(Finding::lane_mask, site,
                      fmt::format("lane {} reads lane {} in {}, which mask {:#010x} does not name",
                                  lane, source, what, mask));
    }
    Exchange mine{value, source, 0};
    warp_rendezvous(
        mask, &mine,
        [](void* const* lanes, std::uint32_t members) {
            for (unsigned i = 0; i < 32; ++i) {
                if (members & (1u << i)) {
                    auto& reader = *static_cast<Exchange*>(lanes[i]);
                    reader.result = static_cast<Exchange*>(lanes[reader.source])->value;
                }
            }
        },
        what, site);
    return mine.result;
}

std::uint32_t vote(std::uint32_t mask, bool predicate, Vote kind, const char* what, Site site) {
    Ballot mine{predicate, kind, 0};
    warp_rendezvous(
        mask, &mine,
        [](void* const* lanes, std::uint32_t members) {
            std::uint32_t yes = 0;
            for (unsigned i = 0; i < 32; ++i) {
                if ((members & (1u << i)) && static_cast<Ballot*>(lanes[i])->predicate) {
                    yes |= 1u << i;
                }
            }
            for (unsigned i = 0; i < 32; ++i) {
                if (members & (1u << i)) {
                    auto& ballot = *static_cast<Ballot*>(lanes[i]);
                    ballot.result = ballot.kind == Vote::ballot ? yes
                                    : ballot.kind == Vote::any  ? yes != 0
                                                                : yes == members;
                }
            }
        },
        what, site);
    return mine.result;
}

std::uint32_t reduce(std::uint32_t mask, std::uint32_t value, Reduction kind, bool is_signed,
                     const char* what, Site site) {
    Reduced mine{value, kind, is_signed};
    warp_rendezvous(
        mask, &mine,
        [](void* const* lanes, std::uint32_t members) {
            const auto& first = *static_cast<Reduced*>(lanes[std::countr_zero(members)]);
            // Flipping the sign bit makes unsigned order the order of signed numbers.
            const std::uint32_t flip = first.is_signed ? 0x80000000u : 0;
            std::uint32_t result = first.value;
            for (unsigned i = static_cast<unsigned>(std::countr_zero(members)) + 1; i < 32; ++i) {
                if (!(members & (1u << i))) {
                    continue;
                }
                const std::uint32_t next = static_cast<Reduced*>(lanes[i])->value;
                switch (first.kind) {
                case Reduction::add:
                    result += next;
                    break;
                case Reduction::minimum:
                    result = (next ^ flip) < (result ^ flip) ? next : result;
                    break;
                case Reduction::maximum:
                    result = (next ^ flip) > (result ^ flip) ? next : result;
                    break;
                case Reduction::bit_and:
                    result &= next;
                    break;
                case Reduction::bit_or:
                    result |= next;
                    break;
                case Reduction::bit_xor:
                    result ^= next;
                    break;
                }
            }
            for (unsigned i = 0; i < 32; ++i) {
                if (members & (1u << i)) {
                    static_cast<Reduced*>(lanes[i])->value = result;
                }
            }
        },
        what, site);
    return mine.value;
}

} // namespace simt
