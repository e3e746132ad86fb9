#include "tests/simt/runtime/device_memory.h"

#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/checker.h"
#include "tests/simt/runtime/poison.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {

namespace {

constexpr std::size_t guard = 256; // also the alignment that cudaMalloc promises

std::map<const std::byte*, Allocation>& allocations() {
    static std::map<const std::byte*, Allocation> map;
    return map;
}
std::size_t total_bytes = 0;

std::size_t rounded(std::size_t bytes) {
    return (bytes + guard - 1) / guard * guard;
}

} // namespace

void* allocate(std::size_t bytes, MemoryKind kind) {
    if (bytes > device_bytes || total_bytes + bytes > device_bytes) {
        return nullptr;
    }
    const std::size_t whole = rounded(bytes) + 2 * guard;
    auto* block = static_cast<std::byte*>(std::aligned_alloc(guard, whole));
    if (!block) {
        return nullptr;
    }
    poison(block, whole);
    std::byte* start = block + guard;
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(block, guard);
    __asan_poison_memory_region(start + bytes, whole - guard - bytes);
#endif
    int device = 0;
    cudaGetDevice(&device);
    allocations()[start] = {start, bytes, kind, device};
    total_bytes += bytes;
    if (checker) {
        checker->allocated(start, bytes);
        if (kind == MemoryKind::pinned) {
            checker->written_by_host(start, bytes);
        }
    }
    return start;
}

bool release(void* pointer, MemoryKind kind) {
    const auto found = allocations().find(static_cast<std::byte*>(pointer));
    if (found == allocations().end() || found->second.kind != kind) {
        return false;
    }
    const Allocation gone = found->second;
    allocations().erase(found);
    total_bytes -= gone.bytes;
    if (checker) {
        checker->freed(pointer);
    }
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(gone.start - guard, rounded(gone.bytes) + 2 * guard);
#endif
    std::free(gone.start - guard);
    return true;
}

const Allocation* allocation_of(const void* pointer, std::size_t bytes) {
    const auto* address = static_cast<const std::byte*>(pointer);
    auto after = allocations().upper_bound(address);
    if (after == allocations().begin()) {
        return nullptr;
    }
    const Allocation& candidate = std::prev(after)->second;
    return address + bytes <= candidate.start + candidate.bytes ? &candidate : nullptr;
}

const Allocation* nearest_allocation(const void* pointer) {
    const auto* address = static_cast<const std::byte*>(pointer);
    const Allocation* nearest = nullptr;
    std::size_t smallest = ~std::size_t{0};
    auto after = allocations().upper_bound(address);
    if (after != allocations().end()) {
        nearest = &after->second;
        smallest = static_cast<std::size_t>(nearest->start - address);
    }
    if (after != allocations().begin()) {
        const Allocation& before = std::prev(after)->second;
        const std::byte* end = before.start + before.bytes;
        if (address < end || static_cast<std::size_t>(address - end) < smallest) {
            nearest = &before;
        }
    }
    return nearest;
}

std::size_t allocated_bytes() {
    return total_bytes;
}

std::size_t live_allocations() {
    return allocations().size();
}

void check_guards([[maybe_unused]] const char* kernel) {
#if !defined(__SANITIZE_ADDRESS__) // which reports the write itself
    for (const auto& [start, allocation] : allocations()) {
        const std::byte* end = start + allocation.bytes;
        const std::byte* last = start + rounded(allocation.bytes) + guard;
        const std::byte* before = first_changed(start - guard, start);
        const std::byte* after = first_changed(end, last);
        if (before == start && after == last) {
            continue;
        }
        const std::ptrdiff_t offset = (before < start ? before : after) - start;
        restore_guards(); // the next kernel is not to blame
        throw Failure(
            Finding::out_of_bounds,
            fmt::format("kernel {}: out of bounds: wrote at byte {} of an allocation of {} "
                        "bytes; keep every index below the size",
                        kernel, offset, allocation.bytes));
    }
#endif
}

void restore_guards() {
#if !defined(__SANITIZE_ADDRESS__)
    for (const auto& [start, allocation] : allocations()) {
        poison(allocation.start - guard, guard);
        poison(allocation.start + allocation.bytes,
               rounded(allocation.bytes) - allocation.bytes + guard);
    }
#endif
}

} // namespace simt
