#pragma once

#include <cstring>

#include "host/files/safetensors.h"
#include "tests/fuzz/mutator.h"

namespace patchforge {

inline FuzzTarget safetensors_fuzz_target() {
    FuzzTarget target;
    target.name = "safetensors";
    const auto add = [&](const std::vector<Tensor>& tensors,
                         const std::map<std::string, std::string>& metadata) {
        const std::vector<std::byte> bytes = encode_safetensors(tensors, metadata);
        const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
        target.corpus.emplace_back(first, first + bytes.size());
    };
    const float values[12] = {1, -2, 3.5F, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const std::uint64_t step = 77;
    add({make_f32("0.weight", {3, 4}, values), make_f32("0.bias", {3}, values),
         make_u64("step", {}, &step)},
        {{"shape", "4 3"}, {"note", "\"quoted\" \xC3\xA9"}});
    add({make_f32("empty", {0, 5}, values), {"bytes", "U8", {3}, std::vector<std::byte>(3)}}, {});
    add({}, {});
    // What is accepted must encode again, to something that reads as the same.
    target.read = [](const FuzzBytes& bytes) {
        const TensorFile file = decode_safetensors(std::as_bytes(std::span(bytes)), "fuzz input");
        const TensorFile again =
            decode_safetensors(encode_safetensors(file.tensors, file.metadata), "encoded again");
        if (again.tensors.size() != file.tensors.size() || again.metadata != file.metadata) {
            throw std::logic_error("encoding again changed the file");
        }
    };
    // Gives the header's length to what is there, so that damage reaches the JSON.
    target.mend = [](FuzzBytes& bytes) {
        for (std::size_t i = bytes.size(); i > 8; --i) {
            if (bytes[i - 1] == '}') {
                const std::uint64_t length = i - 8;
                std::memcpy(bytes.data(), &length, sizeof length);
                return;
            }
        }
    };
    return target;
}

} // namespace patchforge
