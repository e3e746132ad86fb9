// What the tests of several families hand to operations: epilogues of every kind, steps on the
// device, and tensors under Adam.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/linear.h"
#include "tests/oracle/optimiser.h"

namespace patchforge::testing {

// One row of a matrix, for the oracle.
inline std::vector<double> row_of(const std::vector<float>& m, std::int64_t row,
                                  std::int64_t columns) {
    return {m.begin() + row * columns, m.begin() + (row + 1) * columns};
}

// An iteration counter on the device and a StepCount that looks at it.
class DeviceStep {
  public:
    DeviceStep(Backend& backend, std::uint64_t step, std::uint32_t stride, std::uint32_t offset)
        : step_(GuardedArray<std::uint64_t>::input(backend, {step})), count_{step_.data(), stride,
                                                                             offset},
          value_(step * stride + offset) {}

    StepCount count() const { return count_; }
    std::uint64_t value() const { return value_; }

  private:
    GuardedArray<std::uint64_t> step_;
    StepCount count_;
    std::uint64_t value_;
};

struct NamedEpilogue {
    const char* name;
    Activation activation;
    float slope;
    float dropout;

    patchforge::Epilogue at(const DeviceStep& step) const {
        return {activation, slope, dropout, {0x123456789abcdef0, 48, step.count()}};
    }
};

inline const std::array<NamedEpilogue, 10>& every_epilogue() {
    static const std::array<NamedEpilogue, 10> epilogues{{
        {"identity", Activation::identity, 0.2f, 0},
        {"leaky_relu, dropout 0.5", Activation::leaky_relu, 0.2f, 0.5f},
        {"tanh", Activation::tanh, 0.2f, 0},
        {"relu", Activation::relu, 0.2f, 0},
        {"sigmoid", Activation::sigmoid, 0.2f, 0},
        {"leaky_relu", Activation::leaky_relu, 0.01f, 0},
        {"tanh, dropout 0.3", Activation::tanh, 0.2f, 0.3f},
        {"identity, dropout 0.5", Activation::identity, 0.2f, 0.5f},
        {"relu, dropout 0.9", Activation::relu, 0.2f, 0.9f},
        {"sigmoid, dropout 0.1", Activation::sigmoid, 0.2f, 0.1f},
    }};
    return epilogues;
}

// What float32 may lose in y = epilogue(z), when z itself may be off by z_error. No activation is
// steeper than 1; exp of a z that is rounded loses |z| roundings.
inline double epilogue_bound(double z, double z_error, double y, double dropout) {
    return z_error / (1 - dropout) + unit_roundoff * (8 + std::fabs(z)) * std::fabs(y) + 1e-37;
}

// What float32 may lose in d * derivative(y), when d may be off by d_error: 1 - t^2 loses some
// units of 1 whatever is left of it.
inline double derivative_bound(double d, double d_error, const oracle::Epilogue& epilogue, double y,
                               std::uint64_t element) {
    if (!epilogue.keeps(element)) {
        return 0;
    }
    const double derivative = epilogue.derivative(y, element);
    const bool smooth =
        epilogue.activation == Activation::tanh || epilogue.activation == Activation::sigmoid;
    return d_error * derivative + 4 * unit_roundoff * std::fabs(d) * derivative +
           (smooth ? 6 * unit_roundoff * std::fabs(d) / (1 - epilogue.dropout) : 0) + 1e-37;
}

// A parameter tensor with its moments on the device, and the same in the oracle's hands.
class TensorUnderAdam {
  public:
    TensorUnderAdam(Backend& backend, std::uint64_t seed, std::int64_t size, int shift)
        : TensorUnderAdam(backend, random_values(seed, size),
                          random_values(seed + 1, size, -0.1f, 0.1f),
                          random_values(seed + 2, size, 0.001f, 0.1f), shift) {}
    TensorUnderAdam(Backend& backend, std::vector<float> weight, std::vector<float> first_moment,
                    std::vector<float> second_moment, int shift)
        : weight_(GuardedArray<float>::changing(backend, weight, shift)),
          first_moment_(GuardedArray<float>::changing(backend, first_moment, shift)),
          second_moment_(GuardedArray<float>::changing(backend, second_moment, shift)) {
        for (std::size_t e = 0; e < weight.size(); ++e) {
            expected_.push_back({{weight[e]}, {first_moment[e]}, {second_moment[e]}});
        }
    }

    AdamTensor tensor() const {
        return {weight_.view(), first_moment_.view(), second_moment_.view()};
    }
    Matrix<const float> weight_matrix(std::int64_t rows, std::int64_t columns) const {
        return weight_.matrix(rows, columns);
    }
    oracle::DoubleMatrix expected_weight(std::int64_t rows, std::int64_t columns) const {
        oracle::DoubleMatrix weight(rows, columns);
        for (std::size_t e = 0; e < expected_.size(); ++e) {
            weight.values[e] = expected_[e].weight.value;
        }
        return weight;
    }

    // The oracle's step. `step` is what adam.step counts on the device.
    void expect_step(const std::vector<double>& gradient, const std::vector<double>& gradient_error,
                     const Adam& adam, std::uint64_t step) {
        ASSERT_EQ(gradient.size(), expected_.size());
        for (std::size_t e = 0; e < expected_.size(); ++e) {
            expected_[e] = oracle::adam(expected_[e], {gradient[e], gradient_error[e]}, adam, step);
        }
    }
    // ... along a gradient that is a sum of `terms` products.
    void expect_step(const oracle::Products& gradient, std::int64_t terms, const Adam& adam,
                     std::uint64_t step, Precision precision = Precision::float32) {
        std::vector<double> error;
        for (const double magnitude : gradient.magnitude.values) {
            error.push_back(sum_bound(terms, magnitude, precision));
        }
        expect_step(gradient.value.values, error, adam, step);
    }

    void compare(std::int64_t columns, const std::string& what) const {
        compare(weight_, &oracle::AdamElement::weight, columns, what);
        compare(first_moment_, &oracle::AdamElement::first_moment, columns, what + " first moment");
        compare(second_moment_, &oracle::AdamElement::second_moment, columns,
                what + " second moment");
    }

  private:
    void compare(const GuardedArray<float>& actual, oracle::Bounded oracle::AdamElement::*member,
                 std::int64_t columns, const std::string& what) const {
        std::vector<double> values, tolerances;
        for (const oracle::AdamElement& element : expected_) {
            values.push_back((element.*member).value);
            tolerances.push_back((element.*member).error);
        }
        expect_close(actual.values(), values, tolerances, columns, what);
    }

    GuardedArray<float> weight_;
    GuardedArray<float> first_moment_;
    GuardedArray<float> second_moment_;
    std::vector<oracle::AdamElement> expected_;
};

} // namespace patchforge::testing
