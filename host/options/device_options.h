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

    std::unique_ptr<Backend> make() const { return make_backend(device, backend); }
};

void describe(Options& options, DeviceOptions& device);
// For verbs that only read or draw pictures.
void describe_threads(Options& options, int& threads);
// How products are worked out.
void describe_products(Options& options, BackendOptions& backend);

} // namespace patchforge
