// The oracle's numbers: row-major float64, checked at every access of an element or a row.
#pragma once

#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace patchforge::oracle {

struct DoubleMatrix {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<double> values;

    DoubleMatrix() = default;
    DoubleMatrix(std::int64_t rows_, std::int64_t columns_)
        : rows(rows_), columns(columns_), values(static_cast<std::size_t>(rows_ * columns_)) {}
    template <class T>
    DoubleMatrix(std::int64_t rows_, std::int64_t columns_, const std::vector<T>& from)
        : rows(rows_), columns(columns_), values(from.begin(), from.end()) {}

    double& operator()(std::int64_t row, std::int64_t column) {
        return values.at(static_cast<std::size_t>(row * columns + column));
    }
    double operator()(std::int64_t row, std::int64_t column) const {
        return values.at(static_cast<std::size_t>(row * columns + column));
    }
    double* row(std::int64_t r) { return values.data() + first_of(r); }
    const double* row(std::int64_t r) const { return values.data() + first_of(r); }

  private:
    std::int64_t first_of(std::int64_t r) const {
        if (r < 0 || r >= rows || std::ssize(values) != rows * columns) {
            throw std::out_of_range("a row that the matrix has not got");
        }
        return r * columns;
    }
};

template <class T>
std::vector<double> to_double(const std::vector<T>& values) {
    return {values.begin(), values.end()};
}

inline std::vector<float> to_float(const std::vector<double>& values) {
    std::vector<float> rounded;
    for (const double value : values) {
        rounded.push_back(static_cast<float>(value));
    }
    return rounded;
}

} // namespace patchforge::oracle
