// What one layer of a network computes, without memory: its tensors, its passes and its words in the
// text of a network. Layers are immutable; a NetworkShape holds them. host/network/layers/ has a file
// for each kind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/extent.h"

namespace patchforge {

// A row of a network's values that is no picture.
inline Extent flat(std::int64_t numbers) {
    return {static_cast<int>(numbers), 1, 1};
}

// What a pass lends its layers beside their operands.
struct LayerPass {
    std::int64_t group_rows =
        0;                   // the batch is parts of so many rows that know nothing of each other
    RandomStream noise{};    // of pictures; the first row's draw, the others count on from there
    Vector<double> sums{};   // room for Layer::sums(rows)
    Vector<float> kept{};    // room for Layer::kept(rows), the same from forward() to backward()
    Vector<float> scratch{}; // room for Layer::scratch(rows), of backward() alone
};

class Layer {
  public:
    virtual ~Layer() = default;

    // "conv 3>16 k3 p1": without what may follow any layer (activation, norm=, ...).
    virtual std::string text() const = 0;
    virtual Extent out() const = 0;
    virtual std::size_t sources() const { return 1; } // values that it reads

    // As PyTorch keeps them; empty: nothing is trained here. Uniform in +-1 / sqrt(fan_in()) at the
    // beginning, the bias, one number a channel of out(), too.
    virtual std::vector<std::int64_t> weight_shape() const { return {}; }
    virtual std::int64_t fan_in() const { return 0; }
    // Weights that begin with one number each instead.
    virtual std::optional<float> first_weight() const { return {}; }
    virtual bool takes_bias() const { return true; }
    // Behind the number of its module.
    virtual std::string weight_name() const { return "weight"; }
    // Whether it stands in the text as a word of the layer before, whose number and random streams it
    // shares.
    virtual bool follows() const { return false; }
    // The weights as the matrix whose largest singular value spectral normalisation divides by.
    virtual SpectralMatrix spectral_matrix() const;
    virtual double operations(std::int64_t rows) const; // a multiply-add counts two
    // Whether nn.Sequential has a module for it, behind which the next one is counted.
    virtual bool is_module() const { return true; }

    // y = epilogue(layer(x)). x [i] is the value of source i. An identity epilogue alone is given
    // where applies_epilogue() is false.
    virtual bool applies_epilogue() const { return false; }
    // Whether its backward operations read x for more than the derivative of what made it. Values that
    // no layer reads again are not kept for the way back.
    virtual bool backward_reads_input() const { return true; }
    virtual void forward(Backend& backend, Matrix<float> y,
                         const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                         Vector<const float> bias, const Epilogue& epilogue,
                         const LayerPass& pass) const = 0;
    // dx = (gradient by source i) * previous'(x), from dz, the gradient by what forward gave.
    // `previous` made x. Not of layers whose backward_at_once().
    virtual void input_gradient(Backend& backend, Matrix<float> dx, std::size_t i,
                                Matrix<const float> dz, Vector<const float> weight,
                                Matrix<const float> x, const Epilogue& previous,
                                const LayerPass& pass) const;
    // Of layers with weights. The bias may be empty.
    virtual void weight_gradient(Backend& backend, Vector<float> d_weight, Vector<float> d_bias,
                                 Matrix<const float> dz, Matrix<const float> x,
                                 bool accumulate) const;
    virtual void weight_gradient_adam(Backend& backend, AdamTensor weight, AdamTensor bias,
                                      Matrix<const float> dz, Matrix<const float> x,
                                      const Adam& adam) const;
    // input_gradient with the weights as they were, then weight_gradient_adam.
    virtual void backward_adam(Backend& backend, Matrix<float> dx, AdamTensor weight,
                               AdamTensor bias, Matrix<const float> dz, Matrix<const float> x,
                               const Epilogue& previous, const Adam& adam) const;

    // Layers whose gradients are one operation give all of them here instead of in the four above.
    virtual bool backward_at_once() const { return false; }
    struct Gradients {
        Matrix<float> dx;        // times previous'(x[0]); may be dz
        Matrix<float> d_second;  // by source 1, if there is one
        Vector<float> d_weight;  // of layers with weights, unless nobody asked
        bool accumulate = false; // d_weight
    };
    virtual void backward(Backend& backend, const Gradients& gradients, Matrix<const float> dz,
                          const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                          const Epilogue& previous, const LayerPass& pass) const;
    // What LayerPass has room for, of so many rows.
    virtual std::int64_t sums(std::int64_t) const { return 0; }
    virtual std::int64_t kept(std::int64_t) const { return 0; }
    virtual std::int64_t scratch(std::int64_t) const { return 0; }
};

using LayerPointer = std::shared_ptr<const Layer>;

} // namespace patchforge
