#include "host/attack/methods/query_attack.h"

#include <algorithm>

namespace patchforge {

QueryAttack::QueryAttack(const AttackScene& scene)
    : Attack(scene), query_(backend(), victim().capacity() * scene.batch.pixels()),
      loss_(backend(), victim().capacity()), label_(backend(), victim().capacity()) {}

void QueryAttack::set_labels(std::vector<std::int32_t> label) {
    host_label_ = std::move(label);
    label_.upload(host_label_.data(), std::ssize(host_label_));
}

Vector<float> QueryAttack::ask(Matrix<const float> x, const std::vector<std::int64_t>& sample) {
    const Matrix<const float> scores = victim().scores(x, sample);
    const Vector<float> loss = loss_.view().part(0, x.rows);
    if (!victim().has_detector() || scene_.options.targeted()) {
        backend().margin_loss({}, loss, scores, label_.view().part(0, x.rows), {1}, -INFINITY,
                              INFINITY);
        return loss;
    }
    // The best class that is neither the label nor "stopped", against the better of these two.
    std::vector<float> z(static_cast<std::size_t>(scores.size()));
    backend().download(z.data(), scores.data, z.size() * sizeof(float));
    std::vector<float> margin;
    for (std::int64_t r = 0; r < scores.rows; ++r) {
        const float* row = z.data() + r * scores.columns;
        const std::int32_t label = host_label_[r];
        float rival = -INFINITY;
        for (std::int32_t c = 0; c < scores.columns - 1; ++c) {
            rival = c == label ? rival : std::max(rival, row[c]);
        }
        margin.push_back(rival - std::max(row[label], row[scores.columns - 1]));
    }
    backend().upload(loss.data, margin.data(), margin.size() * sizeof(float));
    return loss;
}

std::vector<float> QueryAttack::margins(Matrix<const float> x,
                                        const std::vector<std::int64_t>& sample) {
    std::vector<float> host(static_cast<std::size_t>(x.rows));
    backend().download(host.data(), ask(x, sample).data, host.size() * sizeof(float));
    return host;
}

} // namespace patchforge
