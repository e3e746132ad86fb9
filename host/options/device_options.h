// Where a verb computes.
#pragma once

#include <memory>
#include <string>

#include "host/options/options.h"
#include "kernels/backend.h"

namespace patchforge {

struct DeviceOptions {
    std::string device = "auto"; // what make_backend takes
    BackendOptions backend;

    // Of several ranks on a machine each takes a GPU of its own, or its share of the cores, where the
    // options leave it open.
    std::unique_ptr<Backend> make() const;
};

void describe(Options& options, DeviceOptions& device);
// For verbs that only read or draw pictures.
void describe_threads(Options& options, int& threads);
// How products are worked out.
void describe_products(Options& options, BackendOptions& backend);

} // namespace patchforge
