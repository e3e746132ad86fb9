#include "host/evaluate/metric_lines.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

namespace patchforge {

std::string content_hash(std::span<const std::byte> bytes) {
    std::uint64_t hash = 14695981039346656037u;
    for (const std::byte byte : bytes) {
        hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211u;
    }
    return fmt::format("fnv1a64:{:016x}", hash);
}

std::string utc_now() {
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

std::string metric_line(const MetricResult& result) {
    nlohmann::ordered_json results = nlohmann::ordered_json::object();
    for (const auto& [name, value] : result.results) {
        results[name] = value; // nlohmann writes a number that is not finite as null
    }
    const nlohmann::ordered_json line{
        {"results", std::move(results)},
        {"metric", result.metric},
        {"total_time", result.total_time},
        {"extractor", {{"name", result.extractor.name}, {"hash", result.extractor.hash}}},
        {"n_generated", result.n_generated},
        {"n_reference", result.n_reference},
        {"seed", result.seed},
        {"timestamp", result.timestamp}};
    return line.dump();
}

void append_metric_line(const std::filesystem::path& folder, const MetricResult& result) {
    std::filesystem::create_directories(folder);
    const auto path = folder / ("metric-" + result.metric + ".jsonl");
    const std::string line = metric_line(result) + "\n";
    // One write in append mode: a reader or a second writer never sees half a line.
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const bool written =
        file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    const int reason = errno;
    if (file >= 0) {
        close(file);
    }
    if (!written) {
        throw std::runtime_error(fmt::format("{}: {}; free some space or choose another folder",
                                             path.string(), std::strerror(reason)));
    }
}

std::string metric_table(std::span<const MetricResult> results) {
    std::size_t extractor_width = 9, metric_width = 6;
    for (const MetricResult& result : results) {
        extractor_width = std::max(extractor_width, result.extractor.name.size());
        for (const auto& [name, value] : result.results) {
            metric_width = std::max(metric_width, name.size());
        }
    }
    std::string table =
        fmt::format("{:<{}}  {:<{}}  {:>12}  {:>11}  {:>11}\n", "extractor", extractor_width,
                    "metric", metric_width, "value", "n generated", "n reference");
    for (const MetricResult& result : results) {
        for (const auto& [name, value] : result.results) {
            table += fmt::format("{:<{}}  {:<{}}  {:>12.6g}  {:>11}  {:>11}\n",
                                 result.extractor.name, extractor_width, name, metric_width, value,
                                 result.n_generated, result.n_reference);
        }
    }
    return table;
}

} // namespace patchforge
