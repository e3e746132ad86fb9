// How results are written down: one JSON line a measure in metric-<name>.jsonl, and a table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/evaluate/binary_scores.h"

namespace patchforge {

class Json; // host/files/json.h

// What turned images into features. Two distances compare only when this is the same.
struct Extractor {
    std::string name{}; // "own256", "pixels-pca64", "random256"
    std::string hash{}; // of its weights: "fnv1a64:…" (content_hash), or the classifier file's own
};

struct MetricResult {
    std::string metric; // "frechet_distance": names the file and the line
    std::vector<std::pair<std::string, double>> results{}; // in the order to print
    double total_time = 0;                                 // seconds
    Extractor extractor{};
    std::int64_t n_generated = 0, n_reference = 0;
    std::uint64_t seed = 0;
    std::string timestamp{}; // utc_now()
    // Written where they say something:
    std::string generated{};            // what was measured: a weights file or folder
    std::string generated_hash{};       // file_fingerprint of that file
    std::optional<std::int64_t> step{}; // of the training that measured itself
    std::string compared{};             // instead of generated images: "real half", "noise", ...
    std::string of_class{};             // the one class whose images were compared
};

// "fnv1a64:" and 16 hexadecimal digits: tells two files apart, proves nothing to an adversary.
std::string content_hash(std::span<const std::byte> bytes);

// content_hash of a file.
std::string file_fingerprint(const std::filesystem::path& file);

// A score with its interval: name, name_low and name_high; "0.712 [0.650, 0.770]".
void append_score(std::vector<std::pair<std::string, double>>& results, const std::string& name,
                  double value, const Interval& interval);
std::string score_text(double value, const Interval& interval);

// The time now as 2024-05-06T07:08:09Z.
std::string utc_now();

// {"results":{…},"metric":…,"total_time":…,"extractor":{"name":…,"hash":…},"n_generated":…,
//  "n_reference":…,"seed":…,"timestamp":…} without a line end, and behind the timestamp those of
// "generated", "generated_hash", "step", "compared" and "class" that say something. NaN and infinity become null.
Json metric_json(const MetricResult& result);
std::string metric_line(const MetricResult& result);

// Where a result is written: metric-<name>.jsonl for generated images, metric-<name>-compared.jsonl
// and metric-<name>-classes.jsonl for what is held beside them.
std::string metric_file(const MetricResult& result);

// Adds the line to folder/metric_file, making both when absent, in one write that reaches the disk.
// Throws std::runtime_error when the file cannot be written.
void append_metric_line(const std::filesystem::path& folder, const MetricResult& result);

// The lines with a step of folder/metric-<metric>.jsonl, in the file's order; none without the
// file. Lines that are not whole are passed over.
std::vector<MetricResult> read_metric_steps(const std::filesystem::path& folder,
                                            const std::string& metric);
// Takes the lines of steps after `last`, and a torn last line, out of the file, if there is one.
void drop_metric_steps(const std::filesystem::path& folder, const std::string& metric,
                       std::int64_t last);

} // namespace patchforge
