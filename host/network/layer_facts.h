// What each layer of a network is, gives, holds and costs: a network as a table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/network/network_shape.h"

namespace patchforge {

struct LayerFacts {
    std::string text; // its words, with all that follows it
    Extent out;
    std::int64_t parameters = 0; // that are trained
    double operations =
        0; // of its products for one row, a multiply-add counted as two; 0: it has none

    std::string gives() const; // "16x25x25"; of flat values "256"
};

// Of every layer, in their order.
std::vector<LayerFacts> layer_facts(const NetworkShape& shape);

} // namespace patchforge
