// The text of a network: one grammar for files, --network and reports (docs/formats.md).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/network_shape.h"

namespace patchforge {

namespace {

using Parser = LayerPointer (*)(LayerWords&);

// Every kind of layer by the word that its text begins with.
const std::map<std::string, Parser>& parsers() {
    static const std::map<std::string, Parser> table = {
        {"linear", parse_linear},
        {"conv", parse_convolution},
        {"depthwise", parse_depthwise},
        {"transposed", parse_transposed_convolution},
        {"upsampled", parse_upsampled_convolution},
        {"channels", parse_channels},
        {"augment", parse_augment},
        {"dot", parse_dot},
        {"film", parse_film},
        {"noise", parse_noise},
        {"deviation", parse_deviation},
        {"view", parse_view},
        {"add", parse_add},
        {"concat", parse_concatenation},
        {"pool", parse_pool},
        {"nearest", parse_nearest},
        {"bilinear", parse_bilinear},
        {"pad", parse_padding},
        {"reflect", parse_reflection},
        {"crop", parse_crop},
        {"shuffle", parse_shuffle},
    };
    return table;
}

// What words that follow a layer say of more than the layer.
struct Beside {
    bool placed = false; // its module has a number
    std::int64_t closeness_columns = 0, closeness_size = 0;
};

// Words that may follow any layer.
void read_common(LayerShape& layer, const std::string& word, Beside& beside) {
    const auto begins = [&](const char* prefix) { return word.starts_with(prefix); };
    if (word == "identity" || word == "relu" || word == "leaky_relu" || word == "tanh" ||
        word == "sigmoid") {
        layer.activation = activation_from_name(word);
    } else if (begins("slope=")) {
        layer.slope = number_in<float>(word, 6, 1e-6f, 1.0f);
    } else if (begins("dropout=")) {
        layer.dropout = number_in<float>(word, 8, 0.0f, 0.9999999f);
    } else if (word == "norm=batch") {
        layer.normalisation = Normalisation::batch;
    } else if (word == "norm=instance") {
        layer.normalisation = Normalisation::instance;
    } else if (begins("norm=group:")) {
        layer.normalisation = Normalisation::group;
        layer.groups = number_in<int>(word, 11, 1, 65536);
    } else if (begins("norm=virtual:")) {
        layer.normalisation = Normalisation::virtual_batch;
        layer.reference_rows = number_in<std::int64_t>(word, 13, 1, 65536);
    } else if (begins("closeness=") && word.find('x') != std::string::npos) {
        const std::size_t x = word.find('x');
        beside.closeness_columns = number_in<std::int64_t>(word.substr(0, x), 10, 1, 65536);
        beside.closeness_size = number_in<std::int64_t>(word, x + 1, 1, 65536);
    } else if (word == "fixed") {
        layer.trained = false;
    } else if (word == "noaffine") {
        layer.affine = false;
    } else if (word == "spectral") {
        layer.spectral = true;
    } else if (word == "head") {
        layer.head = true;
    } else if (begins("init=")) {
        layer.deviation = number_in<float>(word, 5, 1e-6f, 10.0f);
    } else if (word == "nobias") {
        layer.bias = false;
    } else if (begins("as=") && word.size() > 3) {
        layer.name = word.substr(3);
    } else if (begins("@")) {
        layer.module_index = number_in<int>(word, 1, 0, 1000000);
        beside.placed = true;
    } else {
        throw std::invalid_argument(fmt::format("unknown word '{}'", word));
    }
}

bool is_switch(const std::string& word) {
    return word == "fixed" || word == "nobias" || word == "noaffine" || word == "spectral" ||
           word == "head";
}

class Reader {
  public:
    NetworkShape read(const std::string& description) {
        std::istringstream items(description);
        std::size_t place = 1;
        for (std::string item; std::getline(items, item, ';');) {
            std::istringstream stream(item);
            LayerWords words;
            for (std::string word; stream >> word;) {
                words.words.push_back(word);
            }
            if (words.words.empty()) {
                throw std::invalid_argument("a layer is empty");
            }
            if (shape_.layers.empty() && shape_.in.channels == 0 && words.words.size() == 1 &&
                read_extent(words.words.front(), shape_.in)) {
                pictures_ = true;
                continue;
            }
            try {
                add(words);
            } catch (const std::invalid_argument& error) {
                const std::size_t begin = item.find_first_not_of(' ');
                throw std::invalid_argument(
                    fmt::format("layer {} ({}): {}", place, item.substr(begin), error.what()));
            }
            ++place;
        }
        if (shape_.layers.empty()) {
            throw std::invalid_argument("no layer");
        }
        check_readers();
        return std::move(shape_);
    }

  private:
    int named(const std::string& name) const {
        if (name == "input") {
            return -1;
        }
        for (std::size_t l = 0; l < shape_.layers.size(); ++l) {
            if (shape_.layers[l].name == name) {
                return static_cast<int>(l);
            }
        }
        throw std::invalid_argument(fmt::format("no layer before has as={}", name));
    }
    Extent extent_of(int value) const {
        return value < 0 ? shape_.in : shape_.layers[static_cast<std::size_t>(value)].out();
    }
    void add(LayerWords& words) {
        LayerShape layer;
        std::string kind = words.words.front();
        const bool bare = kind.find('>') != std::string::npos; // 64>256
        if (!bare) {
            words.words.pop_front();
        }
        const auto parser = parsers().find(bare ? "linear" : kind);
        if (parser == parsers().end()) {
            throw std::invalid_argument(
                fmt::format("there is no layer '{}'; write inputs>outputs, conv, pool, ...", kind));
        }
        if (shape_.layers.empty() && shape_.in.channels == 0) { // a network of flat values
            const std::string first = words.words.empty() ? "" : words.words.front();
            if (parser->first != "linear" || first.find('>') == std::string::npos) {
                throw std::invalid_argument("what does it read? begin with the size of the "
                                            "pictures, e.g. 3x50x50;");
            }
            shape_.in = flat(number_in<std::int64_t>(first.substr(0, first.find('>')), 0, 1,
                                                     std::int64_t{1} << 24));
        }
        read_sources(words, parser->first, layer);
        for (const int value : layer.from.empty() ? std::vector{last()} : layer.from) {
            words.in.push_back(extent_of(value));
        }
        layer.layer = parser->second(words);
        layer.bias = layer.layer->takes_bias();
        Beside beside;
        std::set<std::string> said;
        for (const std::string& word : words.words) {
            read_common(layer, word, beside);
            const bool activation = std::isalpha(static_cast<unsigned char>(word[0])) != 0 &&
                                    word.find('=') == std::string::npos && !is_switch(word);
            if (!said.insert(activation       ? "activation"
                             : word[0] == '@' ? "@"
                                              : word.substr(0, word.find('=')))
                     .second) {
                throw std::invalid_argument(
                    fmt::format("'{}' says a second time what was said", word));
            }
        }
        layer.inputs = words.in[0].size();
        layer.outputs = layer.layer->out().size();
        check(layer);
        count_modules(layer, beside.placed);
        shape_.layers.push_back(std::move(layer));
        if (beside.closeness_columns > 0) {
            if (shape_.layers.back().head) {
                throw std::invalid_argument("head: nothing may follow what the network gives");
            }
            append_closeness(shape_, beside.closeness_columns, beside.closeness_size);
            check_size(shape_.layers.back());
            maps_.push_back(false);
        }
    }
    int last() const { return static_cast<int>(shape_.layers.size()) - 1; }
    // from=NAME instead of the layer before; the second value of add, concat, film, augment and dot is their first word.
    void read_sources(LayerWords& words, const std::string& kind, LayerShape& layer) {
        int first = last();
        const auto from = std::find_if(words.words.begin(), words.words.end(),
                                       [](const std::string& w) { return w.starts_with("from="); });
        if (from != words.words.end()) {
            first = named(from->substr(5));
            words.words.erase(from);
            layer.from = {first};
        }
        static const std::set<std::string> of_two = {"add", "concat", "film", "augment", "dot"};
        if (of_two.contains(kind) && !words.words.empty()) {
            layer.from = {first, named(words.words.front())};
            words.words.pop_front();
        }
    }
    void check_readers() const {
        std::vector<int> readers(shape_.layers.size());
        for (std::int64_t l = 0; l < std::ssize(shape_.layers); ++l) {
            for (const int source : shape_.sources(l)) {
                if (source >= 0) {
                    ++readers[static_cast<std::size_t>(source)];
                }
            }
        }
        for (std::size_t l = 0; l < readers.size(); ++l) {
            const LayerShape& layer = shape_.layers[l];
            const auto refuse = [&](const char* what) {
                throw std::invalid_argument(fmt::format(
                    "layer {} ({}): {}", shape_.number(static_cast<std::int64_t>(l)) + 1,
                    layer.layer->text(), what));
            };
            if (l + 1 < readers.size() && readers[l] == 0 && !layer.head) {
                refuse("no layer reads it");
            }
            if (l + 1 == readers.size() && layer.head) {
                refuse("head: the last layer is one already");
            }
            for (const int source : layer.layer->backward_at_once() && layer.from.size() == 2
                                        ? std::vector{layer.from[1]}
                                        : std::vector<int>{}) {
                if (source < 0 || readers[static_cast<std::size_t>(source)] > 1 ||
                    shape_.layers[static_cast<std::size_t>(source)].head) {
                    refuse("what steers it nothing else may read");
                }
            }
        }
    }
    static void check_size(const LayerShape& layer) {
        const std::vector<std::int64_t> lengths = layer.layer->weight_shape();
        const double weights =
            std::accumulate(lengths.begin(), lengths.end(), 1.0, std::multiplies<>());
        constexpr double most = 2147483647; // kernels count in int
        if (static_cast<double>(layer.outputs) > most || weights > most) {
            throw std::invalid_argument("it is too large: more than 2^31 numbers");
        }
    }
    void check(const LayerShape& layer) const {
        check_size(layer);
        const bool maps = layer.layer->out().plane() > 1;
        const auto refuse = [](bool wrong, const char* what) {
            if (wrong) {
                throw std::invalid_argument(what);
            }
        };
        refuse(maps && layer.normalisation == Normalisation::virtual_batch,
               "virtual batches are for flat values; use norm=batch, instance or group");
        refuse(!maps && layer.normalisation == Normalisation::instance,
               "one number has no variance: norm=instance needs maps");
        refuse(layer.normalisation == Normalisation::group &&
                   layer.layer->out().channels % layer.groups != 0,
               "norm=group: the channels cannot be cut into so many groups");
        refuse(layer.normalisation == Normalisation::group && !maps &&
                   layer.layer->out().channels == layer.groups,
               "norm=group: one number has no variance; use fewer groups");
        refuse(layer.name == "input", "as=input: that is what the network reads");
        refuse(!layer.name.empty() &&
                   std::any_of(shape_.layers.begin(), shape_.layers.end(),
                               [&](const LayerShape& other) { return other.name == layer.name; }),
               "as=: another layer has this name");
        refuse(!layer.has_weights() && layer.normalisation == Normalisation::none && !layer.trained,
               "fixed: it has nothing that is trained");
        refuse(!layer.affine && (layer.normalisation == Normalisation::none || !maps),
               "noaffine: it has no norm= of maps");
        refuse(layer.spectral && layer.layer->weight_shape().size() < 2,
               "spectral: it has no weights");
        refuse(layer.spectral && !layer.trained, "spectral: fixed weights are what they are");
        refuse(layer.deviation > 0 && layer.layer->weight_shape().size() < 2,
               "init=: it has no weights");
        refuse(layer.head && (layer.activation != Activation::identity || layer.dropout > 0),
               "head: nothing may follow what the network gives");
    }
    // Layers that are typed without @k are counted as nn.Sequential does: a Flatten stands before a
    // Linear that reads maps, be they 1x1.
    void count_modules(LayerShape& layer, bool placed) {
        const int source = layer.from.empty() ? last() : layer.from.front();
        const bool reads_maps = source < 0 ? pictures_ : maps_[static_cast<std::size_t>(source)];
        if (!placed) {
            layer.module_index = module_ + (layer.is_linear() && reads_maps ? 1 : 0);
            // That of noise, which is no module and whose number nothing between moved on from.
            layer.module_index +=
                layer.has_weights() && numbers_.contains(layer.module_index) ? 1 : 0;
        }
        const bool normalised = layer.normalisation != Normalisation::none;
        if (layer.has_weights()) {
            take_number(layer.module_index);
        }
        if (normalised) {
            take_number(layer.module_index + 1);
        }
        // The module of what is normalised has a number, whether nn.Sequential knows it or not.
        module_ = layer.module_index + (layer.layer->is_module() || normalised ? 1 : 0) +
                  (normalised ? 1 : 0) + (layer.activation != Activation::identity ? 1 : 0) +
                  (layer.dropout > 0 ? 1 : 0);
        maps_.push_back(!layer.is_linear() &&
                        (reads_maps || layer.layer->out().plane() > 1 || layer.has_weights()));
    }
    void take_number(int module) {
        if (!numbers_.insert(module).second) {
            throw std::invalid_argument(
                fmt::format("@{}: another layer's tensors have this number", module));
        }
    }

    NetworkShape shape_{};
    bool pictures_ = false;  // come in, not flat values
    std::vector<bool> maps_; // of each layer: whether it gives maps
    int module_ = 0;
    std::set<int> numbers_; // of modules with tensors
};

} // namespace

namespace {

// followed: with the layer that follows it among its words, if there is one.
std::string text_of(const NetworkShape& shape, std::int64_t l, bool followed) {
    const auto name_of = [&](int value) {
        return value < 0 ? "input" : shape.layers[static_cast<std::size_t>(value)].name;
    };
    const LayerShape* const layers = shape.layers.data();
    const LayerShape& layer = layers[l];
    const LayerShape* const follower =
        followed && l + 1 < std::ssize(shape.layers) && layers[l + 1].follows() ? &layers[l + 1]
                                                                                : nullptr;
    const std::string own =
        layer.layer ? layer.layer->text() : fmt::format("{}>{}", layer.inputs, layer.outputs);
    // What a layer reads beside its first value stands behind the name of its kind.
    const std::size_t kind = layer.from.size() == 2 ? own.find(' ') : std::string::npos;
    std::string text = own.substr(0, kind);
    if (layer.from.size() == 2) {
        text += " " + name_of(layer.from[1]);
    }
    text += kind == std::string::npos ? "" : own.substr(kind);
    if (!layer.from.empty() && layer.from[0] != static_cast<int>(l) - 1) {
        text += " from=" + name_of(layer.from[0]);
    }
    if (layer.activation != Activation::identity || layer.is_linear()) {
        text += fmt::format(" {}", activation_name(layer.activation));
    }
    if (layer.activation == Activation::leaky_relu) {
        text += fmt::format(" slope={}", layer.slope);
    }
    if (layer.dropout > 0) {
        text += fmt::format(" dropout={}", layer.dropout);
    }
    switch (layer.normalisation) {
    case Normalisation::none:
        break;
    case Normalisation::batch:
        text += " norm=batch";
        break;
    case Normalisation::virtual_batch:
        text += fmt::format(" norm=virtual:{}", layer.reference_rows);
        break;
    case Normalisation::instance:
        text += " norm=instance";
        break;
    case Normalisation::group:
        text += fmt::format(" norm=group:{}", layer.groups);
        break;
    }
    text += follower ? " " + follower->layer->text() : "";
    text += layer.trained ? "" : " fixed";
    text += layer.bias || (layer.layer && !layer.layer->takes_bias()) ? "" : " nobias";
    text += layer.affine ? "" : " noaffine";
    text += layer.spectral ? " spectral" : "";
    text += layer.deviation > 0 ? fmt::format(" init={}", layer.deviation) : "";
    text += layer.head ? " head" : "";
    const std::string& name = follower ? follower->name : layer.name;
    text += name.empty() ? "" : " as=" + name;
    if (layer.has_weights() || layer.normalisation != Normalisation::none) {
        text += fmt::format(" @{}", layer.module_index);
    }
    return text;
}

} // namespace

std::string layer_text(const NetworkShape& shape, std::int64_t l) {
    const LayerShape& layer = shape.layers[static_cast<std::size_t>(l)];
    return layer.follows() ? layer.layer->text() + (layer.name.empty() ? "" : " as=" + layer.name)
                           : text_of(shape, l, false);
}

std::string describe(const NetworkShape& shape) {
    std::string text;
    const Extent in = shape.in;
    // Flat values need no size, since the first layer says it.
    if (in.plane() > 1 || !shape.layers.front().is_linear()) {
        text = in.text();
    }
    for (std::int64_t l = 0; l < std::ssize(shape.layers); ++l) {
        if (!shape.layers[static_cast<std::size_t>(l)].follows()) {
            text += (text.empty() ? "" : "; ") + text_of(shape, l, true);
        }
    }
    return text;
}

NetworkShape network_shape_from_description(const std::string& description) {
    try {
        return Reader().read(description);
    } catch (const std::invalid_argument& error) {
        throw std::runtime_error(fmt::format("network '{}': {} (the words are in docs/formats.md)",
                                             description, error.what()));
    }
}

} // namespace patchforge
