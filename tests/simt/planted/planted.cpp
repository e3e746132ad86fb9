#include "tests/simt/planted/planted.h"

namespace planted {

Array::Array(const std::vector<float>& values) : Array(values.size()) {
    PATCHFORGE_CUDA_CHECK(
        cudaMemcpy(data_, values.data(), size_ * sizeof(float), cudaMemcpyHostToDevice));
}

Array::Array(std::size_t size) : size_(size) {
    PATCHFORGE_CUDA_CHECK(cudaMalloc(&data_, size_ * sizeof(float)));
}

std::vector<float> Array::values() const {
    std::vector<float> values(size_);
    PATCHFORGE_CUDA_CHECK(
        cudaMemcpy(values.data(), data_, size_ * sizeof(float), cudaMemcpyDeviceToHost));
    return values;
}

std::vector<float> integers(std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>((i * 37 + i / 11) % 17) - 8.0f;
    }
    return values;
}

} // namespace planted
