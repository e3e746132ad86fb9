#include "host/model/latent_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/files/safetensors.h"

namespace patchforge {

namespace {

double length_of(const LatentCode& code) {
    double squares = 0;
    for (const float value : code) {
        squares += double{value} * value;
    }
    return std::sqrt(squares);
}

void require_same_dimension(const LatentCode& a, const LatentCode& b) {
    if (a.size() != b.size()) {
        throw std::invalid_argument(
            fmt::format("latent codes of {} and {} numbers cannot be combined; use codes of one "
                        "generator",
                        a.size(), b.size()));
    }
}

LatentCode combined(const LatentCode& a, double of_a, const LatentCode& b, double of_b) {
    LatentCode result(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        result[i] = static_cast<float>(of_a * a[i] + of_b * b[i]);
    }
    return result;
}

} // namespace

LatentCode interpolate_linearly(const LatentCode& a, const LatentCode& b, double t) {
    require_same_dimension(a, b);
    return combined(a, 1 - t, b, t);
}

LatentCode interpolate_spherically(const LatentCode& a, const LatentCode& b, double t) {
    require_same_dimension(a, b);
    const double length_a = length_of(a);
    const double length_b = length_of(b);
    if (length_a == 0 || length_b == 0) {
        return interpolate_linearly(a, b, t);
    }
    double cosine = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        cosine += double{a[i]} * b[i];
    }
    const double angle = std::acos(std::clamp(cosine / (length_a * length_b), -1.0, 1.0));
    const double sine = std::sin(angle);
    // Below 1e-6 the two paths differ by less than float32 can hold; at pi there is no one circle.
    if (sine < 1e-6) {
        return interpolate_linearly(a, b, t);
    }
    const double length = (1 - t) * length_a + t * length_b;
    return combined(a, length / length_a * std::sin((1 - t) * angle) / sine, b,
                    length / length_b * std::sin(t * angle) / sine);
}

LatentCode LatentGroup::mean() const {
    if (codes.empty()) {
        throw std::invalid_argument(
            fmt::format("group '{}': holds no code; draw more codes or lower --confidence", name));
    }
    std::vector<double> sums(codes.front().size(), 0.0);
    for (const LatentCode& code : codes) {
        require_same_dimension(codes.front(), code);
        for (std::size_t i = 0; i < code.size(); ++i) {
            sums[i] += code[i];
        }
    }
    LatentCode mean(sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
        mean[i] = static_cast<float>(sums[i] / static_cast<double>(codes.size()));
    }
    return mean;
}

void save_group(const std::filesystem::path& path, const LatentGroup& group) {
    if (group.codes.empty()) {
        throw std::invalid_argument(fmt::format("group '{}': holds no code to save", group.name));
    }
    std::vector<float> values;
    for (const LatentCode& code : group.codes) {
        values.insert(values.end(), code.begin(), code.end());
    }
    write_safetensors(path,
                      {make_f32("latents",
                                {static_cast<std::int64_t>(group.codes.size()),
                                 static_cast<std::int64_t>(group.codes.front().size())},
                                values.data())},
                      {{"group", group.name}});
}

LatentGroup load_group(const std::filesystem::path& path) {
    const TensorFile file = read_safetensors(path);
    const Tensor& latents = file.at("latents");
    if (latents.shape.size() != 2) {
        throw std::runtime_error(fmt::format(
            "{}: latents is not a matrix; give a file that `latent` saved", path.string()));
    }
    const auto name = file.metadata.find("group");
    return {name == file.metadata.end() ? path.stem().string() : name->second,
            codes_of(f32(latents), latents.shape[1])};
}

LatentCode moved(const LatentCode& base, const LatentCode& from, const LatentCode& to,
                 double strength) {
    require_same_dimension(base, from);
    require_same_dimension(base, to);
    return combined(combined(base, 1, to, strength), 1, from, -strength);
}

std::vector<LatentCode> codes_of(std::span<const float> latents, std::int64_t dimension) {
    std::vector<LatentCode> codes;
    const auto width = static_cast<std::size_t>(dimension);
    for (std::size_t first = 0; first + width <= latents.size(); first += width) {
        const auto code = latents.subspan(first, width);
        codes.emplace_back(code.begin(), code.end());
    }
    return codes;
}

} // namespace patchforge
