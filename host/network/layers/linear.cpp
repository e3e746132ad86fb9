#include <fmt/format.h>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

class Linear final : public LinearLayer {
  public:
    Linear(std::int64_t inputs, std::int64_t outputs) : inputs_(inputs), outputs_(outputs) {}

    std::string text() const override { return fmt::format("{}>{}", inputs_, outputs_); }
    Extent out() const override { return flat(outputs_); }
    std::vector<std::int64_t> weight_shape() const override { return {outputs_, inputs_}; }
    std::int64_t fan_in() const override { return inputs_; }
    double operations(std::int64_t rows) const override {
        return 2.0 * static_cast<double>(rows) * static_cast<double>(inputs_ * outputs_);
    }
    bool applies_epilogue() const override { return true; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float> weight, Vector<const float> bias, const Epilogue& epilogue,
                 const LayerPass&) const override {
        backend.linear_forward(y, x[0], of(weight), bias, epilogue);
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float> weight, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.linear_input_gradient(dx, dz, of(weight), x, previous);
    }
    void weight_gradient(Backend& backend, Vector<float> d_weight, Vector<float> d_bias,
                         Matrix<const float> dz, Matrix<const float> x,
                         bool accumulate) const override {
        backend.linear_weight_gradient({d_weight.data, outputs_, inputs_}, d_bias, dz, x,
                                       accumulate);
    }
    void weight_gradient_adam(Backend& backend, AdamTensor weight, AdamTensor bias,
                              Matrix<const float> dz, Matrix<const float> x,
                              const Adam& adam) const override {
        backend.linear_weight_gradient_adam(weight, bias, dz, x, adam);
    }
    void backward_adam(Backend& backend, Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                       Matrix<const float> dz, Matrix<const float> x, const Epilogue& previous,
                       const Adam& adam) const override {
        backend.linear_backward_adam(dx, weight, bias, dz, x, previous, adam);
    }

  private:
    Matrix<const float> of(Vector<const float> weight) const {
        return {weight.data, outputs_, inputs_};
    }
    std::int64_t inputs_, outputs_;
};

} // namespace

LayerPointer linear_layer(std::int64_t inputs, std::int64_t outputs) {
    return std::make_shared<Linear>(inputs, outputs);
}

LayerPointer parse_linear(LayerWords& words) {
    const std::int64_t inputs = words.in[0].size();
    return linear_layer(inputs, words.channels(inputs));
}

} // namespace patchforge
