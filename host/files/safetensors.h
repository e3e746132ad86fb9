// safetensors: the files that hold weights and optimiser state, readable by PyTorch's library of
// that name and reading what it writes. Format: docs/formats.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace patchforge {

// Row-major, little-endian. A scalar has the shape {}.
struct Tensor {
    std::string name;
    std::string dtype; // BOOL U8 I8 F8_E5M2 F8_E4M3 I16 U16 F16 BF16 I32 U32 F32 F64 I64 U64
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;

    std::int64_t size() const; // number of elements
};

struct TensorFile {
    std::string name;            // what errors call it: the path it was read from
    std::vector<Tensor> tensors; // in the order of their bytes in the file
    std::map<std::string, std::string> metadata;

    // Throws std::runtime_error naming the file and listing what it holds instead.
    const Tensor& at(const std::string& tensor) const;
    bool has(const std::string& tensor) const;
};

// Copies `shape`'s worth of values.
Tensor make_f32(std::string name, std::vector<std::int64_t> shape, const float* values);
Tensor make_u64(std::string name, std::vector<std::int64_t> shape, const std::uint64_t* values);
Tensor make_i64(std::string name, std::vector<std::int64_t> shape, const std::int64_t* values);

// The values of a tensor of exactly that type; otherwise std::runtime_error naming the tensor.
std::span<const float> f32(const Tensor& tensor);
std::span<const std::uint64_t> u64(const Tensor& tensor);
std::span<const std::int64_t> i64(const Tensor& tensor);

// Everything the format demands is checked: header length (at most 100,000,000 bytes) and JSON, no
// duplicate keys, known types, sizes that agree with shapes, extents below 2^31 (so that no product of two overflows), a
// data section covered without holes or overlaps, nothing after it, and the checksum (host/files/checksum.h) where there
// is one, which the metadata then do not show. std::runtime_error names the file and the first fault. A file
// that is read must hold finite numbers, too: weights, moments and latent codes with NaN or
// infinity would be taken for results.
TensorFile read_safetensors(const std::filesystem::path& path);
// As it stands: read_safetensors refuses numbers that are not finite.
TensorFile read_unchecked_safetensors(const std::filesystem::path& path);
TensorFile decode_safetensors(std::span<const std::byte> bytes, const std::string& name);

// The order of `tensors` does not matter: wider types come first, then names, as PyTorch's writer
// does it, so equal contents give equal bytes. The metadata get a checksum. Throws std::invalid_argument for a tensor whose type
// is unknown, whose bytes do not agree with its shape, or whose name is taken or reserved.
std::vector<std::byte> encode_safetensors(const std::vector<Tensor>& tensors,
                                          const std::map<std::string, std::string>& metadata = {});
// The same to a file that appears whole or not at all.
void write_safetensors(const std::filesystem::path& path, const std::vector<Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

} // namespace patchforge
