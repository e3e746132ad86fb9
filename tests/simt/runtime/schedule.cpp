#include "tests/simt/include/simt.h"
#include "tests/simt/runtime/checker.h"

#include <charconv>
#include <cstdlib>

namespace simt {

Checker* checker = nullptr;

bool checked() {
    return checker != nullptr;
}

namespace {

Schedule& chosen() {
    static Schedule schedule = [] {
        const char* text = std::getenv("PATCHFORGE_SIMT_SCHEDULE");
        return text && *text ? parse_schedule(text) : Schedule{};
    }();
    return schedule;
}

} // namespace

Schedule parse_schedule(const std::string& text) {
    if (text == "forward") {
        return {};
    }
    if (text == "reverse") {
        return {Schedule::Order::reverse, 0};
    }
    const std::string prefix = "random:";
    Schedule schedule{Schedule::Order::random, 0};
    const char* end = text.data() + text.size();
    if (text.starts_with(prefix)) {
        const auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, schedule.seed);
        if (error == std::errc() && stop == end) {
            return schedule;
        }
    }
    throw std::invalid_argument("PATCHFORGE_SIMT_SCHEDULE: unknown schedule '" + text +
                                "'; use forward, reverse or random:<seed>");
}

void set_schedule(Schedule schedule) {
    chosen() = schedule;
}

Schedule schedule() {
    return chosen();
}

const char* name_of(Finding finding) {
    switch (finding) {
    case Finding::divergent_barrier:
        return "divergent barrier";
    case Finding::deadlock:
        return "deadlock";
    case Finding::lane_mask:
        return "wrong lane mask";
    case Finding::misaligned:
        return "misaligned access";
    case Finding::out_of_bounds:
        return "out of bounds";
    case Finding::unwritten_read:
        return "read of memory never written";
    case Finding::race:
        return "race";
    case Finding::not_loaded:
        return "kernel not loaded";
    case Finding::overlap:
        return "overlap";
    case Finding::limit:
        return "limit";
    }
    return "?";
}

} // namespace simt
