#include "kernels/precision.h"

#include <array>

namespace patchforge {
namespace {

constexpr std::array<const char*, 3> names = {"float32", "tf32", "bf16"}; // in the enum's order

} // namespace

std::vector<std::string> precision_names() {
    return {names.begin(), names.end()};
}

std::string precision_name(Precision precision) {
    return names[static_cast<std::size_t>(precision)];
}

std::string products_text(Precision precision) {
    return precision == Precision::float32 ? "" : ", " + precision_name(precision) + " products";
}

} // namespace patchforge
