// ld, st and atom.
#include "tests/ptx/memory.h"

#include "tests/simt/runtime/device_memory.h"

#include <fmt/format.h>

#include <cstring>
#include <type_traits>

namespace ptx {

namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

// What the lanes that run have in common: the lowest and highest address, and every bit that is set
// in any of them.
struct Span {
    u64 low = ~u64{0}, high = 0, bits = 0;
};
Span span_of(const Warp& warp, const Addresses& address) {
    Span span;
    if (warp.active == all_lanes) {
        for (unsigned l = 0; l < lanes; ++l) {
            span.low = address[l] < span.low ? address[l] : span.low;
            span.high = address[l] > span.high ? address[l] : span.high;
            span.bits |= address[l];
        }
    } else {
        for_active(warp, [&](unsigned l) {
            span.low = address[l] < span.low ? address[l] : span.low;
            span.high = address[l] > span.high ? address[l] : span.high;
            span.bits |= address[l];
        });
    }
    return span;
}

template <class Wrong>
Mask lanes_that(const Warp& warp, const Addresses& address, Wrong wrong) {
    Mask found = 0;
    for_active(warp, [&](unsigned l) { found |= Mask{wrong(address[l])} << l; });
    return found;
}

[[noreturn]] void fail_misaligned(const Warp& warp, const Instruction& i, const Addresses& address,
                                  u64 bytes, u64 alignment) {
    const Mask wrong = lanes_that(warp, address, [=](u64 a) { return a % alignment != 0; });
    fail(warp, i, simt::Finding::misaligned, wrong,
         fmt::format("address {:#x} of an access of {} bytes is not a multiple of {}",
                     address[static_cast<unsigned>(__builtin_ctz(wrong))], bytes, alignment));
}

// Addresses may be anything, so nothing is added to them that could pass the end of all numbers.
bool within(u64 address, u64 bytes, u64 start, u64 size) {
    return address >= start && bytes <= size && address - start <= size - bytes;
}

bool in_a_buffer(Launch& launch, u64 address, u64 bytes) {
    if (within(address, bytes, launch.buffer_start, launch.buffer_bytes)) {
        return true;
    }
    const auto* found =
        address <= ~bytes ? simt::allocation_of(in_device(address), bytes) : nullptr;
    if (found) {
        launch.buffer_start = reinterpret_cast<u64>(found->start);
        launch.buffer_bytes = found->bytes;
    }
    return found != nullptr;
}

[[noreturn]] void fail_outside(const Warp& warp, const Instruction& i, const Addresses& address,
                               u64 bytes) {
    Launch& launch = *warp.block->launch;
    const Mask wrong =
        lanes_that(warp, address, [&](u64 a) { return !in_a_buffer(launch, a, bytes); });
    const u64 first = address[static_cast<unsigned>(__builtin_ctz(wrong))];
    const auto* nearest = simt::nearest_allocation(in_device(first));
    const std::string where =
        nearest ? fmt::format(
                      "at byte {} of a buffer of {} bytes",
                      static_cast<std::ptrdiff_t>(first - reinterpret_cast<u64>(nearest->start)),
                      nearest->bytes)
                : fmt::format("at {:#x}, and there is no buffer", first);
    fail(warp, i, simt::Finding::out_of_bounds, wrong,
         fmt::format("an access of {} bytes {}; keep every index below the size", bytes, where));
}

enum class Space { shared, device, parameter };

template <Space space>
const std::byte* source(Warp& w, u64 address) {
    if constexpr (space == Space::shared) {
        return in_shared(w, address);
    } else if constexpr (space == Space::device) {
        return in_device(address);
    } else {
        return w.block->launch->parameters.data() + address;
    }
}

template <Space space>
void prepare(Warp& w, const Instruction& i, u64 bytes, Addresses& address) {
    address_lanes(w, i.a, i.number, space != Space::shared, address);
    if constexpr (space == Space::shared) {
        check_shared(w, i, address, bytes);
    } else if constexpr (space == Space::device) {
        check_device(w, i, address, bytes);
    } else {
        const Mask wrong = lanes_that(w, address, [&](u64 a) {
            return a % bytes != 0 || !within(a, bytes, 0, w.block->launch->parameters.size());
        });
        if (wrong) {
            fail(w, i, simt::Finding::out_of_bounds, wrong, "outside of the parameters");
        }
    }
}

// Whether the lanes' elements lie one behind the other.
bool consecutive(const Addresses& address, u64 bytes) {
    u64 other = 0;
    for (unsigned l = 0; l < lanes; ++l) {
        other |= address[l] ^ (address[0] + l * bytes);
    }
    return other == 0;
}

template <Space space, class T, class Register>
void load(Warp& w, const Instruction& i) {
    Addresses address;
    prepare<space>(w, i, sizeof(T), address);
    Register* d = w.at<Register>(i.d);
    if (sizeof(T) == sizeof(Register) && w.active == all_lanes && consecutive(address, sizeof(T))) {
        std::memcpy(d, source<space>(w, address[0]), lanes * sizeof(T));
        return;
    }
    for_active(w, [&](unsigned l) {
        T value;
        std::memcpy(&value, source<space>(w, address[l]), sizeof value);
        d[l] = static_cast<Register>(value);
    });
}

template <Space space, class T, class Register, unsigned count>
void load_vector(Warp& w, const Instruction& i) {
    Addresses address;
    prepare<space>(w, i, sizeof(T) * count, address);
    Register* d[count];
    for (unsigned n = 0; n < count; ++n) {
        d[n] = w.further<Register>(i, n);
    }
    for_active(w, [&](unsigned l) {
        T value[count];
        std::memcpy(value, source<space>(w, address[l]), sizeof value);
        for (unsigned n = 0; n < count; ++n) {
            d[n][l] = static_cast<Register>(value[n]);
        }
    });
}

template <Space space>
std::byte* target(Warp& w, u64 address) {
    return space == Space::shared ? in_shared(w, address) : in_device(address);
}

template <Space space, class T, class Register>
void store(Warp& w, const Instruction& i) {
    Addresses address;
    prepare<space>(w, i, sizeof(T), address);
    const Register* b = w.at<Register>(i.b);
    if (sizeof(T) == sizeof(Register) && w.active == all_lanes && consecutive(address, sizeof(T))) {
        std::memcpy(target<space>(w, address[0]), b, lanes * sizeof(T));
        return;
    }
    for_active(w, [&](unsigned l) {
        const T value = static_cast<T>(b[l]);
        std::memcpy(target<space>(w, address[l]), &value, sizeof value);
    });
}

template <Space space, class T, class Register, unsigned count>
void store_vector(Warp& w, const Instruction& i) {
    Addresses address;
    prepare<space>(w, i, sizeof(T) * count, address);
    const Register* b[count];
    for (unsigned n = 0; n < count; ++n) {
        b[n] = w.further<Register>(i, n);
    }
    for_active(w, [&](unsigned l) {
        T value[count];
        for (unsigned n = 0; n < count; ++n) {
            value[n] = static_cast<T>(b[n][l]);
        }
        std::memcpy(target<space>(w, address[l]), value, sizeof value);
    });
}

void add_atomically(Warp& w, const Instruction& i) {
    Addresses address;
    prepare<Space::device>(w, i, sizeof(u32), address);
    const u32* b = w.at<u32>(i.b);
    u32* d = w.at<u32>(i.d);
    for_active(w, [&](unsigned l) {
        u32 value;
        std::memcpy(&value, in_device(address[l]), sizeof value);
        const u32 changed = value + b[l];
        std::memcpy(in_device(address[l]), &changed, sizeof changed);
        d[l] = value;
    });
}

// T in memory; in a register of letter r, which may be wider: then the sign or zeros fill it.
template <Space space, class T, class Register>
void add_accesses(std::vector<Form>& forms, const std::string& before, const std::string& type,
                  const std::string& letter, const std::string& r) {
    const auto form = [&](const char* operation, const char* count, const std::string& operands,
                          Run run) {
        forms.push_back({operation + before + count + type, operands, run});
    };
    form("ld", "", "=" + r + " " + letter, load<space, T, Register>);
    form("ld", ".v2", "=" + r + "2 " + letter, load_vector<space, T, Register, 2>);
    if (sizeof(T) < 8) {
        form("ld", ".v4", "=" + r + "4 " + letter, load_vector<space, T, Register, 4>);
    }
    if constexpr (space != Space::parameter) {
        form("st", "", letter + " " + r, store<space, T, Register>);
        form("st", ".v2", letter + " " + r + "2", store_vector<space, T, Register, 2>);
        if (sizeof(T) < 8) {
            form("st", ".v4", letter + " " + r + "4", store_vector<space, T, Register, 4>);
        }
    }
}

template <Space space>
void add_space(std::vector<Form>& forms, const std::string& before, const std::string& letter) {
    for (const char* kind : {".u", ".b"}) {
        const std::string k = kind;
        add_accesses<space, std::uint8_t, std::uint16_t>(forms, before, k + "8", letter, "h");
        add_accesses<space, std::uint8_t, u32>(forms, before, k + "8", letter, "w");
        add_accesses<space, std::uint16_t, std::uint16_t>(forms, before, k + "16", letter, "h");
        add_accesses<space, u32, u32>(forms, before, k + "32", letter, "w");
        add_accesses<space, u64, u64>(forms, before, k + "64", letter, "l");
        add_accesses<space, u32, u64>(forms, before, k + "32", letter, "l");
    }
    add_accesses<space, std::int32_t, std::int64_t>(forms, before, ".s32", letter, "l");
    add_accesses<space, std::int8_t, std::int16_t>(forms, before, ".s8", letter, "h");
    add_accesses<space, std::int8_t, std::int32_t>(forms, before, ".s8", letter, "w");
    add_accesses<space, std::int16_t, std::int16_t>(forms, before, ".s16", letter, "h");
    add_accesses<space, u32, u32>(forms, before, ".s32", letter, "w");
    add_accesses<space, u32, u32>(forms, before, ".f32", letter, "w");
    add_accesses<space, u64, u64>(forms, before, ".s64", letter, "l");
    add_accesses<space, u64, u64>(forms, before, ".f64", letter, "l");
}

} // namespace

void check_device(Warp& warp, const Instruction& i, const Addresses& address, u64 bytes,
                  u64 alignment) {
    Launch& launch = *warp.block->launch;
    if (launch.must_wait && (warp.active & ~warp.waited)) {
        fail(warp, i, simt::Finding::overlap, warp.active & ~warp.waited,
             "device memory is touched before griddepcontrol.wait, while the kernel before may "
             "still run");
    }
    if (warp.active == 0) {
        return;
    }
    alignment = alignment ? alignment : bytes;
    const Span span = span_of(warp, address);
    if (span.bits % alignment != 0) {
        fail_misaligned(warp, i, address, bytes, alignment);
    }
    if (span.low >= launch.buffer_start &&
        within(span.high, bytes, launch.buffer_start, launch.buffer_bytes)) {
        return;
    }
    if (lanes_that(warp, address, [&](u64 a) { return !in_a_buffer(launch, a, bytes); })) {
        fail_outside(warp, i, address, bytes);
    }
}

void check_shared(Warp& warp, const Instruction& i, const Addresses& address, u64 bytes) {
    if (warp.active == 0) {
        return;
    }
    const Span span = span_of(warp, address);
    if (span.bits % bytes != 0) {
        fail_misaligned(warp, i, address, bytes, bytes);
    }
    const u64 size = warp.block->shared_bytes;
    if (span.low >= shared_window && within(span.high, bytes, shared_window, size)) {
        return;
    }
    const Mask wrong =
        lanes_that(warp, address, [=](u64 a) { return !within(a, bytes, shared_window, size); });
    const u64 first = address[static_cast<unsigned>(__builtin_ctz(wrong))];
    fail(warp, i, simt::Finding::out_of_bounds, wrong,
         fmt::format("an access of {} bytes at byte {} of {} bytes of shared memory", bytes,
                     static_cast<std::int64_t>(first - shared_window), size));
}

std::vector<Form> memory_forms() {
    std::vector<Form> forms;
    // Hints about caches, and volatile, change nothing where every access is done at once.
    for (const char* hint : {"", ".cg", ".cs"}) {
        add_space<Space::device>(forms, std::string(".global") + hint, "g");
    }
    add_space<Space::device>(forms, ".volatile.global", "g");
    add_space<Space::shared>(forms, ".shared", "s");
    add_space<Space::parameter>(forms, ".param", "c");
    forms.push_back({"atom.global.add.u32", "=w g w", add_atomically});
    return forms;
}

} // namespace ptx
