#include "host/attack/query_attack.h"

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

QueryAttack::QueryAttack(BlackBoxVictim& victim, AttackBatch& batch, const AttackOptions& options)
    : victim_(victim), batch_(batch), options_(options) {
    Backend& backend = victim.backend();
    query_ = DeviceArray<float>(backend, victim.capacity() * batch.pixels());
    loss_ = DeviceArray<float>(backend, victim.capacity());
    label_ = DeviceArray<std::int32_t>(backend, victim.capacity());
    if (options.method == AttackMethod::square || options.method == AttackMethod::worst) {
        candidate_ = DeviceArray<float>(backend, batch.capacity() * batch.pixels());
        index_ = DeviceArray<std::int32_t>(backend, batch.capacity());
    } else {
        gradient_ = DeviceArray<float>(backend, batch.pixels());
    }
}

void QueryAttack::set_labels(std::vector<std::int32_t> label) {
    host_label_ = std::move(label);
    label_.upload(host_label_.data(), std::ssize(host_label_));
}

void QueryAttack::judge(Vector<float> loss, Matrix<const float> scores) {
    Backend& backend = victim_.backend();
    if (!victim_.has_detector() || options_.targeted()) {
        backend.margin_loss({}, loss, scores, label_.view().part(0, scores.rows), {1}, -INFINITY,
                            INFINITY);
        return;
    }
    // The best class that is neither the label nor "stopped", against the better of these two.
    std::vector<float> z(static_cast<std::size_t>(scores.size()));
    backend.download(z.data(), scores.data, z.size() * sizeof(float));
    std::vector<float> margin;
    for (std::int64_t r = 0; r < scores.rows; ++r) {
        const float* row = z.data() + r * scores.columns;
        const std::int32_t label = host_label_[static_cast<std::size_t>(r)];
        float rival = -INFINITY;
        for (std::int32_t c = 0; c < scores.columns - 1; ++c) {
            rival = c == label ? rival : std::max(rival, row[c]);
        }
        margin.push_back(rival - std::max(row[label], row[scores.columns - 1]));
    }
    backend.upload(loss.data, margin.data(), margin.size() * sizeof(float));
}

std::vector<float> QueryAttack::margins(Matrix<const float> x,
                                        const std::vector<std::int64_t>& sample) {
    judge(loss_.view().part(0, x.rows), victim_.scores(x, sample));
    std::vector<float> host(static_cast<std::size_t>(x.rows));
    loss_.download(host.data(), x.rows);
    return host;
}

bool QueryAttack::estimate(Matrix<const float> x, std::int64_t row, std::uint64_t step) {
    Backend& backend = victim_.backend();
    const std::int64_t sample = batch_.sample(row);
    const bool by_blocks = options_.method == AttackMethod::numeric;
    const std::int64_t pixels = batch_.pixels();
    const std::int64_t pairs =
        by_blocks ? (pixels + options_.block - 1) / options_.block : options_.directions;
    const std::int64_t spent = victim_.queries()[static_cast<std::size_t>(sample)];
    if (spent + 2 * pairs + 1 > options_.queries) {
        return false;
    }
    const auto kind =
        options_.method == AttackMethod::nes ? DirectionKind::normal : DirectionKind::sign;
    const auto reach = static_cast<float>(options_.sigma);
    const Matrix<float> gradient = gradient_.matrix(1, pixels);
    for (std::int64_t first = 0; first < pairs; first += victim_.capacity() / 2) {
        const std::int64_t count = std::min(victim_.capacity() / 2, pairs - first);
        const Matrix<float> query = query_.matrix(2 * count, pixels);
        // Every chunk of every step of every sample draws its own directions.
        RandomStream random = attack_stream(options_.seed + static_cast<std::uint64_t>(sample),
                                            AttackStream::directions,
                                            step * 4096 + static_cast<std::uint64_t>(first));
        if (by_blocks) {
            backend.block_queries(query, x, reach, first * options_.block, options_.block);
        } else {
            backend.antithetic_queries(query, x, reach, kind, random);
        }
        const std::vector<std::int64_t> samples(static_cast<std::size_t>(2 * count), sample);
        const Vector<float> loss = loss_.view().part(0, 2 * count);
        judge(loss, victim_.scores(query, samples));
        if (by_blocks) {
            backend.block_gradient(gradient, loss, reach, first * options_.block, options_.block);
        } else {
            backend.antithetic_gradient(gradient, loss, reach, kind, random, first > 0);
        }
    }
    return true;
}

void QueryAttack::follow_estimates(std::int64_t row, double epsilon) {
    Backend& backend = victim_.backend();
    const std::int64_t pixels = batch_.pixels();
    const Matrix<float> x = batch_.x().row_range(row, 1);
    const Matrix<const float> origin = batch_.origin().row_range(row, 1);
    set_labels(std::vector<std::int32_t>(static_cast<std::size_t>(victim_.capacity()),
                                         batch_.host_label(row)));
    const double alpha = options_.alpha_of(epsilon, pixels);
    const RowValue step{static_cast<float>(options_.targeted() ? -alpha : alpha)};
    const std::vector<std::int64_t> sample = {batch_.sample(row)};
    for (std::int64_t number = 0; number < options_.steps_of(pixels); ++number) {
        if (!estimate(x, row, static_cast<std::uint64_t>(number))) {
            return;
        }
        backend.perturb_step(x, x, gradient_.matrix(1, pixels), origin, step,
                             {static_cast<float>(epsilon)}, options_.rule(), options_.ball());
        if (succeeded(margins(x, sample).front())) {
            return;
        }
    }
}

void QueryAttack::search_squares(double epsilon) {
    Backend& backend = victim_.backend();
    const ClassifierFormat& format = victim_.format();
    const Extent shape{format.channels, format.height, format.width};
    const RowValue radius{static_cast<float>(epsilon)};
    const std::int64_t rows = batch_.capacity();
    const std::int64_t pixels = batch_.pixels();
    const Matrix<float> candidate = candidate_.matrix(rows, pixels);
    const auto draw = [&](std::int64_t query) {
        return attack_stream(options_.seed + static_cast<std::uint64_t>(batch_.sample(0)),
                             AttackStream::squares, static_cast<std::uint64_t>(query));
    };

    std::vector<float> best(static_cast<std::size_t>(rows));
    std::vector<std::int32_t> active;
    for (std::int32_t r = 0; r < batch_.rows(); ++r) {
        active.push_back(r);
    }
    for (std::int64_t query = 0; query < options_.queries && !active.empty(); ++query) {
        if (query == 0) {
            backend.square_stripes(candidate, batch_.origin(), radius, shape, draw(0));
        } else {
            const double area = square_share(query, options_.queries) * shape.height * shape.width;
            const int side = std::clamp(static_cast<int>(std::lround(std::sqrt(area))), 1,
                                        std::min(shape.height, shape.width));
            backend.square_proposal(candidate, batch_.x(), batch_.origin(), radius, shape, side,
                                    draw(query));
        }
        // Only samples that are not done yet are asked about.
        std::vector<float> margin;
        for (std::size_t first = 0; first < active.size();) {
            const auto count =
                std::min(active.size() - first, static_cast<std::size_t>(victim_.capacity()));
            std::vector<std::int64_t> sample;
            std::vector<std::int32_t> label;
            for (std::size_t i = first; i < first + count; ++i) {
                sample.push_back(batch_.sample(active[i]));
                label.push_back(batch_.host_label(active[i]));
            }
            const auto asked = static_cast<std::int64_t>(count);
            index_.upload(active.data() + first, asked);
            set_labels(std::move(label));
            const Matrix<float> chosen = query_.matrix(asked, pixels);
            backend.select_rows(chosen, candidate, index_.view().part(0, asked));
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
        backend.place_rows(batch_.x(), candidate, index_.view());
        active = std::move(left);
    }
}

void QueryAttack::run(double epsilon) {
    batch_.restart();
    if (options_.method == AttackMethod::square || options_.method == AttackMethod::worst) {
        search_squares(epsilon);
        return;
    }
    for (std::int64_t row = 0; row < batch_.rows(); ++row) {
        follow_estimates(row, epsilon);
    }
}

} // namespace patchforge
