// Batch, instance and group normalisation of maps against the oracle and golden values, their
// gradients against central differences of it.
#include "tests/kernels/backends.h"
#include "tests/kernels/differences.h"
#include "tests/kernels/golden.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/normalise_maps.h"

namespace patchforge::testing {
namespace {

struct MapsCase {
    const char* name;
    std::int64_t batch;
    MapSets sets;
    int epilogue = 0; // of every_epilogue(), before and after
};

const std::vector<MapsCase>& maps_cases() {
    static const std::vector<MapsCase> all{
        {"batch", 2, {{3, 5, 5}, 2, 1}, 3},
        {"batch, one pixel", 2, {{1, 1, 1}, 2, 1}},
        {"batch, after a linear layer", 9, {{33, 1, 1}, 9, 1}, 1},
        {"batch of 21, more rows than warps", 21, {{2, 2, 3}, 21, 1}, 5},
        {"batch, planes of blocks", 3, {{2, 33, 32}, 3, 1}},
        {"real and fake apart", 6, {{3, 5, 4}, 3, 1}, 2},
        {"three parts, many channels", 6, {{65, 1, 3}, 2, 1}},
        {"instance", 3, {{5, 7, 7}, 1, 1}, 4},
        {"instance, one line", 1, {{1, 1, 2}, 1, 1}},
        {"group", 4, {{8, 3, 2}, 1, 4}, 7},
        {"group, 1x1 maps", 3, {{6, 1, 1}, 1, 3}},
        {"layer", 2, {{35, 2, 5}, 1, 35}, 8},
    };
    return all;
}

class NormaliseMapsTest : public BackendTest {
  protected:
    using Floats = GuardedArray<float>;

    // One case on the device.
    struct Problem {
        Problem(Backend& backend, const MapsCase& c, std::uint64_t seed, bool affine = true)
            : backend_(backend), sets(c.sets), rows(c.batch), columns(c.sets.extent.size()),
              step(backend, 3, 5, 2), x(random_values(seed, rows * columns, -1, 3)),
              dy(random_values(seed + 1, rows * columns)),
              scale(affine ? random_values(seed + 2, sets.extent.channels, 0.5f, 2)
                           : std::vector<float>{}),
              shift(affine ? random_values(seed + 3, sets.extent.channels) : std::vector<float>{}),
              epilogue(every_epilogue()[static_cast<std::size_t>(c.epilogue)].at(step)),
              reference(epilogue, step.value()), shift_of_memory(static_cast<int>(rows % 4)),
              x_device(Floats::input(backend, x, shift_of_memory)),
              dy_device(Floats::input(backend, dy, shift_of_memory)),
              scale_device(Floats::input(backend, scale, 1)),
              shift_device(Floats::input(backend, shift, 2)),
              statistics(Floats::output(backend, 2 * sets.count(rows), 1)),
              sums(GuardedArray<double>::output(backend, sets.sums(rows))) {}

        Matrix<float> of(const Floats& array) const { return array.matrix(rows, columns); }
        Matrix<float> statistics_view() const { return statistics.matrix(2, sets.count(rows)); }
        Floats output() const { return Floats::output(backend_, rows * columns, shift_of_memory); }
        void forward(const Floats& y, const Floats& from,
                     const RunningStatistics& running = {}) const {
            backend_.normalise_maps(of(y), statistics_view(), running, sums.view(), of(from), sets,
                                    scale_device.view(), shift_device.view(), epilogue);
        }
        void backward(const Floats& dx, const Floats& d_scale, const Floats& d_shift,
                      const Floats& from, bool accumulate) const {
            backend_.normalise_maps_gradient(of(dx), d_scale.view(), d_shift.view(), sums.view(),
                                             of(from), of(x_device), statistics_view(), sets,
                                             scale_device.view(), epilogue, accumulate);
        }

        Backend& backend_;
        MapSets sets;
        std::int64_t rows, columns;
        DeviceStep step;
        std::vector<float> x, dy, scale, shift;
        Epilogue epilogue;
        oracle::Epilogue reference;
        int shift_of_memory;
        Floats x_device, dy_device, scale_device, shift_device, statistics;
        GuardedArray<double> sums;
    };
};
PATCHFORGE_ON_EVERY_BACKEND(NormaliseMapsTest);

TEST_P(NormaliseMapsTest, Forward) {
    for (const MapsCase& c : maps_cases()) {
        for (const bool affine : {true, false}) {
            SCOPED_TRACE(describe(c.name, c.batch, "affine", affine));
            const Problem p(backend(), c, 401, affine);
            const auto expected =
                oracle::normalise_maps({p.rows, p.columns, p.x}, p.sets, oracle::to_double(p.scale),
                                       oracle::to_double(p.shift));
            const auto activated = oracle::activate(expected.y, p.reference);
            std::vector<double> tolerance;
            for (std::size_t e = 0; e < p.x.size(); ++e) {
                // Numbers of order 1, the mean rounded to float32 and divided by deviations of as
                // little as 0.1.
                tolerance.push_back(epilogue_bound(expected.y.values[e], 4e-6, activated.values[e],
                                                   p.epilogue.dropout));
            }
            const Floats y = p.output();
            p.forward(y, p.x_device);
            expect_close(y.values(), activated.values, tolerance, p.columns, "y");
            std::vector<double> both = expected.mean;
            both.insert(both.end(), expected.variance.begin(), expected.variance.end());
            expect_close(p.statistics.values(), both, 4e-7, "statistics");

            const Floats in_place = Floats::changing(backend(), p.x, p.shift_of_memory);
            p.forward(in_place, in_place);
            EXPECT_EQ(in_place.values(), y.values());
        }
    }
}

// Running statistics follow every part of the batch in turn, and evaluation uses them: a picture
// gives the same bytes alone as among others.
TEST_P(NormaliseMapsTest, Evaluation) {
    for (const MapsCase& c : maps_cases()) {
        if (c.sets.channels > 1) {
            continue;
        }
        SCOPED_TRACE(describe(c.name, c.batch));
        const Problem p(backend(), c, 411);
        const std::int64_t channels = p.sets.extent.channels;
        const auto before = random_values(414, 2 * channels, 0.5f, 2);
        const Floats running = Floats::changing(backend(), before, 1);
        p.forward(p.output(), p.x_device, {running.matrix(2, channels), 0.1f});

        const auto half = before.begin() + channels;
        const auto after = oracle::updated(
            {{before.begin(), half}, {half, before.end()}},
            oracle::normalise_maps({p.rows, p.columns, p.x}, p.sets, {}, {}), p.sets);
        std::vector<double> both = after.mean;
        both.insert(both.end(), after.variance.begin(), after.variance.end());
        expect_close(running.values(), both, 1e-6, "running");

        const auto evaluate = [&](const Floats& x, const Floats& y, std::int64_t first,
                                  std::int64_t rows) {
            backend().normalise_maps_by(p.of(y).row_range(first, rows),
                                        p.of(x).row_range(first, rows), running.matrix(2, channels),
                                        {p.sets.extent, rows, 1}, p.scale_device.view(),
                                        p.shift_device.view(), {});
        };
        const Floats together = p.output();
        evaluate(p.x_device, together, 0, p.rows);
        std::vector<double> expected;
        for (std::size_t e = 0; e < p.x.size(); ++e) {
            const auto channel = e / static_cast<std::size_t>(p.sets.extent.plane()) %
                                 static_cast<std::size_t>(channels);
            expected.push_back((p.x[e] - after.mean[channel]) /
                                   std::sqrt(after.variance[channel] + 1e-5) * p.scale[channel] +
                               p.shift[channel]);
        }
        expect_close(together.values(), expected, 1e-5, "y");
        const Floats alone = Floats::changing(backend(), p.x, p.shift_of_memory); // in place
        for (std::int64_t row = 0; row < p.rows; ++row) {
            evaluate(alone, alone, row, 1);
        }
        EXPECT_EQ(alone.values(), together.values());

        const Floats dx = p.output();
        backend().normalise_maps_by_gradient(
            p.of(dx), p.of(p.dy_device), p.of(p.x_device), running.matrix(2, channels),
            {p.sets.extent, p.rows, 1}, p.scale_device.view(), p.epilogue);
        std::vector<double> gradient;
        for (std::size_t e = 0; e < p.x.size(); ++e) {
            const auto channel = e / static_cast<std::size_t>(p.sets.extent.plane()) %
                                 static_cast<std::size_t>(channels);
            gradient.push_back(p.dy[e] * p.scale[channel] /
                               std::sqrt(after.variance[channel] + 1e-5) *
                               p.reference.derivative(p.x[e], e));
        }
        expect_close(dx.values(), gradient, 4e-5, "dx");
    }
}

TEST_P(NormaliseMapsTest, Gradient) {
    for (const MapsCase& c : maps_cases()) {
        for (const bool affine : {true, false}) {
            SCOPED_TRACE(describe(c.name, c.batch, "affine", affine));
            const Problem p(backend(), c, 421, affine);
            p.forward(p.output(), p.x_device);
            const std::int64_t channels = affine ? p.sets.extent.channels : 0;
            const Floats dx = p.output();
            const Floats d_scale = Floats::output(backend(), channels, 1);
            const Floats d_shift = Floats::output(backend(), channels, 2);
            p.backward(dx, d_scale, d_shift, p.dy_device, false);

            oracle::DoubleMatrix x(p.rows, p.columns, p.x);
            auto scale = oracle::to_double(p.scale), shift = oracle::to_double(p.shift);
            const auto loss = [&] {
                return dot(p.dy, oracle::normalise_maps(x, p.sets, scale, shift).y.values);
            };
            const auto of_previous = [&](std::size_t e) {
                return p.reference.derivative(p.x[e], e);
            };
            expect_slopes(x.values, dx.values(), loss, 4e-5, "x", of_previous, 60);
            expect_slopes(scale, d_scale.values(), loss, 2e-5, "scale");
            expect_slopes(shift, d_shift.values(), loss, 2e-5, "shift");

            const auto once_scale = d_scale.values(), once_shift = d_shift.values();
            const Floats in_place = Floats::changing(backend(), p.dy, p.shift_of_memory);
            p.backward(in_place, d_scale, d_shift, in_place, true);
            EXPECT_EQ(in_place.values(), dx.values());
            for (std::size_t e = 0; e < once_scale.size(); ++e) {
                EXPECT_FLOAT_EQ(d_scale.values()[e], 2 * once_scale[e]);
                EXPECT_FLOAT_EQ(d_shift.values()[e], 2 * once_shift[e]);
            }
        }
    }
}

TEST_P(NormaliseMapsTest, Tangent) {
    for (const MapsCase& c : maps_cases()) {
        for (const bool affine : {true, false}) {
            SCOPED_TRACE(describe(c.name, c.batch, "affine", affine));
            const Problem p(backend(), c, 441, affine);
            p.forward(p.output(), p.x_device);
            const oracle::DoubleMatrix expected =
                oracle::normalise_maps_tangent({p.rows, p.columns, p.x}, {p.rows, p.columns, p.dy},
                                               p.sets, oracle::to_double(p.scale));
            const auto tangent = [&](const Floats& ty, const Floats& t) {
                backend().normalise_maps_tangent(p.of(ty), p.sums.view(), p.of(t), p.of(p.x_device),
                                                 p.statistics_view(), p.sets,
                                                 p.scale_device.view());
            };
            const Floats ty = p.output();
            tangent(ty, p.dy_device);
            expect_close(ty.values(), expected.values, 4e-5, "ty");
            const Floats in_place = Floats::changing(backend(), p.dy, p.shift_of_memory);
            tangent(in_place, in_place);
            EXPECT_EQ(in_place.values(), ty.values());
        }
    }
}

// Against differences of <dy, tangent>.
TEST_P(NormaliseMapsTest, Curvature) {
    for (const MapsCase& c : maps_cases()) {
        for (const bool affine : {true, false}) {
            SCOPED_TRACE(describe(c.name, c.batch, "affine", affine));
            const Problem p(backend(), c, 451, affine);
            p.forward(p.output(), p.x_device);
            const std::int64_t channels = affine ? p.sets.extent.channels : 0;
            const std::vector<float> t = random_values(455, p.rows * p.columns);
            const Floats t_device = Floats::input(backend(), t, p.shift_of_memory);
            const auto sums =
                GuardedArray<double>::output(backend(), p.sets.curvature_sums(p.rows));
            const Floats dx = Floats::changing(backend(), std::vector<float>(p.x.size(), 0.5f),
                                               p.shift_of_memory);
            const Floats d_scale = Floats::changing(
                backend(), std::vector<float>(static_cast<std::size_t>(channels), 0.25f), 1);
            backend().normalise_maps_curvature(p.of(dx), d_scale.view(), sums.view(),
                                               p.of(p.dy_device), p.of(t_device), p.of(p.x_device),
                                               p.statistics_view(), p.sets, p.scale_device.view());

            oracle::DoubleMatrix x(p.rows, p.columns, p.x);
            const oracle::DoubleMatrix along(p.rows, p.columns, t);
            auto scale = oracle::to_double(p.scale);
            const auto loss = [&] {
                return dot(p.dy, oracle::normalise_maps_tangent(x, along, p.sets, scale).values);
            };
            const auto without = [](std::vector<float> numbers, float start) {
                for (float& number : numbers) {
                    number -= start;
                }
                return numbers;
            };
            // Second derivatives of sets of two numbers reach some hundreds.
            expect_slopes(
                x.values, without(dx.values(), 0.5f), loss, 1e-4, "x",
                [](std::size_t) { return 1.0; }, 60);
            expect_slopes(scale, without(d_scale.values(), 0.25f), loss, 4e-5, "scale");
        }
    }
}

// A map far from zero keeps its digits; a constant one becomes its channel's shift.
TEST_P(NormaliseMapsTest, LargeMeansAndConstantMaps) {
    const MapsCase c{"instance", 2, {{2, 5, 7}, 1, 1}};
    Problem p(backend(), c, 431);
    std::vector<float> x = random_values(435, p.rows * p.columns);
    for (float& value : x) {
        value += 4096;
    }
    std::fill(x.begin(), x.begin() + 35, 4097.3f);
    const Floats far = Floats::input(backend(), x, p.shift_of_memory);
    const Floats y = p.output();
    p.forward(y, far);
    const auto expected = oracle::normalise_maps(
        {p.rows, p.columns, x}, p.sets, oracle::to_double(p.scale), oracle::to_double(p.shift));
    // The mean is rounded to a 2^-12th, the deviations are about 0.6.
    expect_close(y.values(), expected.y.values, 1e-3, "y");
    const auto values = y.values();
    for (std::size_t e = 0; e < 35; ++e) {
        EXPECT_EQ(values[e], p.shift[0]);
    }
}

TEST_P(NormaliseMapsTest, RefusesSetsOfOneNumber) {
    const Floats x = Floats::input(backend(), {1, 2});
    const Floats y = Floats::output(backend(), 2), statistics = Floats::output(backend(), 4);
    const auto sums = GuardedArray<double>::output(backend(), 8);
    const auto normalise = [&](std::int64_t batch, const MapSets& sets) {
        backend().normalise_maps(y.matrix(batch, 2 / batch), statistics.matrix(2, 2), {},
                                 sums.view(), x.matrix(batch, 2 / batch), sets, {}, {}, {});
    };
    EXPECT_THROW(normalise(1, {{2, 1, 1}, 1, 1}), std::invalid_argument); // a last batch of one
    EXPECT_THROW(normalise(2, {{1, 1, 1}, 1, 1}), std::invalid_argument); // instance, 1x1
    EXPECT_THROW(normalise(2, {{1, 1, 1}, 3, 1}), std::invalid_argument); // no such part
    EXPECT_THROW(normalise(1, {{2, 1, 1}, 1, 3}), std::invalid_argument); // no such group
    try {
        normalise(1, {{2, 1, 1}, 1, 1});
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("1 pictures of 2x1x1"), std::string::npos)
            << error.what();
    }
}

// Values of PyTorch.
TEST_P(NormaliseMapsTest, GoldenValues) {
    struct Known {
        const char* name;
        std::int64_t batch;
        MapSets sets;
        bool affine;
        Golden y;
        bool with_gradient;
        Golden dx;
    };
    const Known all[] = {
        {"batch",
         2,
         {{3, 2, 2}, 2, 1},
         true,
         {0, 42.158846599, {.089329660, .905037271, 1.129442569, .657004235}, 3.249553639},
         true,
         {0, 35.125613963, {.521460186, .414927525, .054453443}}},
        {"one batch of four",
         4,
         {{2, 2, 2}, 4, 1},
         false,
         {Golden::unknown, Golden::unknown, {.187619753, .989341823}},
         false,
         {}},
        {"instance",
         2,
         {{2, 3, 3}, 1, 1},
         false,
         {Golden::unknown, 35.999277923, {.418690126, 1.191891449, 1.404603051}},
         true,
         {Golden::unknown, 7.856600775, {1.111583894, .248266601}}},
        {"group",
         2,
         {{4, 2, 2}, 1, 2},
         false,
         {Golden::unknown, 31.999331032, {.338339775, 1.080433677}},
         false,
         {}},
    };
    for (const Known& known : all) {
        SCOPED_TRACE(known.name);
        const MapSets& sets = known.sets;
        const std::int64_t columns = sets.extent.size(), size = known.batch * columns;
        const auto x = golden_input(size);
        const std::vector<double> scale =
            known.affine ? std::vector<double>{1, .5, -2} : std::vector<double>{};
        const std::vector<double> shift =
            known.affine ? std::vector<double>{0, .1, -.1} : std::vector<double>{};
        const auto reference =
            oracle::normalise_maps({known.batch, columns, x}, sets, scale, shift);
        // The oracle's epsilon is float32's 1e-5, 2.5e-13 away.
        expect_golden(reference.y.values, known.y, "oracle");

        const auto x_device = Floats::input(backend(), oracle::to_float(x));
        const auto scale_device = Floats::input(backend(), oracle::to_float(scale));
        const auto shift_device = Floats::input(backend(), oracle::to_float(shift));
        const auto y = Floats::output(backend(), size), dx = Floats::output(backend(), size);
        const auto statistics = Floats::output(backend(), 2 * sets.count(known.batch));
        const auto sums = GuardedArray<double>::output(backend(), sets.sums(known.batch));
        const auto running =
            Floats::changing(backend(), known.affine ? std::vector<float>{.1f, .2f, .3f, 1, 2, .5f}
                                                     : std::vector<float>{0, 0, 1, 1});
        const bool runs = sets.channels == 1 && sets.rows > 1;
        const auto view = [&](const Floats& array) { return array.matrix(known.batch, columns); };
        const auto statistics_view = statistics.matrix(2, sets.count(known.batch));
        backend().normalise_maps(
            view(y), statistics_view,
            {runs ? running.matrix(2, sets.extent.channels) : Matrix<float>{}, 0.1f}, sums.view(),
            view(x_device), sets, scale_device.view(), shift_device.view(), {});
        expect_golden(y.values(), known.y, "y");
        if (runs) {
            expect_close(running.values(),
                         known.affine
                             ? std::vector<double>{.113573212, .149021160, .304804698, .951194134,
                                                   1.844064982, .489623673}
                             : std::vector<double>{.016775629, .000859464, .949462796, .952234446},
                         2e-6, "running");
        }
        if (known.with_gradient) {
            const auto dy = Floats::input(backend(), oracle::to_float(golden_cosines(size)));
            const auto channels = static_cast<std::int64_t>(scale.size());
            const auto d_scale = Floats::output(backend(), channels);
            const auto d_shift = Floats::output(backend(), channels);
            backend().normalise_maps_gradient(view(dx), d_scale.view(), d_shift.view(), sums.view(),
                                              view(dy), view(x_device), statistics_view, sets,
                                              scale_device.view(), {}, false);
            expect_golden(dx.values(), known.dx, "dx");
            if (known.affine) {
                expect_close(d_scale.values(), {-1.976212733, 3.850235487, 1.263441190}, 4e-6,
                             "d_scale");
                expect_close(d_shift.values(), {1.706858333, .445353799, -1.384103529}, 2e-6,
                             "d_shift");
            }
        }
    }
}

} // namespace
} // namespace patchforge::testing
