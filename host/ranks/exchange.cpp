#include "host/ranks/exchange.h"

#include <stdexcept>

#include "host/ranks/host_exchange.h"
#include "kernels/backend.h"

namespace patchforge {

std::unique_ptr<Exchange> make_exchange(Backend& backend, Ranks* ranks, std::int64_t room) {
    if (!ranks || ranks->size() == 1) {
        return nullptr;
    }
    if (backend.reads_host_memory()) {
        return std::make_unique<HostExchange>(*ranks, room);
    }
    throw std::runtime_error("--device " + backend.name() +
                             ": several ranks on GPUs need NCCL, which this program was built "
                             "without; give --device cpu");
}

} // namespace patchforge
