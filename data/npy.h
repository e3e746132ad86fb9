#pragma once

#include "data/picture.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

/// True when the bytes begin as NumPy's `.npy` files do.
bool is_npy(std::span<const std::uint8_t> bytes);

/// The header of a `.npy` file, versions 1 to 3.
struct NpyHeader {
    char kind = 'u';         ///< b boolean, u and i whole numbers, f floating point
    int bytes_per_value = 1; ///< 1, 2, 4, 8; of f: 2, 4, 8
    bool big_endian = false;
    bool by_columns = false;         ///< Fortran order: the first index runs fastest
    std::vector<std::int64_t> sizes; ///< 1 to 4
    std::size_t data_at = 0;         ///< first byte after the header

    std::int64_t values() const; ///< product of sizes, at most 2^40
};

/// `head` holds at least the file's header. Throws std::runtime_error naming the file for what is no
/// array, or is of other types (objects, texts, complex numbers).
NpyHeader read_npy_header(std::span<const std::uint8_t> head, const std::string& name);

/// A `.npy` file in memory; the bytes must outlive it. Throws std::runtime_error naming the file
/// when it is truncated or longer than its header says.
class NpyArray {
  public:
    NpyArray(std::span<const std::uint8_t> bytes, std::string name);

    const std::vector<std::int64_t>& sizes() const { return header_.sizes; }

    /// Values first … first + target.size() - 1, in the order of C, as levels 0 … 255. Bytes stay; booleans become 0 and
    /// 255; whole numbers and floating point must lie in 0 … 255; floating point that lies in
    /// 0 … 1 throughout the array is scaled by 255. Rounded to the nearest. Throws
    /// std::runtime_error for other values.
    void levels(std::int64_t first, std::span<std::uint8_t> target);

    /// All values as whole numbers. Throws std::runtime_error for a value that is none.
    std::vector<std::int64_t> whole_numbers() const;

  private:
    std::int64_t place(std::int64_t i) const;
    double value(std::int64_t i) const;
    [[noreturn]] void fail(const std::string& what) const;

    NpyHeader header_;
    std::span<const std::uint8_t> data_;
    std::string name_;
    double scale_ = 0.0; // of floating point; 0: not looked at yet
};

/// An array of one picture: (height, width), (height, width, 1 or 3) or (1 or 3, height, width).
/// Throws PictureError.
Image decode_npy_picture(std::span<const std::uint8_t> bytes, int channels,
                         const std::string& name);
PictureSize npy_picture_size(std::span<const std::uint8_t> head, const std::string& name);

/// How the last dimensions of an array hold pictures.
struct PictureShape {
    int channels = 0; ///< 1 or 3; 0: not pictures
    int height = 0;
    int width = 0;
    bool interleaved = false; ///< (height, width, channels) instead of (channels, height, width)
};

/// Of one picture: `sizes` has 2 or 3 numbers. `channels` is 0 for what is none.
PictureShape picture_shape(std::span<const std::int64_t> sizes);

/// Samples that lie as `shape` says, as `channels` planes.
Image picture_from(std::vector<std::uint8_t> samples, const PictureShape& shape, int channels);

} // namespace patchforge
