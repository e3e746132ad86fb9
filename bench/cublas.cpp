// The products of the default networks beside cuBLAS, float32, in one run on one GPU. cuBLAS is
// loaded when this runs: nothing here links with it.
//
// Both sides are captured into graphs of several calls whose operands rotate, so that together they
// exceed L2. A forward layer has bias and ReLU: in our kernel's epilogue; for cuBLAS as one kernel
// behind the product, in the column `with epilogue`. Results are compared before anything is timed.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <exception>
#include <stdexcept>

#include "bench/cublas_epilogue.h"
#include "bench/measure.h"
#include "host/run/version.h"

namespace patchforge::bench {
namespace {

constexpr int copies = 16;

// The four functions of cuBLAS that are used (cublas_api.h, stable since version 4).
class Cublas {
  public:
    explicit Cublas(cudaStream_t stream) {
        for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
            if ((library_ = dlopen(name, RTLD_NOW))) {
                break;
            }
        }
        if (!library_) {
            throw std::runtime_error("libcublas.so: not found by the loader; install cuBLAS or set "
                                     "LD_LIBRARY_PATH");
        }
        int (*create)(void**) = nullptr;
        int (*set_stream)(void*, cudaStream_t) = nullptr;
        get(create, "cublasCreate_v2");
        get(set_stream, "cublasSetStream_v2");
        get(sgemm_, "cublasSgemm_v2");
        check(create(&handle_), "cublasCreate");
        check(set_stream(handle_, stream), "cublasSetStream");
    }
    ~Cublas() {
        int (*destroy)(void*) = nullptr;
        get(destroy, "cublasDestroy_v2");
        destroy(handle_);
        dlclose(library_);
    }
    Cublas(const Cublas&) = delete;
    Cublas& operator=(const Cublas&) = delete;

    // Column-major: c [m, n] = op(a) op(b), k terms.
    void multiply(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, const float* a, std::int64_t lda, const float* b,
                  std::int64_t ldb, float* c, std::int64_t ldc) const {
        const float one = 1;
        const float zero = 0;
        check(sgemm_(handle_, transpose_a, transpose_b, static_cast<int>(m), static_cast<int>(n),
                     static_cast<int>(k), &one, a, static_cast<int>(lda), b, static_cast<int>(ldb),
                     &zero, c, static_cast<int>(ldc)),
              "cublasSgemm");
    }

  private:
    using Sgemm = int (*)(void*, int, int, int, int, int, const float*, const float*, int,
                          const float*, int, const float*, float*, int);

    static void check(int status, const char* call) {
        if (status != 0) {
            throw std::runtime_error(fmt::format("{}: cuBLAS answers {}", call, status));
        }
    }
    template <class Function>
    void get(Function& function, const char* name) const {
        function = reinterpret_cast<Function>(dlsym(library_, name));
        if (!function) {
            throw std::runtime_error(fmt::format("libcublas.so: has no {}", name));
        }
    }

    void* library_ = nullptr;
    void* handle_ = nullptr;
    Sgemm sgemm_ = nullptr;
};

struct Shape {
    enum class Kind { forward, input_gradient, weight_gradient } kind;
    std::int64_t batch, inputs, outputs;

    std::string name() const {
        const char* const names[] = {"forward", "input gradient", "weight gradient"};
        return fmt::format("{} {} > {}", names[static_cast<int>(kind)], inputs, outputs);
    }
};

// x [B, I], weight [O, I], z [B, O]; one of them is the result.
struct Operands {
    Operands(Backend& backend, const Shape& shape) : bias(random_array(backend, shape.outputs, 7)) {
        for (std::uint32_t i = 0; i < copies; ++i) {
            x.push_back(random_array(backend, shape.batch * shape.inputs, 10 + i));
            weight.push_back(random_array(backend, shape.inputs * shape.outputs, 40 + i));
            z.push_back(random_array(backend, shape.batch * shape.outputs, 70 + i));
        }
    }
    const DeviceArray<float>& result(const Shape& shape) const {
        return shape.kind == Shape::Kind::forward          ? z[0]
               : shape.kind == Shape::Kind::input_gradient ? x[0]
                                                           : weight[0];
    }
    std::vector<DeviceArray<float>> x, weight, z;
    DeviceArray<float> bias;
};

void call_ours(Backend& backend, const Shape& s, const Operands& o, std::size_t i) {
    const Matrix<float> x = o.x[i].matrix(s.batch, s.inputs);
    const Matrix<float> weight = o.weight[i].matrix(s.outputs, s.inputs);
    const Matrix<float> z = o.z[i].matrix(s.batch, s.outputs);
    switch (s.kind) {
    case Shape::Kind::forward:
        return backend.linear_forward(z, x, weight, o.bias.view(),
                                      {.activation = Activation::relu});
    case Shape::Kind::input_gradient:
        return backend.linear_input_gradient(x, z, weight, {}, {});
    case Shape::Kind::weight_gradient:
        return backend.linear_weight_gradient(weight, {}, z, x, false);
    }
}

void call_cublas(const Cublas& cublas, const Shape& s, const Operands& o, std::size_t i) {
    float* const x = o.x[i].data();
    float* const weight = o.weight[i].data();
    float* const z = o.z[i].data();
    switch (s.kind) {
    case Shape::Kind::forward: // z^T [O, B] = weight [O, I] x^T [I, B]
        return cublas.multiply(true, false, s.outputs, s.batch, s.inputs, weight, s.inputs, x,
                               s.inputs, z, s.outputs);
    case Shape::Kind::input_gradient: // x^T [I, B] = weight^T [I, O] z^T [O, B]
        return cublas.multiply(false, false, s.inputs, s.batch, s.outputs, weight, s.inputs, z,
                               s.outputs, x, s.inputs);
    case Shape::Kind::weight_gradient: // weight^T [I, O] = x^T [I, B] z [B, O]
        return cublas.multiply(false, true, s.inputs, s.outputs, s.batch, x, s.inputs, z, s.outputs,
                               weight, s.inputs);
    }
}

// Microseconds a call of a graph of `copies` calls on `stream`.
template <class Call>
double captured(Backend& backend, cudaStream_t stream, double seconds, Call call) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (std::size_t i = 0; i < copies; ++i) {
        call(i);
    }
    PATCHFORGE_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    PATCHFORGE_CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    const Timing timing = measure(backend, seconds, [&](std::int64_t times) {
        for (; times > 0; --times) {
            PATCHFORGE_CUDA_CHECK(cudaGraphLaunch(executable, stream));
        }
        PATCHFORGE_CUDA_CHECK(cudaStreamSynchronize(stream));
    });
    PATCHFORGE_CUDA_CHECK(cudaGraphExecDestroy(executable));
    PATCHFORGE_CUDA_CHECK(cudaGraphDestroy(graph));
    return timing.median * 1e3 / copies;
}

std::vector<float> download(const DeviceArray<float>& array) {
    std::vector<float> values(static_cast<std::size_t>(array.size()));
    array.download(values.data(), array.size());
    return values;
}

// Both sums have k terms of magnitude 1/4 at most.
void expect_equal(const std::vector<float>& ours, const std::vector<float>& theirs,
                  const std::string& what, std::int64_t terms) {
    const double allowed = 6e-8 * 0.25 * static_cast<double>(terms) * 8 + 1e-5;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (!(std::fabs(static_cast<double>(ours[i]) - theirs[i]) <= allowed)) {
            throw std::runtime_error(fmt::format("{}: element {} is {} here and {} in cuBLAS", what,
                                                 i, ours[i], theirs[i]));
        }
    }
}

void run(const Options& options) {
    if (const std::string reason = why_no_cuda(); !reason.empty()) {
        throw std::runtime_error("cublas: not measured, " + reason +
                                 "; run `make bench-gpu` on a machine with a GPU");
    }
    const auto backend = make_cuda_backend(0);
    cudaStream_t stream = nullptr;
    PATCHFORGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const Cublas cublas(stream);
    Table table({"product", "batch", "ours us", "cuBLAS us", "with epilogue us", "cuBLAS / ours",
                 "with epilogue / ours"});
    std::vector<std::string> json;
    using Kind = Shape::Kind;
    for (const std::int64_t batch : options.batches) {
        for (const Shape& shape :
             {Shape{Kind::forward, batch, 7500, 256}, Shape{Kind::forward, batch, 256, 256},
              Shape{Kind::forward, batch, 256, 7500}, Shape{Kind::input_gradient, batch, 7500, 256},
              Shape{Kind::input_gradient, batch, 256, 256},
              Shape{Kind::input_gradient, batch, 256, 7500},
              Shape{Kind::weight_gradient, batch, 7500, 256},
              Shape{Kind::weight_gradient, batch, 256, 256},
              Shape{Kind::weight_gradient, batch, 256, 7500}}) {
            const Operands operands(*backend, shape);
            const bool forward = shape.kind == Kind::forward;
            const auto epilogue = [&](std::size_t i) {
                launch_bias_relu(operands.z[i].matrix(shape.batch, shape.outputs),
                                 operands.bias.view(), stream);
            };
            call_ours(*backend, shape, operands, 0);
            const std::vector<float> ours = download(operands.result(shape));
            call_cublas(cublas, shape, operands, 0);
            if (forward) {
                epilogue(0);
            }
            PATCHFORGE_CUDA_CHECK(cudaStreamSynchronize(stream));
            expect_equal(ours, download(operands.result(shape)), shape.name(),
                         forward                              ? shape.inputs
                         : shape.kind == Kind::input_gradient ? shape.outputs
                                                              : shape.batch);

            const auto recording = backend->record([&] {
                for (std::size_t i = 0; i < copies; ++i) {
                    call_ours(*backend, shape, operands, i);
                }
            });
            const double our_us = measure(*backend, options.seconds,
                                          [&](std::int64_t times) { recording->replay(times); })
                                      .median *
                                  1e3 / copies;
            const auto call = [&](std::size_t i) { call_cublas(cublas, shape, operands, i); };
            const double cublas_us = captured(*backend, stream, options.seconds, call);
            const double with_epilogue = forward ? captured(*backend, stream, options.seconds,
                                                            [&](std::size_t i) {
                                                                call(i);
                                                                epilogue(i);
                                                            })
                                                 : cublas_us;
            table.add({shape.name(), std::to_string(batch), fmt::format("{:.1f}", our_us),
                       fmt::format("{:.1f}", cublas_us), fmt::format("{:.1f}", with_epilogue),
                       fmt::format("{:.2f}", cublas_us / our_us),
                       fmt::format("{:.2f}", with_epilogue / our_us)});
            json.push_back(fmt::format(
                R"({{"bench": "cublas", "product": "{}", "commit": "{}", "device": "{}", )"
                R"("batch": {}, "us": {:.3f}, "cublas_us": {:.3f}, "with_epilogue_us": {:.3f}}})",
                shape.name(), commit(), backend->description(), batch, our_us, cublas_us,
                with_epilogue));
        }
    }
    PATCHFORGE_CUDA_CHECK(cudaStreamDestroy(stream));
    publish(options,
            "# Products beside cuBLAS\n\nFloat32, microseconds a call, bias and ReLU included in "
            "ours.\n\n" +
                circumstances(*backend, measure_machine(*backend, 0)) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    try {
        patchforge::bench::run(patchforge::bench::parse_options(
            argc, argv, {1, 2, 4, 8, 10, 16, 20, 32, 64, 128, 256, 512, 1024}));
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: error: {}\n", error.what());
        return 1;
    }
}
