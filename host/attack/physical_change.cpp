#include "host/attack/physical_change.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/options/options.h"

namespace patchforge {

namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
    throw std::invalid_argument(fmt::format(
        "--transform {}: {}; give none, physical, or some of scale=0.1 (below 1), "
        "shift=2 and blur=1 (pixels), brightness=0.2 (below 1), jpeg=50 (a quality from "
        "1 to 100)",
        text, why));
}

} // namespace

std::string PhysicalChange::text() const {
    std::string text;
    const auto add = [&](const char* name, double value) {
        if (value > 0) {
            text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
        }
    };
    add("scale", scale);
    add("shift", shift);
    add("blur", blur);
    add("brightness", brightness);
    add("jpeg", jpeg);
    return text.empty() ? "none" : text;
}

PhysicalChange parse_physical_change(const std::string& text) {
    PhysicalChange change;
    if (text == "none") {
        return change;
    }
    if (text == "physical") {
        return {0.1, 2, 1, 0.2, 50};
    }
    double jpeg = 0;
    const struct {
        const char* name;
        double* value;
        double most;
    } parts[] = {{"scale", &change.scale, 0.99},
                 {"shift", &change.shift, 1000},
                 {"blur", &change.blur, 100},
                 {"brightness", &change.brightness, 0.99},
                 {"jpeg", &jpeg, 100}};
    for (const std::string& part : split_at_commas(text)) {
        const std::size_t sign = part.find('=');
        bool known = false;
        for (const auto& one : parts) {
            if (sign != std::string::npos && part.substr(0, sign) == one.name) {
                known = true;
                *one.value = parse_fraction("--transform", part.substr(sign + 1));
                if (!(*one.value > 0 && *one.value <= one.most)) {
                    refuse(text, fmt::format("{} is out of range", part));
                }
            }
        }
        if (!known) {
            refuse(text, fmt::format("'{}' is not known", part));
        }
    }
    change.jpeg = static_cast<int>(jpeg);
    if (change.jpeg != jpeg) {
        refuse(text, "a quality is a whole number");
    }
    return change;
}

Camera::Camera(Backend& backend, Extent extent, std::int64_t capacity, const PhysicalChange& change)
    : backend_(&backend), extent_(extent), change_(change),
      seen_(backend, capacity * extent.size()),
      rounded_(backend, change.jpeg > 0 ? capacity * extent.size() : 0) {}

Photograph Camera::photograph(const RandomStream& random) const {
    return {static_cast<float>(change_.scale), static_cast<float>(change_.shift),
            static_cast<float>(change_.blur), static_cast<float>(change_.brightness), random};
}

Matrix<float> Camera::see(Matrix<const float> x, const RandomStream& random) {
    const Matrix<float> seen = seen_.matrix(x.rows, x.columns);
    const auto into_box = [&](Matrix<float> picture) {
        backend_->perturb_step(picture, picture, {}, {}, {0}, {0}, StepRule::plain, Ball::none);
    };
    backend_->photograph(seen, x, extent_, photograph(random));
    into_box(seen);
    if (change_.jpeg == 0) {
        return seen;
    }
    const Matrix<float> rounded = rounded_.matrix(x.rows, x.columns);
    backend_->round_blocks(rounded, seen, extent_, {change_.jpeg, random});
    into_box(rounded);
    return rounded;
}

void Camera::gradient(Matrix<float> dx, Matrix<const float> dy, const RandomStream& random) {
    backend_->photograph_gradient(dx, dy, extent_, photograph(random));
}

} // namespace patchforge
