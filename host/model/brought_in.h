// Weights that another program wrote. What their file does not say is told by options or refused,
// never guessed: a network with another activation gives other answers without any sign of it.
// docs/bring-your-own-model.md shows how such files are made.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "host/files/safetensors.h"
#include "host/network/network_shape.h"
#include "kernels/backend.h"

namespace patchforge {

struct Option;
class Options;

// What options tell of files without "network" in their metadata.
struct ModelReading {
    std::string network{}; // the text of a network (docs/formats.md)
    // The network reads (x - mean) / deviation of pixels x in [0, 1]: a number a channel, or one for
    // all. Empty: 2x - 1, as everything that is trained here.
    std::vector<double> mean{};
    std::vector<double> deviation{};
    std::vector<std::string> class_names{}; // empty: the file's own, else "0", "1", ...
    mutable bool heeded = false;            // some file was read by it

    // Throws std::invalid_argument where --network was given and no file was read by it.
    void refuse_unheeded() const;
};
// Returns --network, which the others stand beside.
Option& describe(Options& options, ModelReading& reading);

// A network and its tensors, by the names that the network gives them.
struct BroughtIn {
    NetworkShape shape;
    TensorFile file;
    std::vector<double> mean{}; // as ModelReading has them
    std::vector<double> deviation{};
    bool by_options = false; // the file alone does not say how it is read
    std::map<std::string, std::string>
        held_as{}; // the file's name of each of the network's tensors

    // "2x - 1", "(x - 0.1307) / 0.3081": what the network sees of pixels x in [0, 1].
    std::string sees() const;
};

// The network is that of the file's metadata, "network", else that of `reading`; so are mean and
// deviation, the metadata's "mean" and "std" being lists of numbers. Tensors that are named otherwise
// than the network names its own are mapped by order (names_by_order). Throws std::runtime_error naming the
// file where neither says the network, or the tensors are not its own.
BroughtIn bring_in(Backend& backend, const TensorFile& file, const ModelReading& reading);

// Where mean and deviation are something else than 1/2, puts a fixed layer in front that turns
// 2x - 1 into (x - mean) / deviation: a layer of its own, because a convolution pads with zeros what
// comes out of it. Saved with the rest, it needs no options any more.
void normalise_input(BroughtIn& model, Extent pictures);

// For each tensor of `wanted` its name in `file`: the same where all have it. Else modules (what stands
// before the last dot) go by their shapes, those of equal shapes in the order of the numbers in their
// names; nn.BatchNorm's num_batches_tracked is passed over. Throws std::runtime_error naming the file
// where shapes do not pair, or where modules of equal shapes are told apart by words, which have no
// order.
std::map<std::string, std::string> names_by_order(const TensorFile& file, const TensorFile& wanted);

} // namespace patchforge
