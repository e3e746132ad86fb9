#include "host/numerics/mann_whitney.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace patchforge {

MannWhitney mann_whitney(std::span<const double> a, std::span<const double> b) {
    if (a.empty() || b.empty()) {
        throw std::invalid_argument("rank test: one sample is empty; give both");
    }
    struct Value {
        double value;
        bool from_a;
    };
    std::vector<Value> values;
    for (const double value : a) {
        values.push_back({value, true});
    }
    for (const double value : b) {
        values.push_back({value, false});
    }
    std::sort(values.begin(), values.end(),
              [](const Value& x, const Value& y) { return x.value < y.value; });
    const double m = static_cast<double>(a.size()), n = static_cast<double>(b.size());
    MannWhitney result;
    double b_below = 0, ties = 0; // ties: sum of t^3 - t over groups of t equal values
    for (std::size_t begin = 0; begin < values.size();) {
        std::size_t end = begin;
        double a_here = 0;
        for (; end < values.size() && values[end].value == values[begin].value; ++end) {
            a_here += values[end].from_a;
        }
        const double group = static_cast<double>(end - begin), b_here = group - a_here;
        result.u += a_here * (b_below + b_here / 2);
        b_below += b_here;
        ties += group * group * group - group;
        begin = end;
    }
    const double both = m + n;
    const double variance = m * n / 12 * (both + 1 - ties / (both * std::max(1.0, both - 1)));
    result.z = variance > 0 ? (result.u - m * n / 2) / std::sqrt(variance) : 0;
    return result;
}

} // namespace patchforge
