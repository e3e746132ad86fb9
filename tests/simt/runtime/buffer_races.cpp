#include "tests/simt/runtime/buffer_races.h"

namespace simt {

void BufferRaces::launch_started() {
    first_ += static_cast<std::uint32_t>(records_.size());
    records_.clear();
}

std::uint32_t BufferRaces::place_of(const Record& record) {
    const auto address = reinterpret_cast<std::uintptr_t>(record.pc);
    std::uint32_t& recent = recent_[(address ^ (address >> 6)) % recent_size];
    const Record* known = at(recent);
    if (!known || !(*known == record)) {
        recent = first_ + static_cast<std::uint32_t>(records_.size());
        records_.push_back(record);
    }
    return recent;
}

} // namespace simt
