// Convolutions of all kinds (kernels/operations/convolution.h).
#include <fmt/format.h>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"
#include "kernels/convolution_shape.h"

namespace patchforge {

namespace {

class Convolution final : public LinearLayer {
  public:
    explicit Convolution(const ConvolutionShape& shape) : shape_(shape) { shape_.validate(); }

    std::string text() const override;
    Extent out() const override { return shape_.out(); }
    std::vector<std::int64_t> weight_shape() const override {
        const bool transposed = shape_.kind == ConvolutionKind::transposed;
        const int first = transposed ? shape_.in.channels : shape_.out_channels;
        const int second = transposed ? shape_.out_channels : shape_.in.channels;
        return {first, second / shape_.groups, shape_.kernel_height, shape_.kernel_width};
    }
    // Of a transposed convolution PyTorch takes the second length of its weights, too.
    std::int64_t fan_in() const override {
        const std::vector<std::int64_t> lengths = weight_shape();
        return lengths[1] * lengths[2] * lengths[3];
    }
    // The rows are outputs, which a transposed convolution's weights name second.
    SpectralMatrix spectral_matrix() const override {
        SpectralMatrix matrix = Layer::spectral_matrix();
        if (shape_.kind == ConvolutionKind::transposed) {
            matrix.outer = matrix.rows;
            matrix.rows = weight_shape()[1];
            matrix.inner /= matrix.rows;
        }
        return matrix;
    }
    double operations(std::int64_t rows) const override { return shape_.operations(rows); }
    bool applies_epilogue() const override { return true; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float> weight, Vector<const float> bias, const Epilogue& epilogue,
                 const LayerPass&) const override {
        backend.convolution_forward(y, x[0], weight, bias, epilogue, shape_);
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float> weight, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.convolution_input_gradient(dx, dz, weight, x, previous, shape_);
    }
    void weight_gradient(Backend& backend, Vector<float> d_weight, Vector<float> d_bias,
                         Matrix<const float> dz, Matrix<const float> x,
                         bool accumulate) const override {
        backend.convolution_weight_gradient(d_weight, d_bias, dz, x, accumulate, shape_);
    }
    void weight_gradient_adam(Backend& backend, AdamTensor weight, AdamTensor bias,
                              Matrix<const float> dz, Matrix<const float> x,
                              const Adam& adam) const override {
        backend.convolution_weight_gradient_adam(weight, bias, dz, x, adam, shape_);
    }

  private:
    ConvolutionShape shape_;
};

std::string Convolution::text() const {
    const ConvolutionShape& s = shape_;
    const std::string channels = fmt::format("{}>{}", s.in.channels, s.out_channels);
    if (s.kind == ConvolutionKind::upsampled) {
        return "upsampled " + channels + (s.output_padding == -1 ? " crop" : "");
    }
    const bool depthwise = s.groups > 1;
    std::string text = depthwise                               ? "depthwise"
                       : s.kind == ConvolutionKind::transposed ? "transposed " + channels
                                                               : "conv " + channels;
    const auto add = [&](const char* word, int value, int otherwise) {
        text += value == otherwise ? "" : fmt::format(" {}{}", word, value);
    };
    add("k", s.kernel_height, 0);
    add("s", s.stride, 1);
    add("p", s.padding, 0);
    add("d", s.dilation, 1);
    add("o", s.output_padding, 0);
    return text;
}

LayerPointer parse(LayerWords& words, ConvolutionShape shape) {
    shape.in = words.in[0];
    shape.kernel_height = shape.kernel_width = words.number("k", 3);
    shape.stride = words.number("s", 1);
    shape.padding = words.number("p", 0);
    shape.dilation = words.number("d", 1);
    if (shape.kind == ConvolutionKind::transposed) {
        shape.output_padding = words.number("o", 0);
    }
    return std::make_shared<Convolution>(shape);
}

} // namespace

LayerPointer parse_convolution(LayerWords& words) {
    ConvolutionShape shape;
    shape.out_channels = words.channels(words.in[0].channels);
    return parse(words, shape);
}

LayerPointer parse_depthwise(LayerWords& words) {
    ConvolutionShape shape;
    shape.out_channels = shape.groups = words.in[0].channels;
    return parse(words, shape);
}

LayerPointer parse_transposed_convolution(LayerWords& words) {
    ConvolutionShape shape;
    shape.kind = ConvolutionKind::transposed;
    shape.out_channels = words.channels(words.in[0].channels);
    return parse(words, shape);
}

LayerPointer parse_upsampled_convolution(LayerWords& words) {
    ConvolutionShape shape;
    shape.kind = ConvolutionKind::upsampled;
    shape.in = words.in[0];
    shape.padding = 1; // of the 3x3 convolution behind the doubling
    shape.out_channels = words.channels(words.in[0].channels);
    shape.output_padding = words.take("crop") ? -1 : 0;
    return std::make_shared<Convolution>(shape);
}

} // namespace patchforge
