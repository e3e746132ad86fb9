// Logits and queries of attacks against the oracle.
#include <limits>

#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/guarded_array.h"
#include "tests/kernels/operands.h"
#include "tests/oracle/perturb.h"

namespace patchforge::testing {
namespace {

class PerturbQueriesTest : public BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(PerturbQueriesTest);

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr std::uint64_t seed = 0x123456789abcdef0;

std::vector<std::int32_t> labels(std::int64_t rows, std::int64_t classes) {
    std::vector<std::int32_t> label;
    for (std::int64_t r = 0; r < rows; ++r) {
        label.push_back(static_cast<std::int32_t>((r * 7 + 1) % classes));
    }
    return label;
}

const std::vector<std::pair<std::int64_t, std::int64_t>> query_shapes{
    {1, 2}, {3, 2}, {31, 3}, {129, 10}};

TEST_P(PerturbQueriesTest, Margins) {
    for (const auto& [rows, classes] : query_shapes) {
        for (const auto& [low, high] : {std::pair(-infinity, infinity), std::pair(-0.5f, 0.5f)}) {
            SCOPED_TRACE(describe("rows", rows, "classes", classes, "high", high));
            std::vector<float> z = random_values(1, rows * classes, -2, 2);
            if (rows > 2) {
                std::fill_n(z.begin(), classes, 1.0f); // equals: the first counts
            }
            const auto label = labels(rows, classes);
            const auto logit = GuardedArray<float>::input(backend(), z);
            const auto wanted = GuardedArray<std::int32_t>::input(backend(), label);
            const auto d = GuardedArray<float>::output(backend(), rows * classes);
            const auto loss = GuardedArray<float>::output(backend(), rows);
            std::vector<float> scales;
            for (std::int64_t r = 0; r < rows; ++r) {
                scales.push_back(1.0f - 0.5f * static_cast<float>(r));
            }
            const auto scale = GuardedArray<float>::input(backend(), scales);
            backend().margin_loss(d.matrix(rows, classes), loss.view(), logit.matrix(rows, classes),
                                  wanted.view(), {0, scale.data()}, low, high);
            const auto alone = GuardedArray<float>::output(backend(), rows);
            backend().margin_loss({}, alone.view(), logit.matrix(rows, classes), wanted.view(), {1},
                                  low, high);
            EXPECT_EQ(alone.values(), loss.values());
            std::vector<double> expected, gradient(z.size(), 0);
            for (std::int64_t r = 0; r < rows; ++r) {
                const auto i = static_cast<std::size_t>(r);
                int rival;
                const double margin = oracle::margin(row_of(z, r, classes), label[i], &rival);
                expected.push_back(margin);
                if (margin > low && margin < high) {
                    gradient[static_cast<std::size_t>(r * classes + rival)] = scales[i];
                    gradient[static_cast<std::size_t>(r * classes + label[i])] = -scales[i];
                }
            }
            expect_close(loss.values(), expected, 3e-7, "margin");
            expect_close(d.values(), gradient, 0, "gradient");
        }
    }
}

// The gradient against central differences of the oracle's own loss.
TEST_P(PerturbQueriesTest, ProbabilityDistances) {
    for (const auto& [rows, classes] : query_shapes) {
        for (const int power : {1, 2}) {
            SCOPED_TRACE(describe("rows", rows, "classes", classes, "power", power));
            const auto z = random_values(2, rows * classes, -3, 3);
            const auto label = labels(rows, classes);
            const auto logit = GuardedArray<float>::input(backend(), z);
            const auto wanted = GuardedArray<std::int32_t>::input(backend(), label);
            const auto d = GuardedArray<float>::output(backend(), rows * classes);
            const auto loss = GuardedArray<float>::output(backend(), rows);
            backend().probability_distance(d.matrix(rows, classes), loss.view(),
                                           logit.matrix(rows, classes), wanted.view(), power, 2);
            std::vector<double> expected, gradient;
            for (std::int64_t r = 0; r < rows; ++r) {
                const auto own = label[static_cast<std::size_t>(r)];
                std::vector<double> row = row_of(z, r, classes);
                expected.push_back(oracle::probability_distance(row, own, power));
                for (double& v : row) {
                    const double at = v, h = 1e-5;
                    v = at + h;
                    const double above = oracle::probability_distance(row, own, power);
                    v = at - h;
                    gradient.push_back(2 * (above - oracle::probability_distance(row, own, power)) /
                                       (2 * h));
                    v = at;
                }
            }
            expect_close(loss.values(), expected, 1e-6, "loss");
            expect_close(d.values(), gradient, 3e-6, "gradient");
        }
    }
}

TEST_P(PerturbQueriesTest, EnsemblesAndAnswers) {
    for (const auto& [rows, classes] : query_shapes) {
        SCOPED_TRACE(describe("rows", rows, "classes", classes));
        const auto a = random_values(3, rows * classes, -40, 40),
                   b = random_values(4, rows * classes);
        const auto one = random_values(5, rows);
        const auto first = GuardedArray<float>::input(backend(), a);
        const auto second = GuardedArray<float>::input(backend(), b);
        const auto binary = GuardedArray<float>::input(backend(), one);
        const auto total = GuardedArray<float>::output(backend(), rows * classes);
        backend().combine_logits(total.matrix(rows, classes), first.matrix(rows, classes), 0.5f,
                                 false);
        backend().combine_logits(total.matrix(rows, classes), second.matrix(rows, classes), 0.25f,
                                 true);
        if (classes == 2) {
            backend().combine_logits(total.matrix(rows, 2), binary.matrix(rows, 1), 0.25f, true);
        }
        const auto back = GuardedArray<float>::output(backend(), rows * classes);
        backend().split_logit_gradient(back.matrix(rows, classes), first.matrix(rows, classes),
                                       0.5f);
        const auto probability = GuardedArray<float>::output(backend(), rows * classes);
        backend().softmax_rows(probability.matrix(rows, classes), first.matrix(rows, classes));
        const auto answer = GuardedArray<std::int32_t>::output(backend(), rows);
        backend().argmax_rows(answer.view(), first.matrix(rows, classes));
        const std::vector<std::int32_t> answers = answer.values();
        std::vector<double> mean, halves, p;
        for (std::int64_t r = 0; r < rows; ++r) {
            const auto row = row_of(a, r, classes);
            EXPECT_EQ(answers[static_cast<std::size_t>(r)],
                      std::max_element(row.begin(), row.end()) - row.begin());
            const auto softmax = oracle::softmax(row);
            p.insert(p.end(), softmax.begin(), softmax.end());
            for (std::int64_t c = 0; c < classes; ++c) {
                const auto e = static_cast<std::size_t>(r * classes + c);
                halves.push_back(0.5 * a[e]);
                mean.push_back(
                    0.5 * a[e] + 0.25 * b[e] +
                    (classes == 2 && c == 1 ? 0.25 * one[static_cast<std::size_t>(r)] : 0));
            }
        }
        expect_close(total.values(), mean, 5e-6, "mean");
        expect_close(back.values(), halves, 0, "split");
        expect_close(probability.values(), p, 1e-6, "softmax");
        if (classes == 2) {
            const auto column = GuardedArray<float>::output(backend(), rows);
            backend().split_logit_gradient(column.matrix(rows, 1), first.matrix(rows, 2), 2);
            for (std::int64_t r = 0; r < rows; ++r) {
                EXPECT_EQ(column.values()[static_cast<std::size_t>(r)],
                          2 * a[static_cast<std::size_t>(2 * r + 1)]);
            }
        }
    }
}

TEST_P(PerturbQueriesTest, AntitheticPairsAndTheirEstimate) {
    for (const auto& [rows, columns] :
         {std::pair<std::int64_t, std::int64_t>{1, 1}, {2, 33}, {3, 257}}) {
        for (const std::int64_t per_row : {1, 3}) {
            for (const auto kind : {DirectionKind::normal, DirectionKind::sign}) {
                SCOPED_TRACE(describe("rows", rows, "columns", columns, "directions", per_row,
                                      "kind", static_cast<int>(kind)));
                const float sigma = 0.01f;
                const DeviceStep step(backend(), 5, 3, 1);
                const RandomStream random{seed, 130, step.count()};
                const std::int64_t pairs = rows * per_row;
                const auto u = oracle::directions(pairs * columns, kind, {seed, 130, step.value()});
                const auto values = random_values(6, rows * columns, 0, 1);
                const auto losses = random_values(7, 2 * pairs);
                const auto before = random_values(8, rows * columns);
                const auto x = GuardedArray<float>::input(backend(), values);
                const auto query = GuardedArray<float>::output(backend(), 2 * pairs * columns);
                backend().antithetic_queries(query.matrix(2 * pairs, columns),
                                             x.matrix(rows, columns), sigma, kind, random);
                const auto loss = GuardedArray<float>::input(backend(), losses);
                const auto fresh = GuardedArray<float>::output(backend(), rows * columns);
                backend().antithetic_gradient(fresh.matrix(rows, columns), loss.view(), sigma, kind,
                                              random, false);
                const auto added = GuardedArray<float>::changing(backend(), before);
                backend().antithetic_gradient(added.matrix(rows, columns), loss.view(), sigma, kind,
                                              random, true);
                std::vector<double> queries(static_cast<std::size_t>(2 * pairs * columns));
                std::vector<double> estimate(values.size(), 0), sum(before.begin(), before.end());
                for (std::int64_t pair = 0; pair < pairs; ++pair) {
                    for (std::int64_t c = 0; c < columns; ++c) {
                        const auto e = static_cast<std::size_t>(pair / per_row * columns + c);
                        const double direction = u[static_cast<std::size_t>(pair * columns + c)];
                        queries[static_cast<std::size_t>(2 * pair * columns + c)] =
                            values[e] + sigma * direction;
                        queries[static_cast<std::size_t>((2 * pair + 1) * columns + c)] =
                            values[e] - sigma * direction;
                        const auto at = static_cast<std::size_t>(2 * pair);
                        const double part = (static_cast<double>(losses[at]) - losses[at + 1]) *
                                            direction /
                                            (2.0 * sigma * static_cast<double>(per_row));
                        estimate[e] += part;
                        sum[e] += part;
                    }
                }
                expect_close(query.values(), queries, 4e-7, "queries");
                // Differences up to 2, over 2 sigma: terms of about 100 times the direction.
                expect_close(fresh.values(), estimate, 3e-4, "estimate");
                expect_close(added.values(), sum, 3e-4, "added estimate");
            }
        }
    }
}

// A linear loss w.x: the mean of many estimates is w itself, not a quarter of it.
TEST_P(PerturbQueriesTest, EstimateHasTheRightScale) {
    const std::int64_t columns = 8, pairs = 4000;
    const auto w = random_values(9, columns);
    const auto x = GuardedArray<float>::input(backend(), random_values(10, columns, 0, 1));
    for (const auto kind : {DirectionKind::normal, DirectionKind::sign}) {
        const RandomStream random{seed, 130, {}};
        const auto query = GuardedArray<float>::output(backend(), 2 * pairs * columns);
        backend().antithetic_queries(query.matrix(2 * pairs, columns), x.matrix(1, columns), 0.1f,
                                     kind, random);
        const auto asked = query.values();
        std::vector<float> answers;
        for (std::int64_t q = 0; q < 2 * pairs; ++q) {
            double dot = 0;
            for (std::int64_t c = 0; c < columns; ++c) {
                dot += w[static_cast<std::size_t>(c)] *
                       asked[static_cast<std::size_t>(q * columns + c)];
            }
            answers.push_back(static_cast<float>(dot));
        }
        const auto loss = GuardedArray<float>::input(backend(), answers);
        const auto g = GuardedArray<float>::output(backend(), columns);
        backend().antithetic_gradient(g.matrix(1, columns), loss.view(), 0.1f, kind, random, false);
        // The estimate's deviation is about ||w|| / sqrt(pairs) = 0.03.
        expect_close(g.values(), {w.begin(), w.end()}, 0.13, "mean estimate");
    }
}

TEST_P(PerturbQueriesTest, Blocks) {
    for (const auto& [rows, columns] :
         {std::pair<std::int64_t, std::int64_t>{1, 1}, {2, 33}, {3, 300}}) {
        for (const std::int64_t width : {1, 7, 50}) {
            const std::int64_t blocks = (columns + width - 1) / width;
            const float h = 0.25f;
            SCOPED_TRACE(describe("rows", rows, "columns", columns, "width", width));
            const auto values = random_values(11, rows * columns, 0, 1);
            const auto w = random_values(12, columns);
            const auto x = GuardedArray<float>::input(backend(), values);
            const auto g = GuardedArray<float>::changing(
                backend(), std::vector<float>(static_cast<std::size_t>(rows * columns), 99));
            // Two calls, so that the second begins in the middle.
            for (std::int64_t first = 0; first < blocks; first += (blocks + 1) / 2) {
                const std::int64_t count = std::min((blocks + 1) / 2, blocks - first);
                const auto query =
                    GuardedArray<float>::output(backend(), 2 * rows * count * columns);
                backend().block_queries(query.matrix(2 * rows * count, columns),
                                        x.matrix(rows, columns), h, first * width, width);
                const auto asked = query.values();
                std::vector<float> answers;
                for (std::int64_t q = 0; q < 2 * rows * count; ++q) {
                    double dot = 0;
                    for (std::int64_t c = 0; c < columns; ++c) {
                        dot += static_cast<double>(w[static_cast<std::size_t>(c)]) *
                               asked[static_cast<std::size_t>(q * columns + c)];
                    }
                    answers.push_back(static_cast<float>(dot));
                }
                const auto loss = GuardedArray<float>::input(backend(), answers);
                backend().block_gradient(g.matrix(rows, columns), loss.view(), h, first * width,
                                         width);
            }
            std::vector<double> expected;
            for (std::int64_t e = 0; e < rows * columns; ++e) {
                const std::int64_t begin = e % columns / width * width;
                const std::int64_t end = std::min(begin + width, columns);
                double mean = 0;
                for (std::int64_t c = begin; c < end; ++c) {
                    mean += w[static_cast<std::size_t>(c)] / static_cast<double>(end - begin);
                }
                expected.push_back(mean);
            }
            expect_close(g.values(), expected, 1e-5, "gradient of w.x by blocks");
        }
    }
}

TEST_P(PerturbQueriesTest, Squares) {
    for (const Extent shape : {Extent{1, 1, 1}, {3, 5, 7}, {1, 28, 28}}) {
        const std::int64_t rows = 3, columns = shape.channels * shape.height * shape.width;
        SCOPED_TRACE(describe("channels", shape.channels, "height", shape.height));
        const auto x0 = random_values(13, rows * columns, 0, 1);
        const auto start = random_values(14, rows * columns, 0, 1);
        const DeviceStep step(backend(), 2, 4, 3);
        const RandomStream random{seed, 131, step.count()};
        const oracle::Stream stream{seed, 131, step.value()};
        const double eps = 0.1f;
        const auto origin = GuardedArray<float>::input(backend(), x0);
        const auto best = GuardedArray<float>::input(backend(), start);
        const auto stripes = GuardedArray<float>::output(backend(), rows * columns);
        backend().square_stripes(stripes.matrix(rows, columns), origin.matrix(rows, columns),
                                 {0.1f}, shape, random);
        for (int side = 1; side <= std::min(shape.height, shape.width); side += 2) {
            const auto out = GuardedArray<float>::output(backend(), rows * columns);
            backend().square_proposal(out.matrix(rows, columns), best.matrix(rows, columns),
                                      origin.matrix(rows, columns), {0.1f}, shape, side, random);
            std::vector<double> expected_stripes, expected;
            for (std::int64_t r = 0; r < rows; ++r) {
                const auto place = [&](std::uint64_t element, int extent) {
                    return static_cast<int>(std::uint64_t{stream.word(element)} *
                                                static_cast<std::uint64_t>(extent - side + 1) >>
                                            32);
                };
                const auto base = static_cast<std::uint64_t>(8 * r);
                const int left = place(base, shape.width), top = place(base + 1, shape.height);
                for (int c = 0; c < shape.channels; ++c) {
                    for (int y = 0; y < shape.height; ++y) {
                        for (int x = 0; x < shape.width; ++x) {
                            const auto e = static_cast<std::size_t>(
                                r * columns + (c * shape.height + y) * shape.width + x);
                            const auto bound = [&](std::uint64_t element) {
                                const double s = stream.word(element) >> 31 ? 1 : -1;
                                return std::clamp(x0[e] + s * eps, 0.0, 1.0);
                            };
                            expected_stripes.push_back(bound(static_cast<std::uint64_t>(
                                (r * shape.channels + c) * shape.width + x)));
                            const bool inside =
                                y >= top && y < top + side && x >= left && x < left + side;
                            expected.push_back(inside
                                                   ? bound(base + 2 + static_cast<std::uint64_t>(c))
                                                   : start[e]);
                        }
                    }
                }
            }
            expect_close(stripes.values(), expected_stripes, 2e-7, "stripes");
            expect_close(out.values(), expected, 2e-7, "square");
        }
    }
}

} // namespace
} // namespace patchforge::testing
