// One way through a network and back.
#pragma once

#include <functional>
#include <vector>

#include "host/network/network.h"

namespace patchforge {

// How a training pass differs from evaluation. Dropout: layer l draws its mask from
// purpose_of_layer(purpose, l). The rows are `groups` equal parts, each normalised and compared within
// itself (real patches and fakes in one batch, say), behind the reference rows if the network has a
// virtual batch. Batch statistics go into the running ones, group by group.
struct DropoutSource {
    bool training = false;
    std::uint64_t seed = 0;
    std::uint32_t purpose = 0;
    StepCount draw{};
    std::int64_t groups = 1;
    float momentum = 0.1f; // share of this pass in the running statistics; PyTorch's default
    // Outside of training: batches are normalised by their own statistics, which do not run.
    bool batch_statistics = false;
    // Noise in maps: the draw of the first row's picture; the other rows count on from there.
    std::uint64_t picture_seed = 0;
    StepCount picture{};
};

// What a trace has room for.
struct TraceUse {
    bool training = true; // forward passes of training, too
    bool backward = true;
    bool everything = false; // outputs and gradients of all layers stay, which Tangent reads
};

// The outputs of the last forward pass, kept as far as the backward one reads them. Several traces may
// share a network.
//
// All values lie in one piece of memory, planned by lifetime (lifetimes.h): the steps are the layers
// forward, then the layers back. What the way back reads stays until the next forward pass, since several
// backward passes may follow one; any other output lives until its last reader has run, and a gradient
// from the layer that first adds to it to the layer that it belongs to.
//
// A value that one layer alone reads has its epilogue's derivative fused into that layer's backward
// operation. What several layers read (a skip, a residual) collects their gradients first; the
// derivative follows.
class Trace {
  public:
    // Room for up to maximum_rows.
    Trace(const Network& network, std::int64_t maximum_rows, const TraceUse& use = {});

    // Runs the network on input [B, inputs]; returns the last layer's output [B, outputs], which is
    // `output` if given. Input and output must stay as they are until the backward pass is done.
    Matrix<float> forward(Matrix<const float> input, const DropoutSource& dropout = {},
                          Matrix<float> output = {});

    // As if the last forward pass had run on these rows of its input alone: the backward pass then
    // is theirs. For chains of Linear layers without dropout, whose rows know nothing of each other.
    void keep_rows(std::int64_t first, std::int64_t count);

    Matrix<const float> input() const { return input_; } // of the last forward pass
    // Output of a layer in the last forward pass, [B, outputs]. It must be one that stays: the network's own, one with an activation or that a layer with weights reads, where
    // the trace has a way back, or one that keep() asked for; std::logic_error for others.
    Matrix<float> output(std::int64_t layer) const;
    // From here on the layer's output stays until the next forward pass. The values so far are lost.
    void keep(std::int64_t layer);
    // The epilogue that made it.
    const Epilogue& epilogue(std::int64_t layer) const { return epilogues_[layer]; }
    // The weights that it multiplied by: divided by their largest singular value if the layer is spectral. Empty
    // without weights.
    Vector<const float> weight_of(std::int64_t layer) const;
    Vector<const float> singular_value(std::int64_t layer) const {
        return memory_[static_cast<std::size_t>(layer)].sigma.view();
    }
    // Gradient by what enters a layer's epilogue: where it goes before a backward pass that starts there.
    // Those of the heads (output(head), gradient(head)), of start_from() and, where TraceUse::everything
    // asks for it, of all layers are then as the last backward pass left them.
    Matrix<float> gradient(std::int64_t layer) const;
    // By the last layer's z, before its epilogue.
    Matrix<float> output_gradient() { return gradient(network_->layer_count() - 1); }

    // From here on whoever calls for a backward pass from output_gradient() fills gradient(layer), too: a
    // term of the loss that stands on this layer's output. The values so far are lost.
    void start_from(std::int64_t layer);

    // The backward passes start from output_gradient(), or from gradient(from) if `from` is given.
    // Every parameter takes an Adam step as soon as its gradient is known: weights and biases in the operation
    // that gives theirs (LayerShape::fuses_weights), the rest right behind it; nothing is computed for the
    // input.
    void backward_update(Network& network, const Adam& adam);
    // d_input [B, inputs]: gradient by whatever `previous` made the input of; no parameter changes.
    void backward_input(Matrix<float> d_input, const Epilogue& previous = {},
                        std::int64_t from = -1);
    // Gradients of all parameters, laid out as Network::all(), added when `accumulate`; d_input too
    // if not empty. Without `gradients` those of values alone.
    // `complete` is told the first of the gradients that nothing is added to any more, with all behind it, as
    // layer after layer is done and its gradient() is what its weights' come from.
    void backward_gradients(Vector<float> gradients, bool accumulate, Matrix<float> d_input = {},
                            const Epilogue& previous = {},
                            const std::function<void(std::int64_t first)>& complete = {});

    // What a second derivative needs of normalisation (tangent.h), of a trace with TraceUse::everything.
    // Whether a layer normalises by statistics that its rows have given.
    bool bends(std::int64_t layer) const;
    // The change t of what a layer normalises becomes the change ty of what comes out.
    void normalise_tangent(std::int64_t layer, Matrix<float> ty, Matrix<const float> t);
    // After backward_input(), where values change along tangents: what the layers that bend add to the
    // gradient by all parameters of the derivative along them. tangents [l]: of what layer l normalises.
    void backward_curvature(Vector<float> gradients,
                            const std::vector<Matrix<const float>>& tangents);

    // Floats that values and gradients take together, and what they would take with a place each.
    std::int64_t room() const { return values_.size(); }
    std::int64_t room_apart() const { return room_apart_; }

  private:
    // What one layer has of a pass; empty where the layer has no use for it.
    struct LayerMemory {
        // Within values_:
        Vector<float> output;
        Vector<float> gradient;
        Vector<float>
            before_normalisation; // z [B, outputs]; where it may be, output takes its place
        Vector<float> kept;       // of the layer: LayerPass::kept, scratch
        Vector<float> scratch;
        Vector<float> apart; // gradient by weight, then bias, on its way into a sum or into Adam
        Vector<float> normalised_gradient; // by what was normalised, in backward_input()
        bool stays = false;                // output, until the next forward pass

        DeviceArray<float> statistics; // [groups, 2, outputs], or [2, sets] of maps
        DeviceArray<double> sums;      // of the normalisation of maps, or of the layer itself
        DeviceArray<float>
            affine; // gradients by scale and shift, for Adam or for nobody, laid out as they
                    // are; 0 between them
        DeviceArray<float> folded_weight;   // with the running statistics
        DeviceArray<float> folded_bias;     // [channels]
        DeviceArray<float> spectral_weight; // weights by their largest singular value
        DeviceArray<float> sigma;           // [1]: that value
    };
    // One backward pass.
    struct Backward {
        Vector<float> gradients{}; // empty: none of parameters
        bool accumulate = false;
        Matrix<float> d_input{};
        Epilogue previous{};
        std::int64_t from = 0;
        Network* updated = nullptr; // takes an Adam step instead
        Adam adam{};
        std::function<void(std::int64_t)> complete{};
        const std::vector<Matrix<const float>>* tangents = nullptr; // of backward_curvature()
    };
    static constexpr std::int64_t maximum_groups = 2;

    // Takes the memory of values and gradients.
    void plan_values();
    // Whether the way back reads the layer's output, or somebody outside does.
    bool output_stays(std::int64_t layer) const;
    // Whether the way back reads what a layer normalised.
    bool keeps_before_normalisation(std::int64_t layer) const;
    Matrix<float> rows_of(Vector<float> values, std::int64_t columns) const {
        return {values.data, rows_, columns};
    }
    Matrix<float> made(std::int64_t layer) const {
        return outputs_[static_cast<std::size_t>(layer)];
    }
    Matrix<float> before_normalisation(std::int64_t layer) const;

    // In training, unless the layer is fixed.
    bool by_own_statistics(std::int64_t layer) const {
        return (training_ || batch_statistics_) && shape(layer).trained;
    }
    bool of_maps(std::int64_t layer) const; // normalised by kernels/operations/normalise_maps.h
    MapSets sets_of(std::int64_t layer, std::int64_t rows) const;
    Matrix<float> statistics_of(std::int64_t layer) const; // [2, sets], where no batch is virtual
    void add_curvature(std::int64_t layer, const Backward& pass);
    // In evaluation a layer with weights takes the running statistics of its maps into them, so that no
    // pass over the maps is left: scale / deviation into each channel's weights, the rest into its bias.
    bool folds(std::int64_t layer) const;
    void fold(std::int64_t layer);
    void normalise(std::int64_t layer);
    void normalise_maps(std::int64_t layer);
    // Turns gradient(layer) into the gradient by the layer's own output.
    void normalise_gradient(std::int64_t layer, const Backward& pass);
    void normalise_maps_gradient(std::int64_t layer, Vector<float> d_scale, Vector<float> d_shift,
                                 bool accumulate);
    void normalise_columns_gradient(std::int64_t layer, Vector<float> d_scale,
                                    Vector<float> d_shift, bool accumulate);
    void backward(const Backward& pass);
    void parameter_gradients(std::int64_t layer, const Backward& pass);
    // Where the gradients by weight and bias go.
    Vector<float> weight_target(std::int64_t layer, const Backward& pass) const;
    Vector<float> bias_target(std::int64_t layer, const Backward& pass) const;
    bool wants(int source, const Backward& pass) const; // its gradient
    void backward_at_once(std::int64_t layer, const Backward& pass);
    Vector<const float> unfolded_weight(std::int64_t layer) const;
    LayerPass pass_of(std::int64_t layer);
    // Sends gradient(layer) to what the layer reads.
    void pass_down(std::int64_t layer, const Backward& pass);
    Matrix<const float> value(int source) const; // -1: the input
    std::vector<Matrix<const float>> inputs_of(std::int64_t layer) const;

    const LayerShape& shape(std::int64_t layer) const {
        return network_->shape().layers[static_cast<std::size_t>(layer)];
    }
    const Layer& computes(std::int64_t layer) const {
        return *layers_[static_cast<std::size_t>(layer)];
    }
    LayerMemory& memory(std::int64_t layer) { return memory_[static_cast<std::size_t>(layer)]; }
    const LayerMemory& memory(std::int64_t layer) const {
        return memory_[static_cast<std::size_t>(layer)];
    }
    // The rows of a group, behind the reference rows.
    std::int64_t group_rows() const { return rows_ / groups_; }

    const Network* network_;
    std::int64_t maximum_rows_;
    TraceUse use_;
    std::vector<LayerPointer> layers_;
    DeviceArray<float> values_; // memory of all values and gradients
    std::int64_t room_apart_ = 0;
    std::int64_t rows_ = 0;
    std::int64_t groups_ = 1;
    bool training_ = false;
    bool batch_statistics_ = false;
    float momentum_ = 0.1f;
    RandomStream pictures_{};
    Matrix<const float> input_;
    std::vector<LayerMemory> memory_;
    std::vector<Matrix<float>> outputs_;
    std::vector<Epilogue> epilogues_;
    Vector<float> added_;            // within values_: a gradient on its way into a sum
    Vector<float> steering_;         // the same of what steers a layer
    std::vector<int> starts_;        // where backward passes start beside the last layer
    std::vector<std::int64_t> kept_; // by keep()
    std::vector<int> readers_;       // of each value in the current backward pass, [0] the input
    std::vector<int> collected_;     // gradients that arrived
};

} // namespace patchforge
