#include "host/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/read_bytes.h"
#include "host/files/checksum.h"
#include "host/files/json.h"

static_assert(std::endian::native == std::endian::little, "safetensors values are little-endian");

namespace patchforge {

namespace {

constexpr std::uint64_t prefix_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;
constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 36;
constexpr std::uint64_t max_extent = (std::uint64_t{1} << 31) - 1;
constexpr const char* metadata_key = "__metadata__";

struct DataType {
    const char* name;
    std::int64_t bytes;
};
// In the order of the reference implementation: files list later types first, which keeps every
// tensor aligned to its own width.
constexpr std::array<DataType, 15> data_types = {{{"BOOL", 1},
                                                  {"U8", 1},
                                                  {"I8", 1},
                                                  {"F8_E5M2", 1},
                                                  {"F8_E4M3", 1},
                                                  {"I16", 2},
                                                  {"U16", 2},
                                                  {"F16", 2},
                                                  {"BF16", 2},
                                                  {"I32", 4},
                                                  {"U32", 4},
                                                  {"F32", 4},
                                                  {"F64", 8},
                                                  {"I64", 8},
                                                  {"U64", 8}}};

// Position in data_types, or -1.
int rank_of_type(const std::string& name) {
    for (std::size_t i = 0; i < data_types.size(); ++i) {
        if (name == data_types[i].name) {
            return static_cast<int>(i);
        }
    }
    return -1;
}

// Bytes of a tensor, or -1 when they do not fit 63 bits.
std::int64_t bytes_of(const std::vector<std::int64_t>& shape, std::int64_t element_bytes) {
    std::int64_t total = element_bytes;
    for (const std::int64_t extent : shape) {
        if (__builtin_mul_overflow(total, extent, &total)) {
            return -1;
        }
    }
    return total;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The faults of one file, said with its name.
struct Reader {
    const std::string& file;

    [[noreturn]] void fail(const std::string& fault) const {
        throw std::runtime_error(fmt::format(
            "{}: not a safetensors file that can be read: {}; save it again or choose another file",
            file, fault));
    }

    void demand(bool holds, const std::string& fault) const {
        if (!holds) {
            fail(fault);
        }
    }

    Json parse_header(std::span<const std::byte> header) const {
        const char* text = reinterpret_cast<const char*>(header.data());
        demand(!header.empty() && text[0] == '{', "the header does not begin with '{'");
        try {
            return Json::parse({text, header.size()});
        } catch (const JsonError& error) {
            fail(fmt::format("the header is not valid JSON ({})", error.what()));
        }
    }

    std::uint64_t natural_number(const Json& value, const std::string& what) const {
        demand(value.is_natural() &&
                   value.natural() <=
                       static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
               what + " is not a whole number >= 0");
        return value.natural();
    }

    std::map<std::string, std::string> metadata(const Json& object) const {
        demand(object.is_object(), "__metadata__ is not an object");
        std::map<std::string, std::string> result;
        for (const auto& [key, value] : object.members()) {
            demand(value.is_string(), fmt::format("the metadata '{}' is not a text", key));
            result[key] = value.string();
        }
        return result;
    }

    struct Placed {
        Tensor tensor;
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
    };

    Placed placed(const std::string& name, const Json& object) const {
        demand(object.is_object() && object.size() == 3 && object.contains("dtype") &&
                   object.contains("shape") && object.contains("data_offsets"),
               fmt::format("the tensor '{}' needs exactly dtype, shape and data_offsets", name));
        const Json& dtype = object.at("dtype");
        const Json& shape = object.at("shape");
        const Json& offsets = object.at("data_offsets");
        demand(dtype.is_string() && rank_of_type(dtype.string()) >= 0,
               fmt::format("the tensor '{}' has the unknown dtype {}", name, dtype.dump()));
        demand(shape.is_array() && offsets.is_array() && offsets.size() == 2,
               fmt::format("the shape or the data_offsets of '{}' are not lists as they should be",
                           name));
        Placed result;
        result.tensor.name = name;
        result.tensor.dtype = dtype.string();
        for (const Json& extent : shape.items()) {
            const std::uint64_t number =
                natural_number(extent, fmt::format("the shape of '{}'", name));
            demand(number <= max_extent,
                   fmt::format("the shape of '{}' has an extent of {}", name, number));
            result.tensor.shape.push_back(static_cast<std::int64_t>(number));
        }
        result.begin = natural_number(offsets.items()[0], fmt::format("the offset of '{}'", name));
        result.end = natural_number(offsets.items()[1], fmt::format("the offset of '{}'", name));
        const std::int64_t bytes =
            bytes_of(result.tensor.shape, data_types[rank_of_type(result.tensor.dtype)].bytes);
        demand(result.begin <= result.end && bytes >= 0 &&
                   result.end - result.begin == static_cast<std::uint64_t>(bytes),
               fmt::format("the tensor '{}' of {} {} does not fill the bytes {} to {}", name,
                           result.tensor.dtype, shape_text(result.tensor.shape), result.begin,
                           result.end));
        return result;
    }

    // Files that people have and take for weights are named as what they are.
    void refuse_others(std::span<const std::byte> bytes) const {
        const std::string_view begin(reinterpret_cast<const char*>(bytes.data()),
                                     std::min<std::size_t>(bytes.size(), 512));
        // A header of 640 bytes begins as a pickle does; what follows its length tells them apart.
        if (begin.size() > prefix_bytes && begin[prefix_bytes] == '{') {
            return;
        }
        const auto refuse = [&](const std::string& what) {
            throw std::runtime_error(fmt::format("{}: is {}", file, what));
        };
        const bool pickle =
            begin.size() > 1 && begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5;
        const bool zip = begin.starts_with("PK\x03\x04");
        if (pickle || (zip && begin.find("data.pkl") != std::string_view::npos)) {
            refuse(fmt::format(
                "a pickle, as torch.save writes them, which may run any program when it is read; "
                "export its weights: python3 -c \"import torch, safetensors.torch as s; "
                "s.save_file(torch.load('{}'), 'model.safetensors')\" "
                "(docs/bring-your-own-model.md)",
                file));
        }
        constexpr std::array<std::pair<std::string_view, const char*>, 6> others = {
            {{"PK\x03\x04", "a zip archive, such as .npz and .keras are"},
             {"\x89HDF\r\n", "an HDF5 file, such as Keras writes"},
             {"\x93NUMPY", "an array of NumPy"},
             {"GGUF", "a GGUF file"},
             {"\x89PFS", "a packed set of patches"},
             {"\x89PNG", "a picture"}}};
        for (const auto& [signature, name] : others) {
            if (begin.starts_with(signature)) {
                refuse(fmt::format("{}, no safetensors file; save the weights with "
                                   "safetensors.torch.save_file (docs/bring-your-own-model.md)",
                                   name));
            }
        }
    }

    TensorFile decode(std::span<const std::byte> bytes) const {
        refuse_others(bytes);
        demand(bytes.size() >= prefix_bytes,
               fmt::format("{} bytes are too few for a header", bytes.size()));
        std::uint64_t header_bytes = 0;
        std::memcpy(&header_bytes, bytes.data(), prefix_bytes);
        demand(header_bytes <= max_header_bytes,
               fmt::format("its first 8 bytes say a header of {} bytes, over the limit of {}",
                           header_bytes, max_header_bytes));
        demand(header_bytes <= bytes.size() - prefix_bytes,
               fmt::format("the file ends inside the header of {} bytes", header_bytes));
        const auto data = bytes.subspan(prefix_bytes + header_bytes);
        const Json header = parse_header(bytes.subspan(prefix_bytes, header_bytes));

        TensorFile file;
        file.name = this->file;
        std::vector<Placed> all;
        for (const auto& [key, value] : header.members()) {
            if (key == metadata_key) {
                file.metadata = metadata(value);
            } else {
                all.push_back(placed(key, value));
            }
        }
        std::stable_sort(all.begin(), all.end(), [](const Placed& a, const Placed& b) {
            return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
        });
        std::uint64_t covered = 0;
        for (Placed& one : all) {
            demand(one.begin == covered,
                   fmt::format("{} before the bytes of '{}'",
                               one.begin > covered ? "a hole" : "an overlap", one.tensor.name));
            demand(one.end <= data.size(),
                   fmt::format("the file ends before the bytes of '{}' do", one.tensor.name));
            covered = one.end;
            const auto part = data.subspan(one.begin, one.end - one.begin);
            one.tensor.bytes.assign(part.begin(), part.end());
            file.tensors.push_back(std::move(one.tensor));
        }
        demand(covered == data.size(),
               fmt::format("{} bytes at the end belong to no tensor", data.size() - covered));
        if (file.metadata.erase(checksum_key) > 0) {
            demand(
                is_sealed(bytes, prefix_bytes + header_bytes),
                fmt::format("its checksum is not that of its bytes: it is damaged, or was changed "
                            "by a program that kept '{}' in its metadata",
                            checksum_key));
        }
        return file;
    }
};

template <class T>
Tensor make_tensor(const char* dtype, std::string name, std::vector<std::int64_t> shape,
                   const T* values) {
    const std::int64_t bytes = bytes_of(shape, sizeof(T));
    if (bytes < 0) {
        throw std::invalid_argument(
            fmt::format("tensor {}: the shape {} is not possible; give sizes "
                        ">= 0",
                        name, shape_text(shape)));
    }
    const auto* first = reinterpret_cast<const std::byte*>(values);
    return {std::move(name), dtype, std::move(shape), {first, first + bytes}};
}

template <class T>
std::span<const T> values_of(const Tensor& tensor, const char* dtype) {
    if (tensor.dtype != dtype) {
        throw std::runtime_error(fmt::format("tensor {}: its type is {}, not {}; convert it first",
                                             tensor.name, tensor.dtype, dtype));
    }
    return {reinterpret_cast<const T*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(T)};
}

// Sign, exponent, fraction: a number is not finite where all bits of its exponent are set.
template <class Bits>
std::int64_t first_not_finite(std::span<const std::byte> bytes, Bits exponent) {
    for (std::size_t i = 0; i < bytes.size() / sizeof(Bits); ++i) {
        Bits bits;
        std::memcpy(&bits, bytes.data() + i * sizeof bits, sizeof bits);
        if ((bits & exponent) == exponent) {
            return static_cast<std::int64_t>(i);
        }
    }
    return -1;
}

// -1 where all are.
std::int64_t first_not_finite(const Tensor& tensor) {
    if (tensor.dtype == "F32") {
        return first_not_finite<std::uint32_t>(tensor.bytes, 0x7F800000u);
    }
    if (tensor.dtype == "F64") {
        return first_not_finite<std::uint64_t>(tensor.bytes, 0x7FF0000000000000u);
    }
    if (tensor.dtype == "F16") {
        return first_not_finite<std::uint16_t>(tensor.bytes, 0x7C00u);
    }
    return tensor.dtype == "BF16" ? first_not_finite<std::uint16_t>(tensor.bytes, 0x7F80u) : -1;
}

} // namespace

std::int64_t Tensor::size() const {
    return bytes_of(shape, 1);
}

bool TensorFile::has(const std::string& tensor) const {
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](const Tensor& one) { return one.name == tensor; });
}

const Tensor& TensorFile::at(const std::string& tensor) const {
    std::vector<std::string> names;
    for (const Tensor& one : tensors) {
        if (one.name == tensor) {
            return one;
        }
        names.push_back(one.name);
    }
    throw std::runtime_error(
        fmt::format("{}: there is no tensor '{}'; the file holds: {}", name, tensor,
                    names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

Tensor make_f32(std::string name, std::vector<std::int64_t> shape, const float* values) {
    return make_tensor("F32", std::move(name), std::move(shape), values);
}
Tensor make_u64(std::string name, std::vector<std::int64_t> shape, const std::uint64_t* values) {
    return make_tensor("U64", std::move(name), std::move(shape), values);
}
Tensor make_i64(std::string name, std::vector<std::int64_t> shape, const std::int64_t* values) {
    return make_tensor("I64", std::move(name), std::move(shape), values);
}

std::span<const float> f32(const Tensor& tensor) {
    return values_of<float>(tensor, "F32");
}
std::span<const std::uint64_t> u64(const Tensor& tensor) {
    return values_of<std::uint64_t>(tensor, "U64");
}
std::span<const std::int64_t> i64(const Tensor& tensor) {
    return values_of<std::int64_t>(tensor, "I64");
}

TensorFile read_unchecked_safetensors(const std::filesystem::path& path) {
    const std::vector<std::uint8_t> bytes = read_bytes(path, max_file_bytes);
    return decode_safetensors(std::as_bytes(std::span(bytes)), path.string());
}

TensorFile read_safetensors(const std::filesystem::path& path) {
    TensorFile file = read_unchecked_safetensors(path);
    for (const Tensor& tensor : file.tensors) {
        if (const std::int64_t place = first_not_finite(tensor); place >= 0) {
            throw std::runtime_error(
                fmt::format("{}: the tensor '{}' is not finite at element {}; take weights that "
                            "are, say those of an earlier checkpoint",
                            file.name, tensor.name, place));
        }
    }
    return file;
}

TensorFile decode_safetensors(std::span<const std::byte> bytes, const std::string& name) {
    return Reader{name}.decode(bytes);
}

std::vector<std::byte> encode_safetensors(const std::vector<Tensor>& tensors,
                                          const std::map<std::string, std::string>& metadata) {
    std::vector<const Tensor*> order;
    for (const Tensor& tensor : tensors) {
        const int rank = rank_of_type(tensor.dtype);
        const auto fail = [&](const std::string& fault) {
            throw std::invalid_argument(
                fmt::format("tensor {}: {}; correct it before it is saved", tensor.name, fault));
        };
        if (rank < 0) {
            fail(fmt::format("the type '{}' is not one of safetensors", tensor.dtype));
        }
        if (tensor.name == metadata_key) {
            fail("this name is reserved");
        }
        if (std::any_of(tensor.shape.begin(), tensor.shape.end(),
                        [](std::int64_t extent) { return extent < 0; }) ||
            bytes_of(tensor.shape, data_types[rank].bytes) !=
                static_cast<std::int64_t>(tensor.bytes.size())) {
            fail(fmt::format("{} bytes do not fill {} {}", tensor.bytes.size(), tensor.dtype,
                             shape_text(tensor.shape)));
        }
        order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
        const int rank_a = rank_of_type(a->dtype);
        const int rank_b = rank_of_type(b->dtype);
        return rank_a != rank_b ? rank_a > rank_b : a->name < b->name;
    });

    Json::Object header{{metadata_key, metadata}};
    header.back().value[checksum_key] = no_checksum;
    std::size_t end = 0;
    std::set<std::string> names;
    for (const Tensor* tensor : order) {
        if (!names.insert(tensor->name).second) {
            throw std::invalid_argument(fmt::format(
                "tensor {}: the name is taken twice; give every tensor its own", tensor->name));
        }
        const std::size_t begin = end;
        end += tensor->bytes.size();
        header.push_back({tensor->name,
                          {{"dtype", tensor->dtype},
                           {"shape", tensor->shape},
                           {"data_offsets", std::array{begin, end}}}});
    }
    std::string text = Json(std::move(header)).dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');

    std::vector<std::byte> bytes(prefix_bytes + text.size() + end);
    const std::uint64_t header_bytes = text.size();
    std::memcpy(bytes.data(), &header_bytes, prefix_bytes);
    std::memcpy(bytes.data() + prefix_bytes, text.data(), text.size());
    auto next = bytes.begin() + static_cast<std::ptrdiff_t>(prefix_bytes + text.size());
    for (const Tensor* tensor : order) {
        next = std::copy(tensor->bytes.begin(), tensor->bytes.end(), next);
    }
    seal(bytes, prefix_bytes + text.size());
    return bytes;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    const std::vector<std::byte> bytes = encode_safetensors(tensors, metadata);
    write_file_atomically(
        path, std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

} // namespace patchforge
