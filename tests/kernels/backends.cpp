#include "tests/kernels/backends.h"

#include <cstdlib>
#include <optional>

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
    return backend.starts_with("cpu_") ? backend.substr(4) : "";
}

} // namespace

std::string why_missing(const std::string& backend) {
    if (backend == "cuda") {
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
    if (backend == "cuda") {
        return make_cuda_backend(0);
    }
    std::optional<ScopedVariable> held;
    if (const std::string isa = instruction_set(backend); !isa.empty()) {
        held.emplace("PATCHFORGE_CPU", isa);
    }
    return make_cpu_backend({.threads = threads});
}

} // namespace patchforge::testing
