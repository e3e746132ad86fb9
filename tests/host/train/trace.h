// What the tests that follow a recorded trace share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "host/files/json_file.h"
#include "host/files/safetensors.h"
#include "host/network/network_shape.h"

namespace patchforge::testing {

// By its name below tests/host, as the tests run from the repository's root.
inline Json read_trace(const std::string& name) {
    return read_json("tests/host/" + name);
}

inline std::vector<double> numbers(const Json& list) {
    std::vector<double> all;
    for (const Json& number : list.items()) {
        all.push_back(number.number());
    }
    return all;
}

// The patches that the recorders train on, [count, pixels].
inline std::vector<std::uint8_t> trace_patches(std::int64_t count, std::int64_t pixels) {
    std::vector<std::uint8_t> bytes;
    for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t j = 0; j < pixels; ++j) {
            bytes.push_back(static_cast<std::uint8_t>((i * 37 + j * 101 + i * j * 7) % 256));
        }
    }
    return bytes;
}

// All weights and biases in the order of nn.Sequential's parameters().
inline std::vector<double> flat(const TensorFile& file, const NetworkShape& shape) {
    std::vector<double> values;
    for (const LayerShape& layer : shape.layers) {
        for (const std::string& name : {layer.weight_name(), layer.bias_name()}) {
            for (const float value : f32(file.at(name))) {
                values.push_back(value);
            }
        }
    }
    return values;
}

inline void expect_near(const std::vector<double>& ours, const Json& recorded, double tolerance,
                        const std::string& what) {
    const std::vector<double> theirs = numbers(recorded);
    ASSERT_EQ(ours.size(), theirs.size()) << what;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        const double error = std::abs(ours[i] - theirs[i]);
        ASSERT_FALSE(!(error <= tolerance))
            << what << ": element " << i << " is " << ours[i] << ", PyTorch has " << theirs[i];
    }
}

} // namespace patchforge::testing
