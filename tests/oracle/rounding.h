// The operands of products in less than float32 (kernels/precision.h), by arithmetic on the number
// instead of on its bits.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/precision.h"
#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

// The largest relative error of an operand.
inline double rounding_error(Precision precision) {
    return precision == Precision::tf32 ? 0x1p-11 : precision == Precision::bf16 ? 0x1p-8 : 0;
}

// To 11 bits with ties away from zero, or to 8 with ties to even. Below 2^-126 float32, and with it
// both formats, has fewer bits.
inline double rounded(double value, Precision precision) {
    if (precision == Precision::float32) {
        return value;
    }
    int exponent = 0;
    std::frexp(value, &exponent);
    const int unit = std::max(exponent, -125) - (precision == Precision::tf32 ? 11 : 8);
    const double steps = std::ldexp(value, -unit);
    return std::ldexp(precision == Precision::tf32 ? std::round(steps) : std::nearbyint(steps),
                      unit);
}

// The operand of a product of `rows` rows.
inline DoubleMatrix rounded(DoubleMatrix operand, Precision precision, std::int64_t rows) {
    if (rows >= rounded_from_rows) {
        for (double& value : operand.values) {
            value = rounded(value, precision);
        }
    }
    return operand;
}

} // namespace patchforge::oracle
