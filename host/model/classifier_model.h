// A classifier of patches: a network with its input scaling, its classes, and answers in batches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/model/brought_in.h"
#include "host/network/trace.h"
#include "kernels/backend.h"

namespace patchforge {

// What a weights file must say beside the weights; kept in its metadata as "channels", "height",
// "width", "head" ("softmax" or "binary") and "classes" (a JSON list of names).
struct ClassifierFormat {
    int channels = 3;
    int height = 50;
    int width = 50;
    std::vector<std::string> class_names; // at least two
    bool binary_head = false;             // one logit: class 1 against class 0

    Extent extent() const { return {channels, height, width}; }
    std::int64_t pixels() const { return extent().size(); }
    std::int64_t class_count() const { return static_cast<std::int64_t>(class_names.size()); }
    std::int64_t outputs() const { return binary_head ? 1 : class_count(); }

    void write(TensorFile& file) const;
    // From the metadata; a file of another program has none: then the pictures that the text of the
    // network begins with (3 x 50 x 50, 3 x 32 x 32 or 1 x 28 x 28 by the number of inputs where it
    // does not), a binary head when there is one output, and classes named "0", "1", ... Throws
    // std::runtime_error when the file contradicts itself.
    static ClassifierFormat read(const TensorFile& file, const NetworkShape& shape,
                                 const std::string& what);
};

// The network of a classifier: `hidden` layers of leaky ReLU 0.2 with dropout, and logits. A
// Dropout module stands behind each hidden layer whatever the probability.
NetworkShape classifier_shape(const ClassifierFormat& format,
                              const std::vector<std::int64_t>& hidden, float dropout);

// Pixels are in [0, 1] everywhere outside: the scaling 2x - 1 is part of the model, its first
// operation. The network's last layer has no activation. Answers are those of evaluation mode.
//
// Logits here are class logits [count, class_count]: a binary head's logit l counts as (0, l),
// whose softmax is (1 - sigmoid(l), sigmoid(l)). They are relative to the threshold (below).
class ClassifierModel {
  public:
    // Weights are zero until initialised or loaded. Throws std::invalid_argument when shape and
    // format disagree, or the last layer has an activation.
    ClassifierModel(Backend& backend, NetworkShape shape, ClassifierFormat format);

    // From a .safetensors file; a run folder (checkpoints/best/classifier.safetensors or, failing
    // that, the latest checkpoint's); or the folder of one checkpoint. How it reads a file that does
    // not say its network is printed. std::runtime_error names what is wrong, as bring_in does.
    static std::unique_ptr<ClassifierModel>
    load(Backend& backend, const std::filesystem::path& path, const ModelReading& reading = {});
    // The file that load() would read.
    static std::filesystem::path weights_file(const std::filesystem::path& path);

    Backend& backend() const { return network_.backend(); }
    Network& network() { return network_; }
    const Network& network() const { return network_; }
    const ClassifierFormat& format() const { return format_; }
    std::int64_t class_count() const { return format_.class_count(); }
    std::int64_t pixels() const { return format_.pixels(); }
    std::int64_t feature_count() const { return network_.shape().layers.back().inputs; }

    // The probability from which class 1 of two is called; 0.5 unless set or told by the loaded file.
    // It lies in the class logits: class 1 stands lead() = log(t / (1 - t)) lower than the network
    // says, so that answers, attacks and ensembles all keep to it. probabilities() and weights() are
    // the network's own. std::invalid_argument: --threshold.
    void set_threshold(double threshold);
    double threshold() const { return threshold_; }
    double lead() const;

    // Puts means over these patches, in batches, in place of batch normalisation's running
    // statistics: after weights were averaged, for example. At least one patch.
    void recompute_statistics(std::span<const std::uint8_t> bytes);

    // Weights by PyTorch's names, with shape, format and threshold in the metadata.
    TensorFile weights() const;
    // 16 hexadecimal digits of the weights (64-bit FNV-1a over names, shapes and values).
    std::string hash() const;

    // [count, class_count]. bytes: uint8 planes, pixels() a patch; a byte v is the pixel v / 255.
    std::vector<float> logits(std::span<const std::uint8_t> bytes) const;
    std::vector<float> logits(std::span<const float> pixels) const;
    std::vector<float> probabilities(std::span<const std::uint8_t> bytes) const;
    std::vector<float> probabilities(std::span<const float> pixels) const;
    // [count], the class of the largest logit, the first of equals.
    std::vector<std::int32_t> predictions(std::span<const std::uint8_t> bytes) const;
    std::vector<std::int32_t> predictions(std::span<const float> pixels) const;
    // [count, feature_count]: the input of the last layer.
    std::vector<float> features(std::span<const std::uint8_t> bytes) const;
    std::vector<float> features(std::span<const float> pixels) const;
    // [count, map_statistic_count()]: mean and standard deviation over the positions of every map of the
    // hidden layers with an activation, layer by layer, a layer's means first. What the network sees
    // of texture, wherever in the patch. None (0) of a network without maps.
    std::int64_t map_statistic_count() const;
    std::vector<float> map_statistics(std::span<const std::uint8_t> bytes) const;

  private:
    // A patch's answer does not depend on its neighbours: batches are always filled up to one size.
    static constexpr std::int64_t batch_ = 64;

    // Runs all patches through the network in batches; read(logits, to, rows) writes the first `rows`
    // answers of a batch. Returns [count, width].
    template <class T, class Read>
    std::vector<float> run(std::span<const T> patches, std::int64_t width, Trace& pass,
                           const Read& read) const;
    template <class T>
    std::vector<float> run(std::span<const T> patches, bool features) const;
    // The layers of map_statistics().
    std::vector<std::int64_t> layers_of_maps() const;
    template <class T>
    std::vector<float> class_logits(std::span<const T> patches) const;
    void scale(std::span<const std::uint8_t> patches) const;
    void scale(std::span<const float> patches) const;
    void put_bias(const std::vector<float>& values) const;

    Network network_;
    ClassifierFormat format_;
    double threshold_ = 0.5;
    std::vector<float> own_bias_; // of the last layer, where the threshold is not 0.5
    mutable Trace pass_;
    DeviceArray<std::uint8_t> bytes_; // [batch, pixels]
    DeviceArray<float> scaled_;
};

// Row by row from class logits [count, classes].
std::vector<float> softmax_of(std::span<const float> logits, std::int64_t classes);
// Of logits of two classes that are relative to a threshold: the network's own.
std::vector<float> probabilities_of(std::vector<float> logits, std::int64_t classes, double lead);
std::vector<std::int32_t> argmax_of(std::span<const float> logits, std::int64_t classes);

} // namespace patchforge
