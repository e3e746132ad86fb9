// Minibatch discrimination (kernels/operations/minibatch.h): the values that it reads, then columns which say
// how close a row is to the others of its group.
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

class Closeness final : public Layer, public TangentRule {
  public:
    Closeness(std::int64_t inputs, std::int64_t columns, std::int64_t size)
        : inputs_(inputs), columns_(columns), size_(size) {}

    std::string text() const override { return fmt::format("closeness={}x{}", columns_, size_); }
    Extent out() const override { return flat(inputs_ + columns_); }
    bool follows() const override { return true; }
    bool is_module() const override { return false; }
    std::vector<std::int64_t> weight_shape() const override { return {numbers(), inputs_}; }
    std::string weight_name() const override { return "closeness_weight"; }
    bool takes_bias() const override { return false; }
    double operations(std::int64_t rows) const override {
        return 2.0 * static_cast<double>(rows) * static_cast<double>(numbers() * inputs_);
    }

    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float> weight, Vector<const float>, const Epilogue&,
                 const LayerPass& pass) const override {
        const Matrix<float> m = features(pass, y.rows), o = closeness(pass, y.rows);
        backend.linear_forward(m, x[0], of(weight), {}, {});
        for_groups(y.rows, pass, [&](std::int64_t first, std::int64_t rows) {
            backend.minibatch_closeness(o.row_range(first, rows), m.row_range(first, rows));
        });
        backend.copy_columns(y, 0, x[0], 0, inputs_);
        backend.copy_columns(y, inputs_, o, 0, columns_);
    }
    bool backward_at_once() const override { return true; }
    void backward(Backend& backend, const Gradients& gradients, Matrix<const float> dz,
                  const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                  const Epilogue& previous, const LayerPass& pass) const override {
        const Matrix<float> m = features(pass, dz.rows);
        const Matrix<float> d_o = closeness(pass, dz.rows); // o itself is not needed any more
        const Matrix<float> d_m{pass.scratch.data, dz.rows, numbers()};
        backend.copy_columns(d_o, 0, dz, inputs_, columns_);
        for_groups(dz.rows, pass, [&](std::int64_t first, std::int64_t rows) {
            backend.minibatch_closeness_gradient(
                d_m.row_range(first, rows), d_o.row_range(first, rows), m.row_range(first, rows));
        });
        if (!gradients.d_weight.empty()) {
            backend.linear_weight_gradient({gradients.d_weight.data, numbers(), inputs_}, {}, d_m,
                                           x[0], gradients.accumulate);
        }
        const Matrix<float> dx = gradients.dx;
        if (dx.data == dz.data) { // it has no room for what nobody wants
            return;
        }
        const Matrix<float> direct{pass.scratch.data + d_m.size(), dz.rows, inputs_};
        backend.copy_columns(direct, 0, dz, 0, inputs_);
        backend.linear_input_gradient(dx, d_m, of(weight), {}, {});
        backend.weighted_sum(dx.flat(), direct.flat(), 1, dx.flat(), 1, {}, 0);
        pass_on(backend, dx, x[0], previous);
    }
    std::int64_t kept(std::int64_t rows) const override { return rows * (numbers() + columns_); }
    std::int64_t scratch(std::int64_t rows) const override { return rows * (numbers() + inputs_); }

    std::string why_no_tangent() const override {
        return "compares rows, so that the slope of a row is none of its own; leave closeness= out";
    }
    void tangent(Backend&, Matrix<float>, const std::vector<Matrix<const float>>&,
                 const std::vector<Matrix<const float>>&, Vector<const float>,
                 Vector<float>) const override {
        throw std::logic_error(text() + " " + why_no_tangent());
    }

  private:
    std::int64_t numbers() const { return columns_ * size_; } // that a row is compared by
    Matrix<const float> of(Vector<const float> weight) const {
        return {weight.data, numbers(), inputs_};
    }
    Matrix<float> features(const LayerPass& pass, std::int64_t rows) const {
        return {pass.kept.data, rows, numbers()};
    }
    Matrix<float> closeness(const LayerPass& pass, std::int64_t rows) const {
        return {pass.kept.data + rows * numbers(), rows, columns_};
    }
    std::int64_t inputs_, columns_, size_;
};

} // namespace

LayerPointer closeness_layer(Extent in, std::int64_t columns, std::int64_t size) {
    return std::make_shared<Closeness>(in.size(), columns, size);
}

} // namespace patchforge
