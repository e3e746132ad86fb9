// Pooling (kernels/operations/pool.h).
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

class Pooling final : public Layer, public TangentRule {
  public:
    explicit Pooling(const Pool& pool) : pool_(pool) { pool_.validate(); }

    std::string text() const override {
        if (pool_.is_adaptive()) {
            return pool_.kind == PoolKind::adaptive_sum ? "pool sum"
                   : pool_.out_height == 1 && pool_.out_width == 1
                       ? "pool global"
                       : fmt::format("pool adaptive n{}", pool_.out_height);
        }
        std::string text = pool_.kind == PoolKind::maximum ? "pool max" : "pool average";
        text += fmt::format(" k{}", pool_.kernel);
        text += pool_.stride == pool_.kernel ? "" : fmt::format(" s{}", pool_.stride);
        text += pool_.padding == 0 ? "" : fmt::format(" p{}", pool_.padding);
        return text + (pool_.ceil_mode ? " ceil" : "");
    }
    Extent out() const override { return pool_.out(); }
    bool backward_reads_input() const override { return pool_.kind == PoolKind::maximum; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.pool(y, x[0], pool_);
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.pool_gradient(dx, dz, x, pool_, previous);
    }
    // Averages and sums are linear. Of a maximum the tangent is that of each window's first largest pixel:
    // a gradient of ones marks those pixels with 1 as long as no two windows share one, a ReLU's
    // derivative by the marks keeps what stands there, and kernel^2 times the average adds it up.
    std::string why_no_tangent() const override {
        return pool_.kind == PoolKind::maximum && (pool_.stride < pool_.kernel || pool_.ceil_mode)
                   ? "takes the maximum of windows that overlap or stick out; take pool average, "
                     "or whole windows side by side"
                   : "";
    }
    std::int64_t tangent_room(std::int64_t rows) const override {
        return pool_.kind == PoolKind::maximum ? 2 * rows * pool_.in.size() : 0;
    }
    void tangent(Backend& backend, Matrix<float> t, const std::vector<Matrix<const float>>& dx,
                 const std::vector<Matrix<const float>>& x, Vector<const float>,
                 Vector<float> room) const override {
        if (pool_.kind != PoolKind::maximum) {
            backend.pool(t, dx[0], pool_);
            return;
        }
        const std::int64_t inputs = pool_.in.size(), numbers = t.rows * inputs;
        const Matrix<float> marks{room.data, t.rows, inputs};
        const Matrix<float> kept{room.data + numbers, t.rows, inputs};
        backend.fill(t.flat(), 1);
        backend.pool_gradient(marks, t, x[0], pool_, {});
        backend.activation_gradient(kept, dx[0], marks, {Activation::relu});
        Pool average = pool_;
        average.kind = PoolKind::average;
        backend.pool(t, kept, average);
        backend.affine(t.flat(), t.flat(), static_cast<float>(pool_.kernel * pool_.kernel), 0);
    }

  private:
    Pool pool_;
};

} // namespace

LayerPointer parse_pool(LayerWords& words) {
    Pool pool;
    pool.in = words.in[0];
    if (words.take("global")) {
        pool.kind = PoolKind::adaptive_average;
    } else if (words.take("sum")) {
        pool.kind = PoolKind::adaptive_sum;
    } else if (words.take("adaptive")) {
        pool.kind = PoolKind::adaptive_average;
        pool.out_height = pool.out_width = words.number("n", 1);
    } else {
        const bool maximum = words.take("max");
        if (!maximum && !words.take("average")) {
            throw std::invalid_argument("which pool? max, average, adaptive, global or sum");
        }
        pool.kind = maximum ? PoolKind::maximum : PoolKind::average;
        pool.kernel = words.number("k", 2);
        pool.stride = words.number("s", pool.kernel);
        pool.padding = words.number("p", 0);
        pool.ceil_mode = words.take("ceil");
    }
    return std::make_shared<Pooling>(pool);
}

} // namespace patchforge
