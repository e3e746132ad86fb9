#include "tests/kernels/backends.h"

#include <cstdlib>
#include <optional>

#include "kernels/cuda/device.h"

namespace patchforge::testing {

ScopedVariable::ScopedVariable(std::string name, const std::string& value)
    : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) {
        before_ = before;
        was_set_ = true;
    }
    setenv(name_.c_str(), value.c_str(), 1);
}

ScopedVariable::~ScopedVariable() {
    if (was_set_) {
        setenv(name_.c_str(), before_.c_str(), 1);
    } else {
        unsetenv(name_.c_str());
    }
}

namespace {

std::string instruction_set(const std::string& backend) {
    const bool named = backend.starts_with("cpu_") && precision_of(backend) == Precision::float32;
    return named ? backend.substr(4) : "";
}

} // namespace

std::string shown_name(const std::string& backend) {
    const bool ptx = backend.starts_with("cuda") && std::getenv("PATCHFORGE_PTX");
    return ptx ? "cuda_ptx" + backend.substr(4) : backend;
}

Precision precision_of(const std::string& backend) {
    return backend.ends_with("_tf32")   ? Precision::tf32
           : backend.ends_with("_bf16") ? Precision::bf16
                                        : Precision::float32;
}

std::string why_missing(const std::string& backend) {
    if (backend.starts_with("cuda")) {
        return why_no_cuda();
    }
#if defined(__x86_64__)
    const std::string isa = instruction_set(backend);
    if (isa == "avx2" && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) {
        return "this CPU has no AVX2";
    }
    if (isa == "avx512" &&
        !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))) {
        return "this CPU has no AVX-512";
    }
#endif
    return "";
}

std::unique_ptr<Backend> make_backend_under_test(const std::string& backend, int threads) {
    BackendOptions options = {.threads = threads, .precision = precision_of(backend)};
    if (backend.starts_with("cuda")) {
        options.overlap_launches = cuda::why_no_overlap(0).empty();
        return make_cuda_backend(0, options);
    }
    std::optional<ScopedVariable> held;
    if (const std::string isa = instruction_set(backend); !isa.empty()) {
        held.emplace("PATCHFORGE_CPU", isa);
    }
    return make_cpu_backend(options);
}

} // namespace patchforge::testing
