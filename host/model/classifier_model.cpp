#include "host/model/classifier_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include "data/escape.h"
#include "host/files/tensor_facts.h"
#include "host/numerics/moments.h"
#include "host/options/options.h"
#include "host/ranks/shared_rows.h"
#include "host/run/interrupt.h"
#include "host/run/progress.h"
#include "host/run/whole_checkpoint.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr const char* weights_name = "classifier.safetensors";

} // namespace

void ClassifierFormat::write(TensorFile& file) const {
    file.metadata["channels"] = std::to_string(channels);
    file.metadata["height"] = std::to_string(height);
    file.metadata["width"] = std::to_string(width);
    file.metadata["head"] = binary_head ? "binary" : "softmax";
    file.metadata["classes"] = names_entry(class_names);
}

ClassifierFormat ClassifierFormat::read(const TensorFile& file, const NetworkShape& shape,
                                        const std::string& what) {
    ClassifierFormat format;
    if (file.metadata.contains("channels") && file.metadata.contains("height") &&
        file.metadata.contains("width")) {
        format.channels = metadata_extent(file, "channels").value();
        format.height = metadata_extent(file, "height").value();
        format.width = metadata_extent(file, "width").value();
    } else if (shape.in.plane() > 1) {
        format.channels = shape.in.channels;
        format.height = shape.in.height;
        format.width = shape.in.width;
    } else {
        constexpr std::array<std::array<int, 3>, 3> usual = {
            {{3, 50, 50}, {3, 32, 32}, {1, 28, 28}}};
        for (const auto& [c, h, w] : usual) {
            if (std::int64_t{c} * h * w == shape.inputs()) {
                format.channels = c;
                format.height = h;
                format.width = w;
            }
        }
    }
    format.binary_head = shape.outputs() == 1;
    if (const auto names = names_of(file, "classes")) {
        format.class_names = *names;
    } else {
        for (std::int64_t c = 0; c < std::max<std::int64_t>(shape.outputs(), 2); ++c) {
            format.class_names.push_back(std::to_string(c));
        }
    }
    if (format.pixels() != shape.inputs()) {
        throw std::runtime_error(fmt::format(
            "{}: its {} inputs are not the pixels of a {} x {} x {} patch; begin the text of the "
            "network with the size of the pictures ('3x64x64; ...'), or write channels, height and "
            "width into the file's metadata",
            what, shape.inputs(), format.channels, format.height, format.width));
    }
    if (format.channels > 3) { // most likely height x width x channels
        throw std::runtime_error(fmt::format(
            "{}: reads pictures of {} x {} x {}, whose first number is 1 for grey or 3 for "
            "colours; give channels x height x width",
            what, format.channels, format.height, format.width));
    }
    if (format.class_count() < 2 || format.outputs() != shape.outputs() ||
        (format.binary_head && format.class_count() != 2)) {
        throw std::runtime_error(fmt::format(
            "{}: names {} classes but its network has {} outputs; name a class for each "
            "output, or two for a single one",
            what, format.class_count(), shape.outputs()));
    }
    return format;
}

NetworkShape classifier_shape(const ClassifierFormat& format,
                              const std::vector<std::int64_t>& hidden, float dropout) {
    return multilayer_perceptron(format.pixels(), hidden, format.outputs(), Activation::leaky_relu,
                                 0.2f, true, dropout, Activation::identity);
}

ClassifierModel::ClassifierModel(Backend& backend, NetworkShape shape, ClassifierFormat format)
    : network_(backend, std::move(shape)), format_(std::move(format)),
      pass_(network_, batch_, TraceUse{.backward = false}) {
    const NetworkShape& built = network_.shape();
    if (built.inputs() != format_.pixels() || built.outputs() != format_.outputs() ||
        built.layers.back().activation != Activation::identity || format_.class_count() < 2) {
        throw std::invalid_argument(
            fmt::format("classifier: a network {} does not answer for {} classes of {} pixels with "
                        "plain logits; give it as many inputs as pixels, one output a class and no "
                        "activation at its end",
                        describe(built), format_.class_count(), format_.pixels()));
    }
    bytes_ = DeviceArray<std::uint8_t>(backend, batch_ * pixels());
    scaled_ = DeviceArray<float>(backend, batch_ * pixels());
    if (network_.layer_count() > 1) {
        pass_.keep(network_.layer_count() - 2); // the features
    }
}

fs::path ClassifierModel::weights_file(const fs::path& path) {
    if (!fs::is_directory(path)) {
        return path;
    }
    for (const fs::path& candidate :
         {path / weights_name, path / "checkpoints" / "best" / weights_name}) {
        if (fs::exists(candidate)) {
            return candidate;
        }
    }
    if (const std::optional<Checkpoint> latest = newest_whole_checkpoint(path).newest;
        latest && fs::exists(latest->folder / weights_name)) {
        return latest->folder / weights_name;
    }
    throw std::runtime_error(fmt::format("{}: holds no trained classifier; give the folder of a "
                                         "finished `train classifier` run, or a "
                                         ".safetensors file",
                                         path.string()));
}

std::unique_ptr<ClassifierModel> ClassifierModel::load(Backend& backend, const fs::path& path,
                                                       const ModelReading& reading) {
    const fs::path from = weights_file(path);
    const std::string what = from.string();
    BroughtIn brought = bring_in(backend, read_safetensors(from), reading);
    if (brought.shape.layers.back().activation != Activation::identity) {
        throw std::runtime_error(fmt::format(
            "{}: its network ends in {}, a classifier ends in plain logits; leave a last "
            "sigmoid or softmax out of the text, or give a classifier's weights",
            what, activation_name(brought.shape.layers.back().activation)));
    }
    ClassifierFormat format = ClassifierFormat::read(brought.file, brought.shape, what);
    if (brought.by_options) {
        print_line(terminal_text(fmt::format(
            "{} is read as {}; pictures of {} x {} x {}, of whose pixels x in [0, 1] it sees {}; "
            "classes {}",
            what, describe(brought.shape), format.channels, format.height, format.width,
            brought.sees(), fmt::join(format.class_names, ", "))));
    }
    normalise_input(brought, format.extent());
    auto model =
        std::make_unique<ClassifierModel>(backend, std::move(brought.shape), std::move(format));
    model->network().load_weights(brought.file, what);
    if (const auto told = brought.file.metadata.find("threshold");
        told != brought.file.metadata.end()) {
        try {
            model->set_threshold(parse_fraction("threshold", told->second));
        } catch (const std::invalid_argument&) {
            throw std::runtime_error(fmt::format("{}: its metadata has '{}' for threshold; write a "
                                                 "probability between 0 and 1 there, "
                                                 "for two classes",
                                                 what, told->second));
        }
    }
    return model;
}

double ClassifierModel::lead() const {
    return std::log(threshold_ / (1 - threshold_));
}

void ClassifierModel::put_bias(const std::vector<float>& values) const {
    backend().upload(network_.bias(network_.layer_count() - 1).data, values.data(),
                     values.size() * sizeof(float));
}

void ClassifierModel::set_threshold(double threshold) {
    const Vector<float> bias = network_.bias(network_.layer_count() - 1);
    if (!(threshold > 0 && threshold < 1) ||
        (threshold != 0.5 && (class_count() != 2 || bias.empty()))) {
        throw std::invalid_argument(fmt::format(
            "--threshold {}: there are {} classes{}; give a probability between 0 and 1 to a "
            "classifier of two classes whose last layer has a bias",
            threshold, class_count(), bias.empty() ? " and no bias" : ""));
    }
    if (threshold_ != 0.5) {
        put_bias(own_bias_);
    }
    threshold_ = threshold;
    if (threshold_ != 0.5) {
        own_bias_.resize(static_cast<std::size_t>(bias.size));
        backend().download(own_bias_.data(), bias.data, own_bias_.size() * sizeof(float));
        std::vector<float> shifted = own_bias_;
        shifted.back() -= static_cast<float>(lead());
        put_bias(shifted);
    }
}

void ClassifierModel::recompute_statistics(std::span<const std::uint8_t> bytes) {
    const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / pixels();
    const std::int64_t rows = std::min(batch_, count);
    std::vector<std::uint8_t> batch(static_cast<std::size_t>(batch_ * pixels()));
    // Whole batches, all of one weight.
    for (std::int64_t number = 0; number < count / rows; ++number) {
        const auto part = bytes.subspan(static_cast<std::size_t>(number * rows * pixels()),
                                        static_cast<std::size_t>(rows * pixels()));
        std::copy(part.begin(), part.end(), batch.begin());
        scale(std::span<const std::uint8_t>(batch));
        const Matrix<float> scaled = scaled_.matrix(rows, pixels());
        backend().affine(scaled.flat(), scaled.flat(), 2, -1);
        pass_.forward(scaled, {.training = true,
                               .purpose = static_cast<std::uint32_t>(Purpose::dropout_classifier),
                               .draw = {nullptr, 1, static_cast<std::uint32_t>(number)},
                               .momentum = 1 / static_cast<float>(number + 1)});
    }
}

TensorFile ClassifierModel::weights() const {
    std::vector<float> shifted(own_bias_.size());
    if (threshold_ != 0.5) {
        const Vector<float> bias = network_.bias(network_.layer_count() - 1);
        backend().download(shifted.data(), bias.data, shifted.size() * sizeof(float));
        put_bias(own_bias_);
    }
    TensorFile file = network_.weights();
    format_.write(file);
    if (threshold_ != 0.5) {
        put_bias(shifted);
        file.metadata["threshold"] = fmt::format("{}", threshold_);
    }
    return file;
}

std::string ClassifierModel::hash() const {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](const void* bytes, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3;
        }
    };
    for (const Tensor& tensor : network_.weights().tensors) {
        add(tensor.name.data(), tensor.name.size());
        add(tensor.shape.data(), tensor.shape.size() * sizeof(tensor.shape[0]));
        add(tensor.bytes.data(), tensor.bytes.size());
    }
    return fmt::format("{:016x}", hash);
}

void ClassifierModel::scale(std::span<const std::uint8_t> patches) const {
    Backend& on = backend();
    on.upload(bytes_.data(), patches.data(), patches.size());
    const BatchPlan plan{
        .count = batch_, .batch_size = batch_, .order = BatchPlan::Order::sequential};
    on.gather_rows(scaled_.matrix(batch_, pixels()), {}, bytes_.matrix(batch_, pixels()),
                   PixelRange::unit, plan);
}

void ClassifierModel::scale(std::span<const float> patches) const {
    backend().upload(scaled_.data(), patches.data(), patches.size_bytes());
}

template <class T, class Read>
std::vector<float> ClassifierModel::run(std::span<const T> patches, std::int64_t width, Trace& pass,
                                        const Read& read) const {
    const std::int64_t count = static_cast<std::int64_t>(patches.size()) / pixels();
    if (count * pixels() != static_cast<std::int64_t>(patches.size())) {
        throw std::invalid_argument(fmt::format(
            "classifier: {} values are not patches of {} pixels; give patches of {} x {} x {}",
            patches.size(), pixels(), format_.channels, format_.height, format_.width));
    }
    std::vector<float> answers(static_cast<std::size_t>(count * width));
    const Matrix<float> scaled = scaled_.matrix(batch_, pixels());
    const auto answer = [&](std::int64_t first, std::int64_t rows) {
        scale(patches.subspan(static_cast<std::size_t>(first * pixels()),
                              static_cast<std::size_t>(rows * pixels())));
        backend().affine(scaled.flat(), scaled.flat(), 2, -1);
        stop_if_interrupted();
        read(pass.forward(scaled), answers.data() + first * width, rows);
    };
    share_batches(std::span(answers), count, width, batch_, answer);
    return answers;
}

template <class T>
std::vector<float> ClassifierModel::run(std::span<const T> patches, bool features) const {
    const std::int64_t width = features ? feature_count() : format_.outputs();
    return run(patches, width, pass_,
               [&](const Matrix<float>& logits, float* to, std::int64_t rows) {
                   const Matrix<float> wanted = !features ? logits
                                                : network_.layer_count() > 1
                                                    ? pass_.output(network_.layer_count() - 2)
                                                    : scaled_.matrix(batch_, pixels());
                   backend().download(to, wanted.data,
                                      static_cast<std::size_t>(rows * width) * sizeof(float));
               });
}

template <class T>
std::vector<float> ClassifierModel::class_logits(std::span<const T> patches) const {
    std::vector<float> answers = run(patches, false);
    if (!format_.binary_head) {
        return answers;
    }
    std::vector<float> pairs;
    pairs.reserve(2 * answers.size());
    for (const float logit : answers) {
        pairs.insert(pairs.end(), {0.0f, logit});
    }
    return pairs;
}

std::vector<float> ClassifierModel::logits(std::span<const std::uint8_t> bytes) const {
    return class_logits(bytes);
}
std::vector<float> ClassifierModel::logits(std::span<const float> pixels) const {
    return class_logits(pixels);
}
std::vector<float> ClassifierModel::probabilities(std::span<const std::uint8_t> bytes) const {
    return probabilities_of(class_logits(bytes), class_count(), lead());
}
std::vector<float> ClassifierModel::probabilities(std::span<const float> pixels) const {
    return probabilities_of(class_logits(pixels), class_count(), lead());
}
std::vector<std::int32_t> ClassifierModel::predictions(std::span<const std::uint8_t> bytes) const {
    return argmax_of(class_logits(bytes), class_count());
}
std::vector<std::int32_t> ClassifierModel::predictions(std::span<const float> pixels) const {
    return argmax_of(class_logits(pixels), class_count());
}
std::vector<float> ClassifierModel::features(std::span<const std::uint8_t> bytes) const {
    return run(bytes, true);
}
std::vector<float> ClassifierModel::features(std::span<const float> pixels) const {
    return run(pixels, true);
}

std::vector<std::int64_t> ClassifierModel::layers_of_maps() const {
    std::vector<std::int64_t> found;
    for (std::int64_t l = 0; l + 1 < network_.layer_count(); ++l) {
        const LayerShape& layer = network_.shape().layers[static_cast<std::size_t>(l)];
        if (layer.activation != Activation::identity && layer.out().plane() > 1) {
            found.push_back(l);
        }
    }
    return found;
}

std::int64_t ClassifierModel::map_statistic_count() const {
    std::int64_t count = 0;
    for (const std::int64_t l : layers_of_maps()) {
        count += 2 * network_.shape().layers[static_cast<std::size_t>(l)].out().channels;
    }
    return count;
}

std::vector<float> ClassifierModel::map_statistics(std::span<const std::uint8_t> bytes) const {
    const std::vector<std::int64_t> layers = layers_of_maps();
    const std::int64_t width = map_statistic_count();
    Trace pass(network_, batch_, TraceUse{.backward = false});
    for (const std::int64_t l : layers) {
        pass.keep(l);
    }
    std::vector<float> maps;
    return run(bytes, width, pass, [&](const Matrix<float>&, float* to, std::int64_t rows) {
        for (const std::int64_t l : layers) {
            const Extent extent = network_.shape().layers[static_cast<std::size_t>(l)].out();
            const Matrix<float> output = pass.output(l);
            maps.resize(static_cast<std::size_t>(rows * output.columns));
            backend().download(maps.data(), output.data, maps.size() * sizeof(float));
            for (std::int64_t row = 0; row < rows; ++row) {
                map_moments(std::span(maps).subspan(static_cast<std::size_t>(row * extent.size()),
                                                    static_cast<std::size_t>(extent.size())),
                            extent.channels, to + row * width);
            }
            to += 2 * extent.channels;
        }
    });
}

std::vector<float> softmax_of(std::span<const float> logits, std::int64_t classes) {
    std::vector<float> result(logits.size());
    const auto width = static_cast<std::size_t>(classes);
    for (std::size_t first = 0; first < logits.size(); first += width) {
        const auto row = logits.subspan(first, width);
        const double largest = *std::max_element(row.begin(), row.end());
        double sum = 0;
        for (const float logit : row) {
            sum += std::exp(logit - largest);
        }
        for (std::size_t c = 0; c < width; ++c) {
            result[first + c] = static_cast<float>(std::exp(row[c] - largest) / sum);
        }
    }
    return result;
}

std::vector<float> probabilities_of(std::vector<float> logits, std::int64_t classes, double lead) {
    for (std::size_t i = 1; lead != 0 && i < logits.size(); i += 2) {
        logits[i] += static_cast<float>(lead);
    }
    return softmax_of(logits, classes);
}

std::vector<std::int32_t> argmax_of(std::span<const float> logits, std::int64_t classes) {
    std::vector<std::int32_t> result;
    const auto width = static_cast<std::size_t>(classes);
    for (std::size_t first = 0; first < logits.size(); first += width) {
        const auto row = logits.subspan(first, width);
        result.push_back(
            static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    return result;
}

} // namespace patchforge
