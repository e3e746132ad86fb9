#include "tests/ptx/engine.h"

#include "tests/ptx/decode.h"
#include "tests/ptx/launch.h"
#include "tests/simt/runtime/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <mutex>

namespace ptx {

namespace {

Executed total;

double processor_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void check_arguments(const Kernel& kernel, const std::vector<simt::KernelArgument>& arguments) {
    const auto refuse = [&](const std::string& what) {
        throw simt::Failure(
            simt::Finding::limit,
            fmt::format("{}: kernel {}: {}", kernel.module->path, kernel.name, what));
    };
    const auto& parameters = kernel.entry->parameters;
    if (parameters.size() != arguments.size()) {
        refuse(fmt::format("the PTX has {} parameters, the launch {} arguments", parameters.size(),
                           arguments.size()));
    }
    for (std::size_t n = 0; n < parameters.size(); ++n) {
        const auto& parameter = parameters[n];
        const auto& argument = arguments[n];
        if (parameter.bytes != argument.size || parameter.alignment != argument.alignment) {
            refuse(fmt::format(
                "parameter {} has {} bytes aligned to {} in the PTX, {} aligned to {} "
                "where it is launched",
                n, parameter.bytes, parameter.alignment, argument.size, argument.alignment));
        }
    }
}

} // namespace

Library::Library(const std::string& folder) {
    std::vector<std::string> paths;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
        if (file.path().extension() == ".ptx") {
            paths.push_back(file.path().string());
        }
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) {
        throw TextError(folder + ": holds no .ptx file");
    }
    for (const std::string& path : paths) {
        modules_.push_back(read_module(path));
        add(*modules_.back());
    }
}

Library::Library(std::vector<std::unique_ptr<Module>> modules) : modules_(std::move(modules)) {
    for (const auto& module : modules_) {
        add(*module);
    }
}

void Library::add(const Module& module) {
    for (const Entry& entry : module.entries) {
        const auto [found, fresh] =
            entries_.try_emplace(host_name(entry.name), Held{&module, &entry, std::nullopt});
        // A template's instance may stand in several files, as in C++; they are the same.
        if (!fresh && host_name(entry.name) != entry.name) {
            throw TextError(fmt::format("{} and {} both have a kernel {}; if the source of one is "
                                        "gone, remove the file",
                                        module.path, found->second.module->path,
                                        readable_name(found->first)));
        }
    }
}

const Kernel* Library::find(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return nullptr;
    }
    Held& held = found->second;
    if (!held.kernel) {
        held.kernel = decode(*held.module, *held.entry);
    }
    return &*held.kernel;
}

std::vector<std::string> Library::unused() const {
    std::vector<std::string> names;
    for (const auto& [name, held] : entries_) {
        if (!held.kernel) {
            names.push_back(name);
        }
    }
    return names;
}

std::string host_name(std::string_view device_name) {
    // 39_GLOBAL__N__e9044809_7_adam_cu_1cfaf06f: a length, then so many letters.
    constexpr std::string_view device = "_GLOBAL__N__";
    const auto at = device_name.find(device);
    if (at == std::string_view::npos) {
        return std::string(device_name);
    }
    const auto digits = device_name.find_last_not_of("0123456789", at - 1) + 1;
    std::size_t length = 0;
    std::from_chars(device_name.data() + digits, device_name.data() + at, length);
    return fmt::format("{}12_GLOBAL__N_1{}", device_name.substr(0, digits),
                       device_name.substr(std::min(at + length, device_name.size())));
}

void launch(const Kernel& kernel, const simt::LaunchGeometry& geometry,
            const std::vector<simt::KernelArgument>& arguments) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    simt::check_limits(geometry);
    check_arguments(kernel, arguments);
    if (geometry.block > kernel.entry->most_threads) {
        throw simt::Failure(simt::Finding::limit,
                            fmt::format("kernel {}: {} threads a block; it was compiled for {}",
                                        kernel.name, geometry.block, kernel.entry->most_threads));
    }
    Launch run_of;
    run_of.kernel = &kernel;
    run_of.geometry = geometry;
    run_of.must_wait =
        kernel.waits_for_predecessor || (geometry.overlaps && kernel.module->target >= 90);
    run_of.parameters.resize(kernel.entry->parameter_bytes);
    for (std::size_t n = 0; n < arguments.size(); ++n) {
        std::memcpy(run_of.parameters.data() + kernel.entry->parameters[n].offset,
                    arguments[n].bytes, arguments[n].size);
    }
    const double start = processor_seconds();
    run(run_of);
    total.instructions += run_of.executed;
    total.seconds += processor_seconds() - start;
}

Executed executed() {
    return total;
}

} // namespace ptx
