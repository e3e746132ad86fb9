// Typed views of device memory: what every operation takes. A view owns nothing.
// Matrices are row-major and contiguous: element (row, column) lies at data[row * columns +
// column]. `data` is aligned to T and no further: a row_range of a matrix of odd width starts
// anywhere.
#pragma once

#include <cstdint>
#include <type_traits>

namespace patchforge {

template <class T>
struct Vector {
    T* data = nullptr;
    std::int64_t size = 0;

    bool empty() const { return size == 0; }
    T* data_or_null() const {
        return empty() ? nullptr : data;
    } // of an operand that may be left out
    Vector part(std::int64_t first, std::int64_t count) const { return {data + first, count}; }
    operator Vector<const T>() const requires(!std::is_const_v<T>) { return {data, size}; }
};

template <class T>
struct Matrix {
    T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t columns = 0;

    std::int64_t size() const { return rows * columns; }
    bool empty() const { return size() == 0; }
    T* data_or_null() const { return empty() ? nullptr : data; }
    Matrix row_range(std::int64_t first, std::int64_t count) const {
        return {data + first * columns, count, columns};
    }
    Vector<T> flat() const { return {data, rows * columns}; }
    operator Matrix<const T>() const requires(!std::is_const_v<T>) { return {data, rows, columns}; }
};

} // namespace patchforge
