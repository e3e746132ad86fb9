// A linear map of rows as a list of its terms, so that its transpose is the same list.
#pragma once

#include "tests/oracle/matrix.h"

namespace patchforge::oracle {

struct LinearMap {
    struct Term {
        std::int64_t out, in;
        double weight;
    };
    std::int64_t outputs = 0, inputs = 0;
    std::vector<Term> terms;

    DoubleMatrix forward(const DoubleMatrix& x) const {
        DoubleMatrix y(x.rows, outputs);
        for (std::int64_t row = 0; row < x.rows; ++row) {
            for (const Term& term : terms) {
                y(row, term.out) += term.weight * x(row, term.in);
            }
        }
        return y;
    }
    DoubleMatrix transpose(const DoubleMatrix& dy) const {
        DoubleMatrix dx(dy.rows, inputs);
        for (std::int64_t row = 0; row < dy.rows; ++row) {
            for (const Term& term : terms) {
                dx(row, term.in) += term.weight * dy(row, term.out);
            }
        }
        return dx;
    }
};

} // namespace patchforge::oracle
