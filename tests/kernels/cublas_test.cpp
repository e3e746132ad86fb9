// Linear layers by --gemm cublas. On the executor a column-major product of this file takes
// cuBLAS's place, so that operand order, transposition, leading dimensions, the stream and the
// recording are tested; on a GPU it is cuBLAS itself.
#include "tests/kernels/backends.h"

#include "kernels/cuda/cublas.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/rounding.h"

#if defined(PATCHFORGE_SIMT)
#include "tests/counted/counted_bytes.h"
#include "tests/kernels/cublas_stand_in.h"
#endif

namespace patchforge::testing {
namespace {

#if defined(PATCHFORGE_SIMT)

struct Library {
    cudaStream_t stream = nullptr;
    void* workspace = nullptr;
    std::vector<int> computes;
    int alive = 0;
};
Library library;

constexpr int invalid_value = 7; // CUBLAS_STATUS_INVALID_VALUE

int gemm_ex(void* handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
            const void* a, int type_a, int lda, const void* b, int type_b, int ldb,
            const void* beta, void* c, int type_c, int ldc, int compute, int algorithm) {
    // What cuBLAS demands of leading dimensions, and what the backend is to ask for.
    if (handle != &library || lda < (transpose_a ? k : m) || ldb < (transpose_b ? n : k) ||
        ldc < m || type_a != 0 || type_b != 0 || type_c != 0 || algorithm != -1 ||
        *static_cast<const float*>(alpha) != 1 || !library.workspace) {
        return invalid_value;
    }
    library.computes.push_back(compute);
    launch_product({transpose_a == 1, transpose_b == 1, m, n, k, static_cast<const float*>(a), lda,
                    static_cast<const float*>(b), ldb, *static_cast<const float*>(beta),
                    static_cast<float*>(c), ldc, compute},
                   library.stream);
    return 0;
}

const cuda::CublasFunctions functions = {[](void** handle) {
                                             *handle = &library;
                                             ++library.alive;
                                             return 0;
                                         },
                                         [](void*) {
                                             --library.alive;
                                             return 0;
                                         },
                                         [](void*, cudaStream_t stream) {
                                             library.stream = stream;
                                             library.workspace = nullptr; // as cuBLAS does
                                             return 0;
                                         },
                                         [](void*, void* memory, std::size_t bytes) {
                                             library.workspace =
                                                 bytes >= (std::size_t{4} << 20) ? memory : nullptr;
                                             return 0;
                                         },
                                         gemm_ex};

#endif

class CublasTest : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        if (const std::string reason = why_missing("cuda"); !reason.empty()) {
            GTEST_SKIP() << reason;
        }
#if defined(PATCHFORGE_SIMT)
        library = {};
        cuda::replace_cublas(&functions);
#endif
        try {
            backend_ = make_cuda_backend(0, {.precision = precision(), .gemm = Gemm::cublas});
        } catch (const std::runtime_error& error) {
            GTEST_SKIP() << error.what();
        }
    }
    void TearDown() override {
        backend_.reset();
#if defined(PATCHFORGE_SIMT)
        cuda::replace_cublas(nullptr);
        EXPECT_EQ(library.alive, 0);
#endif
    }
    Backend& backend() {
        return *backend_;
    }
    static Precision precision() {
        return precision_of(GetParam());
    }
    // cuBLAS may round the operands of products of any size.
    static oracle::DoubleMatrix operand(const oracle::DoubleMatrix& exact) {
        return oracle::rounded(exact, precision(), rounded_from_rows);
    }
    static std::vector<double> bounds(const oracle::Products& product, std::int64_t terms) {
        std::vector<double> tolerance;
        for (const double magnitude : product.magnitude.values) {
#if defined(PATCHFORGE_SIMT)
            tolerance.push_back(sum_bound(terms, magnitude));
#else
            // Whether and how it rounds is its own affair.
            tolerance.push_back(sum_bound(terms, magnitude) +
                                2.1 * oracle::rounding_error(precision()) * magnitude);
#endif
        }
        return tolerance;
    }

  private:
    std::unique_ptr<Backend> backend_;
};
INSTANTIATE_TEST_SUITE_P(In, CublasTest, ::testing::Values("cuda", "cuda_tf32", "cuda_bf16"),
                         [](const auto& info) { return std::string(info.param); });

struct Shape {
    std::int64_t batch, inputs, outputs;
};
const std::vector<Shape> shapes{{1, 1, 1}, {3, 33, 7}, {10, 64, 100}, {33, 31, 12}, {64, 300, 68}};

Epilogue epilogue_of(const Shape& shape, const DeviceStep& step) {
    return every_epilogue()[static_cast<std::size_t>(shape.batch) % every_epilogue().size()].at(
        step);
}

TEST_P(CublasTest, Forward) {
    for (const Shape& shape : shapes) {
        const auto [batch, inputs, outputs] = shape;
        SCOPED_TRACE(describe("batch", batch, "inputs", inputs, "outputs", outputs));
        const DeviceStep step(backend(), 41, 3, 1);
        const Epilogue epilogue = epilogue_of(shape, step);
        const auto x = random_values(1, batch * inputs);
        const auto weight = random_values(2, outputs * inputs);
        const auto bias = random_values(3, batch == 3 ? 0 : outputs);
        const auto y = GuardedArray<float>::output(backend(), batch * outputs);
        const auto x_there = GuardedArray<float>::input(backend(), x);
        const auto weight_there = GuardedArray<float>::input(backend(), weight);
        const auto bias_there = GuardedArray<float>::input(backend(), bias);
        backend().linear_forward(y.matrix(batch, outputs), x_there.matrix(batch, inputs),
                                 weight_there.matrix(outputs, inputs), bias_there.view(), epilogue);

        const oracle::Epilogue reference(epilogue, step.value());
        const oracle::Products z =
            oracle::linear(operand({batch, inputs, x}), operand({outputs, inputs, weight}),
                           oracle::to_double(bias));
        const oracle::DoubleMatrix expected = oracle::activate(z.value, reference);
        std::vector<double> tolerance = bounds(z, inputs + 1);
        for (std::size_t e = 0; e < tolerance.size(); ++e) {
            tolerance[e] = epilogue_bound(z.value.values[e], tolerance[e], expected.values[e],
                                          epilogue.dropout);
        }
        expect_close(y.values(), expected.values, tolerance, outputs, "y");
    }
}

TEST_P(CublasTest, Gradients) {
    for (const Shape& shape : shapes) {
        for (const bool accumulate : {false, true}) {
            const auto [batch, inputs, outputs] = shape;
            SCOPED_TRACE(describe("batch", batch, "inputs", inputs, "outputs", outputs));
            const auto dz = random_values(1, batch * outputs);
            const auto x = random_values(2, batch * inputs);
            const auto weight = random_values(3, outputs * inputs);
            const auto before = random_values(4, outputs * inputs);
            const auto bias_before = random_values(5, outputs);
            const auto start = [&](const std::vector<float>& values) {
                return accumulate ? GuardedArray<float>::changing(backend(), values)
                                  : GuardedArray<float>::output(
                                        backend(), static_cast<std::int64_t>(values.size()));
            };
            const auto dx = GuardedArray<float>::output(backend(), batch * inputs);
            const auto d_weight = start(before);
            const auto d_bias = start(bias_before);
            const auto dz_there = GuardedArray<float>::input(backend(), dz);
            const auto x_there = GuardedArray<float>::input(backend(), x);
            const auto weight_there = GuardedArray<float>::input(backend(), weight);
            const Epilogue previous = {.activation = Activation::leaky_relu, .random = {}};
            backend().linear_input_gradient(
                dx.matrix(batch, inputs), dz_there.matrix(batch, outputs),
                weight_there.matrix(outputs, inputs), x_there.matrix(batch, inputs), previous);
            backend().linear_weight_gradient(d_weight.matrix(outputs, inputs), d_bias.view(),
                                             dz_there.matrix(batch, outputs),
                                             x_there.matrix(batch, inputs), accumulate);

            oracle::Products by_input = oracle::linear_input_gradient(
                operand({batch, outputs, dz}), operand({outputs, inputs, weight}));
            for (std::size_t e = 0; e < x.size(); ++e) {
                const double slope = x[e] > 0 ? 1.0 : static_cast<double>(previous.slope);
                by_input.value.values[e] *= slope;
            }
            expect_close(dx.values(), by_input.value.values, bounds(by_input, outputs + 4), inputs,
                         "dx");
            oracle::Products by_weight = oracle::linear_weight_gradient(
                operand({batch, outputs, dz}), operand({batch, inputs, x}));
            oracle::Products by_bias = oracle::linear_bias_gradient({batch, outputs, dz});
            for (std::int64_t o = 0; accumulate && o < outputs; ++o) {
                by_bias.add(0, o, bias_before[static_cast<std::size_t>(o)]);
                for (std::int64_t i = 0; i < inputs; ++i) {
                    by_weight.add(o, i, before[static_cast<std::size_t>(o * inputs + i)]);
                }
            }
            expect_close(d_weight.values(), by_weight.value.values, bounds(by_weight, batch + 1),
                         inputs, "d_weight");
            expect_close(d_bias.values(), by_bias.value.values, bounds(by_bias, batch + 1), outputs,
                         "d_bias");
        }
    }
}

// The input gradient takes the weights as they were; recorded once and replayed, both steps count.
TEST_P(CublasTest, BackwardAdamIsRecorded) {
    const std::int64_t batch = 10, inputs = 37, outputs = 20;
    const DeviceStep step(backend(), 2, 2, 1);
    const Adam adam = {.learning_rate = 0.01f, .beta1 = 0.5f, .step = step.count(), .clip = 0.9f};
    const auto dz = random_values(1, batch * outputs);
    const auto x = random_values(2, batch * inputs);
    TensorUnderAdam weight(backend(), 3, outputs * inputs, 0);
    TensorUnderAdam bias(backend(), 6, outputs, 0);
    const auto dx = GuardedArray<float>::output(backend(), batch * inputs);
    const auto dz_there = GuardedArray<float>::input(backend(), dz);
    const auto x_there = GuardedArray<float>::input(backend(), x);
    const auto recording = backend().record([&] {
        backend().linear_backward_adam(dx.matrix(batch, inputs), weight.tensor(), bias.tensor(),
                                       dz_there.matrix(batch, outputs),
                                       x_there.matrix(batch, inputs), {}, adam);
    });
    recording->replay();

    const oracle::Products expected = oracle::linear_input_gradient(
        operand({batch, outputs, dz}), operand(weight.expected_weight(outputs, inputs)));
    expect_close(dx.values(), expected.value.values, bounds(expected, outputs), inputs, "dx");
    const oracle::Products by_weight =
        oracle::linear_weight_gradient(operand({batch, outputs, dz}), operand({batch, inputs, x}));
    weight.expect_step(by_weight.value.values, bounds(by_weight, batch), adam, step.value());
    weight.compare(inputs, "weight");
    bias.expect_step(oracle::linear_bias_gradient({batch, outputs, dz}), batch, adam, step.value());
    bias.compare(outputs, "bias");
#if defined(PATCHFORGE_SIMT)
    const int asked = precision() == Precision::tf32   ? cuda::cublas_compute_tf32
                      : precision() == Precision::bf16 ? cuda::cublas_compute_bf16
                                                       : cuda::cublas_compute_float32;
    EXPECT_EQ(library.computes, std::vector<int>(2, asked));
#endif
}

#if defined(PATCHFORGE_SIMT)
// A gradient larger than the backend's buffer goes through it in pieces of whole rows.
TEST_P(CublasTest, AdamTakesALargeGradientInPieces) {
    const std::int64_t batch = 1, inputs = cuda::Cublas::gradient_size / 3 + 1, outputs = 3;
    const DeviceStep step(backend(), 0, 1, 0);
    const Adam adam = {.learning_rate = 0.5f, .beta1 = 0, .step = step.count()};
    DeviceArray<float> weight(backend(), outputs * inputs), first(backend(), outputs * inputs),
        second(backend(), outputs * inputs), x(backend(), inputs), dz(backend(), outputs);
    backend().fill(x.view(), 1);
    const std::vector<float> slopes{1, -1, 2};
    dz.upload(slopes.data(), outputs);
    backend().linear_weight_gradient_adam({weight.view(), first.view(), second.view()}, {},
                                          dz.matrix(batch, outputs), x.matrix(batch, inputs), adam);
    EXPECT_EQ(library.computes.size(), 2u); // two rows, then one
    std::vector<float> moments(static_cast<std::size_t>(outputs * inputs));
    first.download(moments.data(), first.size());
    for (std::int64_t o = 0; o < outputs; ++o) {
        for (const std::int64_t i : {std::int64_t{0}, inputs - 1}) {
            EXPECT_EQ(moments[static_cast<std::size_t>(o * inputs + i)],
                      slopes[static_cast<std::size_t>(o)]);
        }
    }
}

#if defined(__SANITIZE_THREAD__)
// The kernels around the product, at sizes whose bytes are judged.
TEST_P(CublasTest, KernelsTouchWhatTheyDeclare) {
    const std::int64_t batch = 13, inputs = 300, outputs = 500;
    const DeviceStep step(backend(), 2, 2, 1);
    const Adam adam = {.learning_rate = 0.01f, .step = step.count()};
    const Epilogue leaky = {.activation = Activation::leaky_relu, .random = {}};
    TensorUnderAdam weight(backend(), 3, outputs * inputs, 0);
    TensorUnderAdam bias(backend(), 6, outputs, 0);
    const auto x = GuardedArray<float>::input(backend(), random_values(1, batch * inputs));
    const auto dz = GuardedArray<float>::input(backend(), random_values(2, batch * outputs));
    const auto dx = GuardedArray<float>::output(backend(), batch * inputs);
    const auto y = GuardedArray<float>::output(backend(), batch * outputs);
    std::vector<KernelTraffic> kernels = count_traffic(backend(), [&] {
        backend().linear_forward(y.matrix(batch, outputs), x.matrix(batch, inputs),
                                 {weight.tensor().value.data, outputs, inputs}, bias.tensor().value,
                                 leaky);
        backend().linear_backward_adam(dx.matrix(batch, inputs), weight.tensor(), bias.tensor(),
                                       dz.matrix(batch, outputs), x.matrix(batch, inputs), leaky,
                                       adam);
    });
    // What stands in for cuBLAS declares nothing.
    EXPECT_EQ(std::erase_if(kernels, [](const auto& kernel) { return kernel.name == "gemm"; }), 3u);
    expect_declared(kernels);
}
#endif

TEST(Cublas, ErrorsNameTheFunction) {
    cuda::CublasFunctions failing = functions;
    failing.create = [](void**) { return 1; };
    cuda::replace_cublas(&failing);
    try {
        make_cuda_backend(0, {.gemm = Gemm::cublas});
        ADD_FAILURE() << "no error";
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(std::string(error.what()).find("--gemm cublas: cublasCreate answers 1"), 0u);
    }
    cuda::replace_cublas(nullptr);
}

TEST(Cublas, SaysWhatToInstall) {
    try {
        cuda::load_cublas();
        GTEST_SKIP() << "libcublas is installed here";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("install cuBLAS"), std::string::npos);
    }
}
#endif

TEST(Gemm, IsRefusedOnTheCpu) {
    try {
        make_backend("cpu", {.gemm = Gemm::cublas});
        ADD_FAILURE() << "no error";
    } catch (const std::invalid_argument& error) {
        EXPECT_EQ(std::string(error.what()).find("--gemm cublas: the device is the CPU"), 0u);
    }
}

} // namespace
} // namespace patchforge::testing
