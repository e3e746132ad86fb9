// The backends under test. Every test of an operation is a TEST_P of a suite of BackendTest and
// runs on each of them, from one source:
//
//     cpu            the CPU backend as a user gets it
//     cpu_baseline   the same, held to the instruction set named (PATCHFORGE_CPU)
//     cpu_avx2, cpu_avx512
//     cuda           the CUDA backend: its kernels run by the executor in tests/simt, or by a GPU,
//                    and overlapping where that can be (the executor then checks that they wait)
//     cuda_ptx       what `cuda` is called where tests/ptx runs the shipped PTX instead of the text
//     cpu_tf32, cpu_bf16, cuda_tf32, cuda_bf16
//                    both with linear layers in that precision, for the suites that ask for it
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "kernels/backend.h"

namespace patchforge::testing {

// Sets an environment variable for a scope.
class ScopedVariable {
  public:
    ScopedVariable(std::string name, const std::string& value);
    ~ScopedVariable();
    ScopedVariable(const ScopedVariable&) = delete;
    ScopedVariable& operator=(const ScopedVariable&) = delete;

  private:
    std::string name_;
    std::string before_;
    bool was_set_ = false;
};

// What a backend is called in the names of tests.
std::string shown_name(const std::string& backend);
// What the backend of this name rounds the operands of linear layers to.
Precision precision_of(const std::string& backend);
// Empty when the backend can be made here, otherwise why not.
std::string why_missing(const std::string& backend);
std::unique_ptr<Backend> make_backend_under_test(const std::string& backend, int threads = 0);

class BackendTest : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        if (const std::string reason = why_missing(GetParam()); !reason.empty()) {
            GTEST_SKIP() << GetParam() << ": " << reason;
        }
        backend_ = make_backend_under_test(GetParam());
    }
    Backend& backend() { return *backend_; }
    static Precision precision() { return precision_of(GetParam()); }

  private:
    std::unique_ptr<Backend> backend_;
};

#define PATCHFORGE_ON_EVERY_BACKEND(Suite)                                                         \
    INSTANTIATE_TEST_SUITE_P(                                                                      \
        Every, Suite, ::testing::Values("cpu", "cpu_baseline", "cpu_avx2", "cpu_avx512", "cuda"),  \
        [](const auto& info) { return ::patchforge::testing::shown_name(info.param); })

// What the CPU's kernels alone do in a way of their own.
#define PATCHFORGE_ON_EVERY_CPU(Suite)                                                             \
    INSTANTIATE_TEST_SUITE_P(                                                                      \
        Every, Suite, ::testing::Values("cpu_baseline", "cpu_avx2", "cpu_avx512"),                 \
        [](const auto& info) { return ::patchforge::testing::shown_name(info.param); })

#define PATCHFORGE_IN_EVERY_PRECISION(Suite)                                                       \
    INSTANTIATE_TEST_SUITE_P(                                                                      \
        Rounded, Suite, ::testing::Values("cpu_tf32", "cpu_bf16", "cuda_tf32", "cuda_bf16"),       \
        [](const auto& info) { return ::patchforge::testing::shown_name(info.param); })

} // namespace patchforge::testing
