#include "host/attack/methods/square.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace patchforge {

namespace {

// Share of the picture that a square covers after `query` of `queries`: halved at these points of a
// run of 10,000 (section 5 of the paper, with p = 0.8).
double square_share(std::int64_t query, std::int64_t queries) {
    constexpr std::array<std::int64_t, 9> halvings = {10,   50,   200,  500, 1000,
                                                      2000, 4000, 6000, 8000};
    const std::int64_t scaled = query * 10000 / queries;
    double share = 0.8;
    for (const std::int64_t at : halvings) {
        share = scaled > at ? share / 2 : share;
    }
    return share;
}

} // namespace

SquareSearch::SquareSearch(const AttackScene& scene)
    : QueryAttack(scene), candidate_(room()), index_(backend(), scene.batch.capacity()) {}

void SquareSearch::run(std::size_t, double epsilon, double) {
    const ClassifierFormat& format = victim().format();
    AttackBatch& batch = scene_.batch;
    const std::int64_t queries = scene_.options.queries;
    const Extent shape = format.extent();
    const RowValue radius{static_cast<float>(epsilon)};
    const std::int64_t rows = batch.capacity();
    const std::int64_t pixels = batch.pixels();
    const Matrix<float> candidate = candidate_.matrix(rows, pixels);
    const auto draw = [&](std::int64_t query) {
        return attack_stream(scene_.options.seed + static_cast<std::uint64_t>(batch.sample(0)),
                             AttackStream::squares, static_cast<std::uint64_t>(query));
    };

    batch.restart();
    std::vector<float> best(static_cast<std::size_t>(rows));
    std::vector<std::int32_t> active;
    for (std::int32_t r = 0; r < batch.rows(); ++r) {
        active.push_back(r);
    }
    for (std::int64_t query = 0; query < queries && !active.empty(); ++query) {
        if (query == 0) {
            backend().square_stripes(candidate, batch.origin(), radius, shape, draw(0));
        } else {
            const double area = square_share(query, queries) * shape.height * shape.width;
            const int side = std::clamp(static_cast<int>(std::lround(std::sqrt(area))), 1,
                                        std::min(shape.height, shape.width));
            backend().square_proposal(candidate, batch.x(), batch.origin(), radius, shape, side,
                                      draw(query));
        }
        // Only samples that are not done yet are asked about.
        std::vector<float> margin;
        for (std::size_t first = 0; first < active.size();) {
            const auto count =
                std::min(active.size() - first, static_cast<std::size_t>(victim().capacity()));
            std::vector<std::int64_t> sample;
            std::vector<std::int32_t> label;
            for (std::size_t i = first; i < first + count; ++i) {
                sample.push_back(batch.sample(active[i]));
                label.push_back(batch.host_label(active[i]));
            }
            const auto asked = static_cast<std::int64_t>(count);
            index_.upload(active.data() + first, asked);
            set_labels(std::move(label));
            const Matrix<float> chosen = query_.matrix(asked, pixels);
            backend().select_rows(chosen, candidate, index_.view().part(0, asked));
            const std::vector<float> now = margins(chosen, sample);
            margin.insert(margin.end(), now.begin(), now.end());
            first += count;
        }
        std::vector<std::int32_t> taken(static_cast<std::size_t>(rows), -1);
        std::vector<std::int32_t> left;
        for (std::size_t i = 0; i < active.size(); ++i) {
            const auto r = static_cast<std::size_t>(active[i]);
            if (query == 0 || improves(margin[i], best[r])) {
                best[r] = margin[i];
                taken[r] = active[i];
            }
            if (!succeeded(best[r])) {
                left.push_back(active[i]);
            }
        }
        index_.upload(taken.data(), rows);
        backend().place_rows(batch.x(), candidate, index_.view());
        active = std::move(left);
    }
}

namespace methods {

extern const AttackMethod square = {
    .name = "square",
    .help = "random squares of +-eps, kept when they help",
    .options = {"target", "queries"},
    .norms = {Norm::linf},
    .sight = Sight::scores,
    .prepare = prepared<SquareSearch>,
};

} // namespace methods

} // namespace patchforge
