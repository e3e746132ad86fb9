#include "host/ranks/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "host/ranks/device_exchange.h"
#include "host/ranks/host_exchange.h"

namespace patchforge {

namespace {

// What a rank computes on, as the first one is told: the lines of a message.
struct Device {
    std::string rank;     // for people
    std::string name;     // "cuda:0"
    std::string identity; // of its GPU; empty: it is none
    std::string nccl;     // its version; empty: no GPU

    std::string message() const {
        return fmt::format("{}\n{}\n{}\n{}", rank, name, identity, nccl);
    }
    static Device of(const std::vector<std::byte>& message) {
        std::string text = text_of(message);
        Device device;
        for (std::string* line : {&device.rank, &device.name, &device.identity, &device.nccl}) {
            const std::size_t end = std::min(text.find('\n'), text.size());
            *line = text.substr(0, end);
            text.erase(0, end + 1);
        }
        return device;
    }
};

// Of two ranks. A rank that stands alone would wait for others that never come.
void check(const Device& first, const Device& other) {
    if (first.identity.empty() != other.identity.empty()) {
        throw std::runtime_error(
            fmt::format("--device: {} works on {} and {} on {}; give --device cpu, or each rank a "
                        "GPU",
                        first.rank, first.name, other.rank, other.name));
    }
    if (!first.identity.empty() && first.identity == other.identity) {
        throw std::runtime_error(
            fmt::format("--device: {} and {} have the same GPU ({} and {}); start as many ranks as "
                        "there are GPUs on a machine, and leave --device at auto",
                        first.rank, other.rank, first.name, other.name));
    }
    if (first.nccl != other.nccl) {
        throw std::runtime_error(
            fmt::format("{} has NCCL {} and {} has {}; install one version on every machine",
                        first.rank, first.nccl, other.rank, other.nccl));
    }
}

// The first rank hears of all and answers with what they meet by: nothing on CPUs.
std::vector<std::byte> agree(Backend& backend, Ranks& ranks) {
    Device own{ranks.name(), backend.name(), gpu_identity(backend), ""};
    own.nccl = own.identity.empty() ? "" : nccl_version();
    if (ranks.rank() > 0) {
        send_now(ranks, bytes_of(own.message()), 0, Tag::gather);
        return receive_now(ranks, 0, Tag::command);
    }
    std::vector<Device> devices = {own};
    for (int rank = 1; rank < ranks.size(); ++rank) {
        devices.push_back(Device::of(receive_now(ranks, rank, Tag::gather)));
        for (int before = 0; before < rank; ++before) {
            check(devices[static_cast<std::size_t>(before)], devices.back());
        }
    }
    const std::vector<std::byte> id =
        own.identity.empty() ? std::vector<std::byte>{} : make_communicator_id();
    for (int rank = 1; rank < ranks.size(); ++rank) {
        send_now(ranks, id, rank, Tag::command);
    }
    return id;
}

// Whom a rank has messages with, whatever the batch.
std::vector<int> peers_of(int rank, const ShardTree& tree) {
    std::set<int> peers;
    for (int filled = 1; filled <= tree.shards(); ++filled) {
        for (const bool rightwards : {false, true}) {
            for (const ShardTree::Step& step : tree.plan(rank, filled, rightwards).steps) {
                if (step.peer >= 0) {
                    peers.insert(step.peer);
                }
            }
        }
    }
    return {peers.begin(), peers.end()};
}

// Communicators wait as others do who wait for ranks.
std::function<void(bool first)> waiting(Ranks& ranks) {
    return [&ranks, wait = std::shared_ptr<RankWait>(), pauses = 0](bool first) mutable {
        if (first) {
            wait = std::make_shared<RankWait>(ranks);
            pauses = 0;
        }
        wait->pause(pauses++ < 1000 ? 0 : 50); // us
    };
}

} // namespace

void agree_on_devices(Backend& backend, Ranks& ranks) {
    agree(backend, ranks);
}

std::unique_ptr<Exchange> make_exchange(Backend& backend, Ranks* ranks, const ShardTree& tree,
                                        std::int64_t room) {
    if (!ranks || ranks->size() == 1) {
        return nullptr;
    }
    Communicator* communicator = communicator_of(backend);
    if (!communicator) {
        const std::vector<std::byte> id = agree(backend, *ranks);
        if (backend.reads_host_memory()) {
            return std::make_unique<HostExchange>(*ranks, room);
        }
        communicator =
            &join_communicator(backend, {ranks->rank(), ranks->size(), id,
                                         peers_of(ranks->rank(), tree), waiting(*ranks)});
    }
    return std::make_unique<DeviceExchange>(backend, *communicator, room);
}

} // namespace patchforge
