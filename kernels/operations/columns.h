// Parts of rows: what conditional networks and layers with two inputs are put together from.
#pragma once

#include "kernels/views.h"

namespace patchforge {

struct ColumnOperations {
    virtual ~ColumnOperations() = default;

    // to[r, to_first + c] = from[r, from_first + c] for c in [0, count); as many rows in both.
    virtual void copy_columns(Matrix<float> to, std::int64_t to_first, Matrix<const float> from,
                              std::int64_t from_first, std::int64_t count) = 0;

    // to[r, first + c] = (label[r] == c) for c in [0, classes). A label outside gives zeros.
    virtual void one_hot(Matrix<float> to, std::int64_t first, std::int64_t classes,
                         Vector<const std::int32_t> label) = 0;
};

} // namespace patchforge
