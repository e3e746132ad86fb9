#include "host/attack/loss_sensitivity.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

LossSensitivity loss_sensitivity(WhiteBoxVictim& victim, AttackBatch& batch, const AttackSet& set,
                                 const std::vector<std::int32_t>& labels, double epsilon) {
    Backend& backend = victim.backend();
    RowNumbers losses(backend, batch.capacity());
    const DeviceArray<float> gradients(backend, batch.capacity() * batch.pixels());
    const Matrix<float> gradient = gradients.matrix(batch.capacity(), batch.pixels());
    const RowValue radius{static_cast<float>(epsilon)};
    const std::vector<std::int64_t> all = set.samples();
    const auto size = static_cast<std::size_t>(batch.capacity());
    LossSensitivity mean;
    double departure = 0, predicted = 0;
    for (std::size_t first = 0; first < all.size(); first += size) {
        batch.load(set, std::span(all).subspan(first, std::min(size, all.size() - first)), labels);
        const WhiteBoxVictim::Goal goal{VictimLoss::cross_entropy};
        victim.gradient(gradient, losses.vector(), batch.origin(), batch.label(), goal);
        const std::vector<float> loss = losses.get();
        std::vector<float> g(static_cast<std::size_t>(gradient.size())), x0(g.size()), x(g.size());
        backend.download(g.data(), gradient.data, g.size() * sizeof(float));
        backend.perturb_step(batch.x(), batch.origin(), gradient, batch.origin(), radius, radius,
                             StepRule::sign, Ball::linf);
        backend.download(x0.data(), batch.origin().data, g.size() * sizeof(float));
        backend.download(x.data(), batch.x().data, g.size() * sizeof(float));
        victim.gradient(gradient, losses.vector(), batch.x(), batch.label(), goal);
        const std::vector<float> moved = losses.get();
        for (std::int64_t row = 0; row < batch.rows(); ++row) {
            double l1 = 0, l2 = 0, slope = 0;
            for (std::int64_t i = row * batch.pixels(); i < (row + 1) * batch.pixels(); ++i) {
                const auto e = static_cast<std::size_t>(i);
                l1 += std::fabs(g[e]);
                l2 += static_cast<double>(g[e]) * g[e];
                slope += static_cast<double>(g[e]) * (static_cast<double>(x[e]) - x0[e]);
            }
            mean.gradient_l1 += l1;
            mean.gradient_l2 += std::sqrt(l2);
            mean.zero_gradients += l1 == 0;
            const auto r = static_cast<std::size_t>(row);
            departure += std::fabs(static_cast<double>(moved[r]) - loss[r] - slope);
            predicted += std::fabs(slope);
        }
    }
    const auto count = static_cast<double>(set.count());
    mean.gradient_l1 /= count;
    mean.gradient_l2 /= count;
    mean.nonlinearity = predicted > 0 ? departure / predicted : 0;
    return mean;
}

} // namespace patchforge
