// Holds what kernels declare at their launches to what they touch when they run.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/launch_trace.h"

namespace patchforge::testing {

// Bytes below which a kernel's declaration may leave out what is small: a step number, a learning
// rate, a row of statistics.
constexpr double smallest_judged = 10e3;

// What only the device knows decides how much these touch, rows that have an index, columns that are
// alive at once or pixels that stay in the picture: they declare all of it.
inline bool declares_at_most(const std::string& kernel) {
    return kernel == "select_rows" || kernel == "place_rows" || kernel == "count_dead_columns" ||
           kernel.starts_with("translate") || kernel == "cutout";
}

// Fails for every kernel of `kernels` that declares more or less than it touches by over 2 %, and
// if their sum does by over 1 %. One message a kernel, however often it ran.
inline void expect_declared(const std::vector<KernelTraffic>& kernels) {
    ASSERT_FALSE(kernels.empty());
    const auto wrong = [](double declared, double counted, double share) {
        return !(std::fabs(declared - counted) <= share * counted);
    };
    double declared = 0;
    double counted = 0;
    std::map<std::string, int> told;
    for (const KernelTraffic& kernel : kernels) {
        if (declares_at_most(kernel.name)) {
            EXPECT_LE(kernel.bytes(), 1.02 * kernel.declared) << kernel.name;
            continue;
        }
        declared += kernel.declared;
        counted += kernel.bytes();
        if (!(kernel.declared <= smallest_judged && kernel.bytes() <= smallest_judged) &&
            wrong(kernel.declared, kernel.bytes(), 0.02) && told[kernel.name]++ == 0) {
            ADD_FAILURE() << kernel.name << " declares " << kernel.declared << " bytes, reads "
                          << kernel.read << " and writes " << kernel.written;
        }
    }
    EXPECT_FALSE(counted > smallest_judged && wrong(declared, counted, 0.01))
        << declared << " declared, " << counted << " touched";
}

} // namespace patchforge::testing
