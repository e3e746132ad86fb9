#include "host/train/interval_means.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/options/options.h"

namespace patchforge {

namespace {

constexpr const char* file_name = "interval.safetensors";
// Classifiers' checkpoints before interval.safetensors: the sums, then the best score and its epoch.
constexpr const char* earlier_name = "standing.safetensors";

std::vector<double> float64(const TensorFile& file, const std::string& name) {
    const Tensor& tensor = file.at(name);
    if (tensor.dtype != "F64" || tensor.bytes.size() % sizeof(double) != 0) {
        throw std::runtime_error(
            fmt::format("{}: tensor {} holds no float64 numbers; resume from another checkpoint",
                        file.name, name));
    }
    std::vector<double> values(tensor.bytes.size() / sizeof(double));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
}

} // namespace

IntervalMeans::IntervalMeans(std::vector<std::string> names)
    : names_(std::move(names)), sums_(names_.size(), 0.0) {}

void IntervalMeans::add(std::span<const double> values) {
    std::transform(values.begin(), values.end(), sums_.begin(), sums_.begin(), std::plus<>());
    ++count_;
}

void IntervalMeans::clear() {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    count_ = 0;
}

double IntervalMeans::mean(const std::string& name) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
        throw std::logic_error("IntervalMeans: nothing is called " + name);
    }
    return sums_[static_cast<std::size_t>(found - names_.begin())] / static_cast<double>(count_);
}

std::vector<std::byte> IntervalMeans::encode() const {
    Tensor sums{
        "sums", "F64", {std::ssize(sums_)}, std::vector<std::byte>(sums_.size() * sizeof(double))};
    std::memcpy(sums.bytes.data(), sums_.data(), sums.bytes.size());
    return encode_safetensors({sums, make_u64("count", {}, &count_)},
                              {{"names", fmt::format("{}", fmt::join(names_, ","))}});
}

void IntervalMeans::restore(const std::filesystem::path& checkpoint, std::uint64_t step,
                            std::uint64_t interval) {
    clear();
    std::vector<std::string> names = names_;
    std::vector<double> sums;
    if (std::filesystem::exists(checkpoint / file_name)) {
        const TensorFile file = read_safetensors(checkpoint / file_name);
        sums = float64(file, "sums");
        count_ = scalar_u64(file, "count");
        if (const auto named = file.metadata.find("names"); named != file.metadata.end()) {
            names = split_at_commas(named->second);
        }
    } else {
        sums = float64(read_safetensors(checkpoint / earlier_name), "standing");
        sums.resize(std::min(sums.size(), names.size()));
        count_ = interval > 0 ? step % interval : 0;
    }
    if (sums.size() != names.size()) {
        throw std::runtime_error(
            fmt::format("{}: {} sums for {} names; resume from another checkpoint",
                        (checkpoint / file_name).string(), sums.size(), names.size()));
    }
    for (std::size_t i = 0; i < names_.size(); ++i) {
        const auto found = std::find(names.begin(), names.end(), names_[i]);
        if (found == names.end()) {
            throw std::runtime_error(fmt::format("{}: has no sum of {}; resume with the version "
                                                 "that began the run",
                                                 (checkpoint / file_name).string(), names_[i]));
        }
        sums_[i] = sums[static_cast<std::size_t>(found - names.begin())];
    }
}

} // namespace patchforge
