// How a conditional discriminator is told the class of each row: behind its pixels stands one number a
// class, 1 for its own, or, where it reads pictures, one map a class with that number in every pixel.
#pragma once

#include <vector>

#include "kernels/backend.h"

namespace patchforge {

class ClassColumns {
  public:
    ClassColumns() = default;
    // plane: pixels of a map; 1: a number alone.
    ClassColumns(Backend& backend, std::int64_t rows, std::int64_t pixels, std::int64_t classes,
                 std::int64_t plane)
        : backend_(&backend), pixels_(pixels), classes_(classes), plane_(plane),
          inputs_(backend, rows * (pixels + classes * plane)) {
        if (plane > 1) {
            one_hot_ = DeviceArray<float>(backend, rows * classes);
            maps_ = DeviceArray<float>(backend, rows * classes * plane);
            spread_ = DeviceArray<float>(backend, classes * plane * classes);
            std::vector<float> host(static_cast<std::size_t>(spread_.size()));
            for (std::int64_t row = 0; row < classes * plane; ++row) {
                host[static_cast<std::size_t>(row * classes + row / plane)] = 1;
            }
            spread_.upload(host.data(), spread_.size());
        }
    }

    // [rows, pixels + classes * plane]: seen, then the classes. Replaces what the last call gave.
    Matrix<float> append(Matrix<const float> seen, Vector<const std::int32_t> labels) {
        const Matrix<float> inputs = inputs_.matrix(seen.rows, pixels_ + classes_ * plane_);
        backend_->copy_columns(inputs, 0, seen, 0, pixels_);
        if (plane_ == 1) {
            backend_->one_hot(inputs, pixels_, classes_, labels);
            return inputs;
        }
        const Matrix<float> own = one_hot_.matrix(seen.rows, classes_);
        const Matrix<float> maps = maps_.matrix(seen.rows, classes_ * plane_);
        backend_->one_hot(own, 0, classes_, labels);
        backend_->linear_forward(maps, own, spread_.matrix(classes_ * plane_, classes_), {}, {});
        backend_->copy_columns(inputs, pixels_, maps, 0, classes_ * plane_);
        return inputs;
    }

  private:
    Backend* backend_ = nullptr;
    std::int64_t pixels_ = 0, classes_ = 0, plane_ = 1;
    DeviceArray<float> inputs_;
    DeviceArray<float> one_hot_; // [rows, classes]
    DeviceArray<float> maps_;    // [rows, classes * plane]
    DeviceArray<float> spread_;  // [classes * plane, classes]: which maps a class fills
};

} // namespace patchforge
