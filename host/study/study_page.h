// The human test: can people tell the generated patches from the real ones?
//
// One HTML page holds everything - pictures, order, answer key, scoring - and runs from a file on
// a desk or a phone without a server. It shows two parts of `count` patches each, half of them
// generated, in random order: first each patch for 250 ms and then a mask of noise, then without
// any limit of time. No patch is shown twice. At the end it gives error rates with Wilson 95 %
// intervals and offers the answers as JSON and CSV.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

using PngBytes = std::vector<std::uint8_t>;

struct StudyOptions {
    std::int64_t count = 50; // patches in each part; even, at least 2
    std::uint64_t seed = 2020;
    std::string title = "Real or generated?";
};

// The page's text. Each part takes count / 2 real and count / 2 generated pictures, drawn by the
// seed, so `count` of each kind are needed. Encode both kinds with the same encoder and size:
// anything that tells the files apart tells the rater. The key is hidden from a glance, not from
// somebody who looks for it: a picture is generated when its byte of the key has an odd number of
// set bits. Throws std::invalid_argument when the count is odd or there are too few pictures, or
// when one is not a PNG.
std::string study_page(std::span<const PngBytes> real, std::span<const PngBytes> generated,
                       const StudyOptions& options);

// Writes it, whole or not at all. Throws std::runtime_error when the file cannot be written.
void write_study_page(const std::filesystem::path& out, std::span<const PngBytes> real,
                      std::span<const PngBytes> generated, const StudyOptions& options);

} // namespace patchforge
