#include "host/evaluate/metric_lines.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/mapped_file.h"
#include "data/new_files.h"
#include "host/files/json_file.h"

namespace patchforge {

namespace {

// Null where a line cannot be read.
Json parsed(const std::string& line) {
    try {
        return Json::parse(line);
    } catch (const JsonError&) {
        return {};
    }
}

std::optional<std::int64_t> step_of(const Json& line) {
    const Json* step = line.find("step");
    return step && step->is_integer() ? std::optional(step->integer()) : std::nullopt;
}

} // namespace

std::string content_hash(std::span<const std::byte> bytes) {
    std::uint64_t hash = 14695981039346656037u;
    for (const std::byte byte : bytes) {
        hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211u;
    }
    return fmt::format("fnv1a64:{:016x}", hash);
}

std::string file_fingerprint(const std::filesystem::path& file) {
    const MappedFile mapped(file);
    return content_hash(std::as_bytes(mapped.bytes()));
}

void append_score(std::vector<std::pair<std::string, double>>& results, const std::string& name,
                  double value, const Interval& interval) {
    results.insert(results.end(),
                   {{name, value}, {name + "_low", interval.low}, {name + "_high", interval.high}});
}

std::string score_text(double value, const Interval& interval) {
    return fmt::format("{:.3f} [{:.3f}, {:.3f}]", value, interval.low, interval.high);
}

std::string utc_now() {
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

Json metric_json(const MetricResult& result) {
    Json results = Json::object();
    for (const auto& [name, value] : result.results) {
        results[name] = value;
    }
    Json line{{"results", std::move(results)},
              {"metric", result.metric},
              {"total_time", result.total_time},
              {"extractor", {{"name", result.extractor.name}, {"hash", result.extractor.hash}}},
              {"n_generated", result.n_generated},
              {"n_reference", result.n_reference},
              {"seed", result.seed},
              {"timestamp", result.timestamp}};
    const auto say = [&line](const char* name, const std::string& text) {
        if (!text.empty()) {
            line[name] = text;
        }
    };
    say("generated", result.generated);
    say("generated_hash", result.generated_hash);
    if (result.step) {
        line["step"] = *result.step;
    }
    say("compared", result.compared);
    say("class", result.of_class);
    return line;
}

std::string metric_line(const MetricResult& result) {
    return metric_json(result).dump();
}

std::string metric_file(const MetricResult& result) {
    return "metric-" + result.metric + (result.compared.empty() ? "" : "-compared") +
           (result.of_class.empty() ? "" : "-classes") + ".jsonl";
}

void append_metric_line(const std::filesystem::path& folder, const MetricResult& result) {
    std::filesystem::create_directories(folder);
    const auto path = folder / metric_file(result);
    const std::string line = metric_line(result) + "\n";
    tell_new_file(path);
    // One write in append mode: a reader or a second writer never sees half a line.
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const bool written =
        file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
        fsync(file) == 0;
    const int reason = errno;
    if (file >= 0) {
        close(file);
    }
    if (!written) {
        throw std::runtime_error(fmt::format("{}: {}; free some space or choose another folder",
                                             path.string(), std::strerror(reason)));
    }
}

std::vector<MetricResult> read_metric_steps(const std::filesystem::path& folder,
                                            const std::string& metric) {
    std::vector<MetricResult> results;
    const std::filesystem::path path = folder / metric_file({.metric = metric});
    const auto read = [&](const std::string& text) {
        const Json line = parsed(text);
        const std::optional<std::int64_t> step = step_of(line);
        if (!step) {
            return;
        }
        MetricResult result{.metric = metric, .step = step};
        const Json values = line.value("results", Json::object());
        for (const auto& [name, value] : values.members()) {
            result.results.emplace_back(name, value.is_number()
                                                  ? value.number()
                                                  : std::numeric_limits<double>::quiet_NaN());
        }
        const Json extractor = line.value("extractor", Json::object());
        result.extractor = {extractor.value("name", "").string(),
                            extractor.value("hash", "").string()};
        result.total_time = line.value("total_time", 0).number();
        result.n_generated = line.value("n_generated", 0).integer();
        result.n_reference = line.value("n_reference", 0).integer();
        result.seed = line.value("seed", 0).natural();
        result.timestamp = line.value("timestamp", "").string();
        results.push_back(std::move(result));
    };
    for (const std::string& text : whole_lines(path)) {
        reading_json(path.string(), [&] { read(text); });
    }
    return results;
}

void drop_metric_steps(const std::filesystem::path& folder, const std::string& metric,
                       std::int64_t last) {
    const std::filesystem::path path = folder / metric_file({.metric = metric});
    std::string kept;
    for (const std::string& text : whole_lines(path)) {
        const auto step = step_of(parsed(text));
        if (!step || *step <= last) {
            kept += text + "\n";
        }
    }
    std::error_code absent;
    const auto size = std::filesystem::file_size(path, absent);
    if (!absent && size != kept.size()) {
        write_file_atomically(path, kept);
    }
}

} // namespace patchforge
