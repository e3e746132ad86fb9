// The allocations of the pretended device, each between guard words.
#pragma once

#include <cstddef>

namespace simt {

enum class MemoryKind { device, pinned };

struct Allocation {
    std::byte* start = nullptr;
    std::size_t bytes = 0;
    MemoryKind kind = MemoryKind::device;
    int device = 0; // that of the thread that asked for it
};

constexpr std::size_t device_bytes = std::size_t{16} << 30;

// Null when the device is full.
void* allocate(std::size_t bytes, MemoryKind kind);
// False if `pointer` is not the start of a live allocation of that kind.
bool release(void* pointer, MemoryKind kind);
// The live allocation that holds [pointer, pointer + bytes); null if none does.
const Allocation* allocation_of(const void* pointer, std::size_t bytes);
// The one that ends or starts next to `pointer`; null if there is none at all.
const Allocation* nearest_allocation(const void* pointer);
std::size_t allocated_bytes();

// Throws a Failure if a guard word of any allocation has changed.
void check_guards(const char* kernel);
// Makes all guard words what they should be, after a kernel that has failed anyway.
void restore_guards();

} // namespace simt
