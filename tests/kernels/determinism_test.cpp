// Same bits every run: twice in a row, on any number of threads, in any order of blocks and
// threads.
#include "tests/kernels/backends.h"

#include <numeric>

#include "tests/kernels/operands.h"

#if defined(PATCHFORGE_SIMT)
#include <simt.h>
#endif

namespace patchforge::testing {
namespace {

// The bytes that every operation leaves behind, one after the other, with names to tell which
// differs.
class Outputs {
  public:
    template <class T>
    void add(const std::string& name, const GuardedArray<T>& array) {
        const std::vector<T> values = array.values();
        const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
        names_.push_back(name);
        bytes_.emplace_back(bytes, bytes + values.size() * sizeof(T));
    }
    void expect_equal(const Outputs& other, const std::string& what) const {
        ASSERT_EQ(names_.size(), other.names_.size());
        for (std::size_t n = 0; n < names_.size(); ++n) {
            EXPECT_TRUE(bytes_[n] == other.bytes_[n]) << names_[n] << " differs: " << what;
        }
    }

  private:
    std::vector<std::string> names_;
    std::vector<std::vector<unsigned char>> bytes_;
};

class EveryOperation {
  public:
    explicit EveryOperation(Backend& backend) : backend_(backend), step_(backend, 6, 2, 1) {
        linear(10, 257, 65);
        linear(1, 1000, 33);
        linear(33, 100, 129);
        linear(3, 7500, 31);
        linear(100, 31, 64);
        convolutions();
        element_wise();
        losses();
        reductions();
        batches();
        maps({33, 7, 7}, 9);
        maps({3, 33, 34}, 3);
    }
    const Outputs& outputs() const { return outputs_; }

  private:
    using Floats = GuardedArray<float>;

    Floats input(std::int64_t size) {
        return Floats::input(backend_, random_values(++seed_, size));
    }
    Floats changing(std::int64_t size) {
        return Floats::changing(backend_, random_values(++seed_, size, 0.1f, 1));
    }
    Floats output(std::int64_t size) { return Floats::output(backend_, size); }

    // Weight, moments: copied anew for every operation that changes them.
    struct Tensor {
        Floats value, first_moment, second_moment;
        AdamTensor view() const {
            return {value.view(), first_moment.view(), second_moment.view()};
        }
    };
    Tensor tensor(std::int64_t size) { return {changing(size), changing(size), changing(size)}; }
    void add(const std::string& name, const Tensor& tensor) {
        outputs_.add(name, tensor.value);
        outputs_.add(name + " first moment", tensor.first_moment);
        outputs_.add(name + " second moment", tensor.second_moment);
    }

    void linear(std::int64_t batch, std::int64_t inputs, std::int64_t outputs) {
        const std::string size = describe("", batch, "x", inputs, "->", outputs);
        const Epilogue epilogue = every_epilogue()[1].at(step_);
        const Adam adam{.step = step_.count()};
        const Floats x = input(batch * inputs), dz = input(batch * outputs), bias = input(outputs);
        const Floats weight = input(outputs * inputs);
        const Floats y = output(batch * outputs), dx = output(batch * inputs);
        const Floats d_weight = output(outputs * inputs), d_bias = output(outputs);
        backend_.linear_forward(y.matrix(batch, outputs), x.matrix(batch, inputs),
                                weight.matrix(outputs, inputs), bias.view(), epilogue);
        outputs_.add("linear_forward" + size, y);
        backend_.linear_input_gradient(dx.matrix(batch, inputs), dz.matrix(batch, outputs),
                                       weight.matrix(outputs, inputs), x.matrix(batch, inputs),
                                       epilogue);
        outputs_.add("linear_input_gradient" + size, dx);
        backend_.linear_weight_gradient(d_weight.matrix(outputs, inputs), d_bias.view(),
                                        dz.matrix(batch, outputs), x.matrix(batch, inputs), false);
        outputs_.add("linear_weight_gradient" + size, d_weight);
        outputs_.add("linear_weight_gradient, bias" + size, d_bias);
        const Tensor w = tensor(outputs * inputs), b = tensor(outputs);
        backend_.linear_weight_gradient_adam(w.view(), b.view(), dz.matrix(batch, outputs),
                                             x.matrix(batch, inputs), adam);
        add("linear_weight_gradient_adam" + size, w);
        add("linear_weight_gradient_adam, bias" + size, b);
        const Tensor w2 = tensor(outputs * inputs), b2 = tensor(outputs);
        const Floats dx2 = output(batch * inputs);
        backend_.linear_backward_adam(dx2.matrix(batch, inputs), w2.view(), b2.view(),
                                      dz.matrix(batch, outputs), x.matrix(batch, inputs), epilogue,
                                      adam);
        outputs_.add("linear_backward_adam" + size, dx2);
        add("linear_backward_adam" + size, w2);
        add("linear_backward_adam, bias" + size, b2);
    }

    // A layer of each kind, with few pictures and with many: these are cut in other ways.
    void convolutions() {
        using enum ConvolutionKind;
        const Epilogue epilogue = every_epilogue()[1].at(step_);
        const Adam adam{.step = step_.count()};
        for (const ConvolutionShape& shape :
             {ConvolutionShape{convolution, {17, 9, 10}, 20, 3, 3, 1, 1},
              ConvolutionShape{convolution, {3, 13, 13}, 16, 4, 4, 2, 1},
              ConvolutionShape{convolution, {5, 8, 9}, 5, 3, 3, 2, 1, 1, 5},
              ConvolutionShape{transposed, {12, 7, 7}, 9, 3, 3, 2, 1},
              ConvolutionShape{upsampled, {16, 4, 4}, 8, 3, 3, 1, 1, 1, 1, -1}}) {
            for (const std::int64_t batch : {2, 19}) {
                const std::string layer = describe(" ", shape.text(), "batch", batch);
                const Floats x = input(batch * shape.inputs());
                const Floats dz = input(batch * shape.outputs());
                const Floats weight = input(shape.weights()), bias = input(shape.out_channels);
                const Floats y = output(batch * shape.outputs());
                const Floats dx = output(batch * shape.inputs());
                const Floats d_weight = output(shape.weights());
                const Floats d_bias = output(shape.out_channels);
                const auto xs = x.matrix(batch, shape.inputs());
                const auto dzs = dz.matrix(batch, shape.outputs());
                backend_.convolution_forward(y.matrix(batch, shape.outputs()), xs, weight.view(),
                                             bias.view(), epilogue, shape);
                backend_.convolution_input_gradient(dx.matrix(batch, shape.inputs()), dzs,
                                                    weight.view(), xs, epilogue, shape);
                backend_.convolution_weight_gradient(d_weight.view(), d_bias.view(), dzs, xs, false,
                                                     shape);
                const Tensor w = tensor(shape.weights()), b = tensor(shape.out_channels);
                backend_.convolution_weight_gradient_adam(w.view(), b.view(), dzs, xs, adam, shape);
                outputs_.add("forward" + layer, y);
                outputs_.add("input gradient" + layer, dx);
                outputs_.add("weight gradient" + layer, d_weight);
                outputs_.add("bias gradient" + layer, d_bias);
                add("weight gradient, Adam" + layer, w);
                add("bias gradient, Adam" + layer, b);
            }
        }
    }

    void element_wise() {
        const std::int64_t rows = 17, columns = 257, size = rows * columns;
        const Floats x = input(size), g = input(size);
        for (const NamedEpilogue& named : every_epilogue()) {
            const Floats y = output(size), dz = output(size);
            backend_.activate(y.matrix(rows, columns), x.matrix(rows, columns), named.at(step_));
            backend_.activation_gradient(dz.matrix(rows, columns), g.matrix(rows, columns),
                                         y.matrix(rows, columns), named.at(step_));
            outputs_.add(std::string("activate ") + named.name, y);
            outputs_.add(std::string("activation_gradient ") + named.name, dz);
        }
        const Tensor w = tensor(size);
        backend_.adam(w.view(), g.view(), {.step = step_.count()});
        add("adam", w);
        const Floats average = changing(size), uniform = output(size), normal = output(size);
        backend_.moving_average(average.view(), x.view(), {0.9f});
        backend_.fill_uniform(uniform.view(), -1, 2, {4, 5, step_.count()});
        backend_.fill_normal(normal.view(), -1, 2, {4, 5, step_.count()});
        outputs_.add("moving_average", average);
        outputs_.add("fill_uniform", uniform);
        outputs_.add("fill_normal", normal);
    }

    void losses() {
        const std::int64_t rows = 1029;
        const Floats logit = input(rows);
        const Floats d = output(rows), metrics = output(DiscriminatorMetrics::count);
        backend_.discriminator_loss(d.view(), metrics.view(), logit.view(), 500,
                                    GanLoss::non_saturating, 0.9f);
        outputs_.add("discriminator_loss", d);
        outputs_.add("discriminator_loss metrics", metrics);
        const Floats d_generator = output(rows),
                     generator_metrics = output(GeneratorMetrics::count);
        backend_.generator_loss(d_generator.view(), generator_metrics.view(), logit.view(),
                                GanLoss::non_saturating);
        outputs_.add("generator_loss", d_generator);
        outputs_.add("generator_loss metrics", generator_metrics);

        const std::int64_t classes = 49, batch = 21; // 1029 = 49 * 21
        std::vector<std::int32_t> labels(rows);
        for (std::size_t e = 0; e < labels.size(); ++e) {
            labels[e] = e % 2;
        }
        const auto label = GuardedArray<std::int32_t>::input(backend_, labels);
        const Floats weight = input(classes), loss = output(rows), d_binary = output(rows);
        backend_.binary_cross_entropy(d_binary.view(), loss.view(), logit.view(), label.view(),
                                      weight.view().part(0, 2), 0.1f);
        outputs_.add("binary_cross_entropy", d_binary);
        outputs_.add("binary_cross_entropy loss", loss);
        const Floats row_loss = output(batch), d_softmax = output(rows);
        backend_.softmax_cross_entropy(d_softmax.matrix(batch, classes), row_loss.view(),
                                       logit.matrix(batch, classes), label.view().part(0, batch),
                                       weight.view(), 0.1f);
        outputs_.add("softmax_cross_entropy", d_softmax);
        outputs_.add("softmax_cross_entropy loss", row_loss);
    }

    void reductions() {
        const std::int64_t rows = 129, columns = 257;
        const Floats x = input(rows * columns);
        const auto sum = GuardedArray<double>::output(backend_, 1);
        const auto squares = GuardedArray<double>::output(backend_, 1);
        const Floats mean = output(columns), dead = output(1);
        backend_.sum(sum.view(), x.view());
        backend_.sum_of_squares(squares.view(), x.view());
        backend_.column_mean(mean.view(), x.matrix(rows, columns));
        backend_.count_dead_columns(dead.view(), x.matrix(rows, columns));
        outputs_.add("sum", sum);
        outputs_.add("sum_of_squares", squares);
        outputs_.add("column_mean", mean);
        outputs_.add("count_dead_columns", dead);

        const auto step = GuardedArray<std::uint64_t>::changing(backend_, {7});
        const Floats history = output(4 * 33), metrics = input(33);
        backend_.fill(history.view(), 0.5f);
        backend_.finish_iteration(step.data(), history.matrix(4, 33), metrics.view());
        outputs_.add("finish_iteration", history);
        outputs_.add("finish_iteration step", step);
    }

    void batches() {
        const std::int64_t count = 50, batch = 9, pixels = 257;
        std::vector<std::uint8_t> bytes(count * pixels);
        std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
        const auto resident = GuardedArray<std::uint8_t>::input(backend_, bytes);
        const auto row = GuardedArray<std::int32_t>::output(backend_, batch);
        const Floats x = output(batch * pixels);
        backend_.gather_rows(
            x.matrix(batch, pixels), row.view(), resident.matrix(count, pixels),
            PixelRange::signed_unit,
            {count, batch, count / batch, BatchPlan::Order::shuffled, 3, {nullptr, 1, 2}});
        outputs_.add("gather_rows", x);
        outputs_.add("gather_rows rows", row);
    }

    // Operations over maps that add something up.
    void maps(const Extent& extent, std::int64_t rows) {
        const std::string size = " of " + extent.text();
        const std::int64_t columns = extent.size(), channels = extent.channels;
        const Floats x = input(rows * columns), dy = input(rows * columns);
        const Floats scale = input(channels), shift = input(channels),
                     film = input(rows * 2 * channels);
        const auto sums = GuardedArray<double>::output(backend_, MapSets{extent, 1, 1}.sums(rows));
        const auto add_plane = [&](const std::string& name, const Floats& array) {
            outputs_.add(name + size, array);
        };
        for (const MapSets& sets : {MapSets{extent, rows, 1}, MapSets{extent, rows / 3, 1},
                                    MapSets{extent, 1, extent.channels / 3}}) {
            const std::int64_t count = sets.count(rows);
            const Floats y = output(rows * columns), statistics = output(2 * count);
            const Floats dx = output(rows * columns), d_scale = output(channels),
                         d_shift = output(channels);
            backend_.normalise_maps(y.matrix(rows, columns), statistics.matrix(2, count), {},
                                    sums.view(), x.matrix(rows, columns), sets, scale.view(),
                                    shift.view(), {});
            backend_.normalise_maps_gradient(dx.matrix(rows, columns), d_scale.view(),
                                             d_shift.view(), sums.view(), dy.matrix(rows, columns),
                                             x.matrix(rows, columns), statistics.matrix(2, count),
                                             sets, scale.view(), {}, false);
            add_plane("normalise_maps", y);
            add_plane("normalise_maps_gradient", dx);
            add_plane("normalise_maps_gradient, scale", d_scale);
            add_plane("normalise_maps_gradient, shift", d_shift);
            const auto more = GuardedArray<double>::output(backend_, sets.curvature_sums(rows));
            const Floats tangent = output(rows * columns);
            backend_.normalise_maps_tangent(tangent.matrix(rows, columns), more.view(),
                                            dy.matrix(rows, columns), x.matrix(rows, columns),
                                            statistics.matrix(2, count), sets, scale.view());
            backend_.normalise_maps_curvature(
                dx.matrix(rows, columns), d_scale.view(), more.view(), dy.matrix(rows, columns),
                tangent.matrix(rows, columns), x.matrix(rows, columns), statistics.matrix(2, count),
                sets, scale.view());
            add_plane("normalise_maps_tangent", tangent);
            add_plane("normalise_maps_curvature", dx);
            add_plane("normalise_maps_curvature, scale", d_scale);
        }
        const Floats d_film = output(rows * 2 * channels), d_strength = output(channels);
        const Floats dx = output(rows * columns);
        backend_.modulate_gradient(
            dx.matrix(rows, columns), d_film.matrix(rows, 2 * channels), d_strength.view(),
            sums.view(), dy.matrix(rows, columns), x.matrix(rows, columns), extent,
            {film.matrix(rows, 2 * channels), scale.view(), {3, 4, step_.count()}}, {}, false);
        add_plane("modulate_gradient, film", d_film);
        add_plane("modulate_gradient, strength", d_strength);
        const Floats deviation = output(rows * (columns + extent.plane()));
        backend_.append_deviation(deviation.matrix(rows, columns + extent.plane()),
                                  x.matrix(rows, columns), extent, 4);
        add_plane("append_deviation", deviation);
        const Pool pool{.kind = PoolKind::adaptive_average, .in = extent};
        const Floats pooled = output(rows * channels);
        backend_.pool(pooled.matrix(rows, channels), x.matrix(rows, columns), pool);
        add_plane("pool", pooled);

        const SpectralMatrix matrix{1, rows, columns};
        const Floats u = changing(rows), v = changing(columns), sigma = output(1);
        const Floats y = output(rows * columns), d_weight = output(rows * columns);
        backend_.spectral_normalise(y.view(), sigma.view(), u.view(), v.view(), x.view(), matrix,
                                    2);
        backend_.spectral_gradient(d_weight.view(), dy.view(), y.view(), sigma.view(), u.view(),
                                   v.view(), matrix, false);
        add_plane("spectral_normalise", y);
        add_plane("spectral_gradient", d_weight);
    }

    Backend& backend_;
    DeviceStep step_;
    std::uint64_t seed_ = 200;
    Outputs outputs_;
};

class DeterminismTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(DeterminismTest);
PATCHFORGE_IN_EVERY_PRECISION(DeterminismTest);

TEST_P(DeterminismTest, TwiceIsTheSame) {
    const EveryOperation first(backend()), second(backend());
    first.outputs().expect_equal(second.outputs(), "second run");
}

class ThreadsTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Every, ThreadsTest,
                         ::testing::Values("cpu", "cpu_baseline", "cpu_avx2", "cpu_avx512",
                                           "cpu_tf32"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ThreadsTest, DoNotMatter) {
    const auto one = make_backend_under_test(GetParam(), 1);
    const EveryOperation expected(*one);
    for (const int threads : {2, 3, 7}) {
        const auto several = make_backend_under_test(GetParam(), threads);
        const EveryOperation actual(*several);
        expected.outputs().expect_equal(actual.outputs(), describe("threads", threads));
    }
}

// A100, H100 PCIe, an odd one, H100 SXM and H200.
TEST(Determinism, MultiprocessorsDoNotMatter) {
    if (const std::string reason = why_missing("cuda"); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    const auto on = [](int multiprocessors) {
        const auto backend = make_cuda_backend(0, {.multiprocessors = multiprocessors});
        return EveryOperation(*backend).outputs();
    };
    const Outputs expected = on(132);
    for (const int multiprocessors : {108, 114, 128}) {
        expected.expect_equal(on(multiprocessors), describe("multiprocessors", multiprocessors));
    }
}

TEST(Determinism, ScheduleDoesNotMatter) {
#if defined(PATCHFORGE_SIMT)
    const simt::Schedule before = simt::schedule();
    for (const char* name : {"cuda", "cuda_tf32", "cuda_bf16"}) {
        const auto run = [&](const char* schedule) {
            simt::set_schedule(simt::parse_schedule(schedule));
            const auto backend = make_backend_under_test(name);
            return EveryOperation(*backend).outputs();
        };
        const Outputs forward = run("forward");
        for (const char* schedule : {"reverse", "random:1", "random:2"}) {
            forward.expect_equal(run(schedule), describe(name, schedule));
        }
    }
    simt::set_schedule(before);
#else
    GTEST_SKIP() << "cuda: a GPU chooses its own schedule";
#endif
}

} // namespace
} // namespace patchforge::testing
