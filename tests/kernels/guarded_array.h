// Device memory that notices what must not happen to it. Around the elements stand guard bytes;
// outputs start as NaN, inputs must end as they began. All of it is checked when the array dies, so
// no test can forget to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/backend.h"

namespace patchforge::testing {

template <class T>
class GuardedArray {
  public:
    // `shift` elements past a 256-byte boundary: views are aligned to T and no further.
    static GuardedArray input(Backend& backend, std::vector<T> values, int shift = 0) {
        return GuardedArray(backend, std::move(values), true, shift);
    }
    static GuardedArray changing(Backend& backend, std::vector<T> values, int shift = 0) {
        return GuardedArray(backend, std::move(values), false, shift);
    }
    static GuardedArray output(Backend& backend, std::int64_t size, int shift = 0) {
        T poison{};
        if constexpr (std::is_floating_point_v<T>) {
            poison = std::numeric_limits<T>::quiet_NaN();
        } else {
            std::memset(&poison, 0xA5, sizeof(T));
        }
        return changing(backend, std::vector<T>(static_cast<std::size_t>(size), poison), shift);
    }

    GuardedArray(GuardedArray&& other) noexcept
        : backend_(other.backend_), memory_(std::exchange(other.memory_, nullptr)),
          before_(std::move(other.before_)), constant_(other.constant_), lead_(other.lead_) {}
    GuardedArray& operator=(GuardedArray&&) = delete;

    ~GuardedArray() {
        if (memory_) {
            check();
            backend_->release(memory_);
        }
    }

    T* data() const { return reinterpret_cast<T*>(static_cast<std::byte*>(memory_) + lead_); }
    std::int64_t size() const { return static_cast<std::int64_t>(before_.size()); }
    Vector<T> view() const { return {data(), size()}; }
    Matrix<T> matrix(std::int64_t rows, std::int64_t columns) const {
        EXPECT_EQ(rows * columns, size());
        return {data(), rows, columns};
    }
    Vector<const T> const_view() const { return view(); }

    std::vector<T> values() const {
        std::vector<T> now(before_.size());
        backend_->download(now.data(), data(), now.size() * sizeof(T));
        return now;
    }

  private:
    static constexpr std::size_t guard_ = 512; // bytes on either side
    static constexpr unsigned char pattern_ = 0x5C;

    GuardedArray(Backend& backend, std::vector<T> values, bool constant, int shift)
        : backend_(&backend), before_(std::move(values)), constant_(constant),
          lead_(guard_ + static_cast<std::size_t>(shift) * sizeof(T)) {
        const std::vector<unsigned char> image = initial_bytes();
        memory_ = backend.allocate(image.size());
        backend.upload(memory_, image.data(), image.size());
    }

    std::size_t payload() const { return before_.size() * sizeof(T); }

    std::vector<unsigned char> initial_bytes() const {
        std::vector<unsigned char> image(lead_ + payload() + guard_, pattern_);
        if (!before_.empty()) {
            std::memcpy(image.data() + lead_, before_.data(), payload());
        }
        return image;
    }

    void check() const {
        std::vector<unsigned char> expected = initial_bytes();
        std::vector<unsigned char> now(expected.size());
        backend_->download(now.data(), memory_, now.size());
        if (!constant_ && payload() > 0) {
            std::memcpy(expected.data() + lead_, now.data() + lead_, payload());
        }
        const auto differs = std::mismatch(now.begin(), now.end(), expected.begin()).first;
        if (differs != now.end()) {
            const auto offset = differs - now.begin() - static_cast<std::ptrdiff_t>(lead_);
            ADD_FAILURE() << "byte " << offset << " of an array of " << payload() << " bytes"
                          << (constant_ ? " that is an input" : "") << " was overwritten";
        }
    }

    Backend* backend_;
    void* memory_ = nullptr;
    std::vector<T> before_;
    bool constant_;
    std::size_t lead_;
};

} // namespace patchforge::testing
