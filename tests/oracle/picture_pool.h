// The pool as CycleGAN's authors write it: a list, and a picture at a time.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/oracle/philox.h"

namespace patchforge::oracle {

class PicturePool {
  public:
    using Picture = std::vector<float>;

    PicturePool(std::size_t size, std::uint64_t seed, std::uint32_t purpose)
        : size_(size), seed_(seed), purpose_(purpose) {}

    // The batch of draw `draw`.
    std::vector<Picture> query(const std::vector<Picture>& pictures, std::uint64_t draw) {
        const Stream stream{seed_, purpose_, draw};
        std::vector<Picture> shown;
        for (std::size_t b = 0; b < pictures.size(); ++b) {
            if (held_.size() < size_) {
                held_.push_back(pictures[b]);
                shown.push_back(pictures[b]);
            } else if (stream.word(2 * b) / 4294967296.0 >= 0.5) {
                const auto slot =
                    static_cast<std::size_t>(static_cast<double>(stream.word(2 * b + 1)) *
                                             static_cast<double>(size_) / 4294967296.0);
                shown.push_back(std::exchange(held_[slot], pictures[b]));
            } else {
                shown.push_back(pictures[b]);
            }
        }
        return shown;
    }
    const std::vector<Picture>& held() const { return held_; }

  private:
    std::size_t size_;
    std::uint64_t seed_;
    std::uint32_t purpose_;
    std::vector<Picture> held_;
};

} // namespace patchforge::oracle
