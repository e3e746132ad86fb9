// Euclidean distances between the rows of two feature matrices.
#pragma once

#include "host/numerics/features.h"

#include <functional>

namespace patchforge {

// Squared distances between rows row … row + rows - 1 of one set and rows column … column +
// columns - 1 of another: squared[i * columns + j].
struct DistanceTile {
    std::int64_t row, rows;
    std::int64_t column, columns;
    const double* squared;
};

// All squared distances between `a` (rows) and `b` (columns), as |u|^2 - 2uv + |v|^2 by float64
// matrix products over fixed tiles. Where that difference loses its digits (below 1e-8 of the
// norms) the distance is computed again from the differences of the numbers, so copies are at
// distance 0. The tiles of one row come one after the other, in the order of their columns, and in
// one thread; different rows may come at the same time.
void for_each_distance_tile(const Features& a, const Features& b, int threads,
                            const std::function<void(const DistanceTile&)>& work);

// radius[i] = squared distance from row i to its k-th nearest other row of the same set.
// Throws std::invalid_argument unless 1 <= k < count.
std::vector<double> squared_radii(const Features& features, std::int64_t k, int threads);

struct Neighbour {
    std::int64_t index = -1;
    double distance = 0; // not squared
};

// For each row of `queries` the nearest row of `among`; the lowest index of several equally near. Where
// `own` is given the queries are the rows of `among` from there on, and no row is its own neighbour.
std::vector<Neighbour> nearest_neighbours(const Features& queries, const Features& among,
                                          int threads, std::int64_t own = -1);

} // namespace patchforge
