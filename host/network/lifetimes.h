// Where values lie in one piece of memory when it is known from which step to which each of them lives.
#pragma once

#include <cstdint>
#include <vector>

namespace patchforge {

struct Lifetime {
    std::int64_t size = 0;  // floats
    std::int64_t first = 0; // the step that writes it
    std::int64_t last = 0;  // and the last one that reads it

    bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

struct MemoryPlan {
    std::vector<std::int64_t> offsets; // of each value, a multiple of 64
    std::int64_t size = 0;
    std::int64_t apart = 0; // the size if each had a place of its own
};

// Values that live at the same step share nothing; others may. The largest are placed first, each in
// the narrowest gap that it fits into, which for a chain of equal values is two of them.
MemoryPlan plan_memory(const std::vector<Lifetime>& values);

} // namespace patchforge
