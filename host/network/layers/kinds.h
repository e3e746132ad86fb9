// The kinds of layers, one file each. A parser reads the words behind its name, and those alone; it
// throws std::invalid_argument with what is wrong.
#pragma once

#include <algorithm>

#include "host/network/layer.h"
#include "host/network/layers/words.h"

namespace patchforge {

// dx *= previous'(x), of a layer whose operation does not do that itself.
inline void pass_on(Backend& backend, Matrix<float> dx, Matrix<const float> x,
                    const Epilogue& previous) {
    if (!previous.is_identity()) {
        backend.activation_gradient(dx, dx, x, previous);
    }
}

// f(first row, rows) of each part of a batch that knows nothing of the others.
template <class F>
void for_groups(std::int64_t rows, const LayerPass& pass, F&& f) {
    for (std::int64_t first = 0; first < rows; first += pass.group_rows) {
        f(first, std::min(pass.group_rows, rows - first));
    }
}

LayerPointer linear_layer(std::int64_t inputs, std::int64_t outputs);
LayerPointer closeness_layer(Extent in, std::int64_t columns, std::int64_t size);
LayerPointer parse_linear(LayerWords& words);
LayerPointer parse_convolution(LayerWords& words);            // conv 3>16 k3 s2 p1 d1
LayerPointer parse_depthwise(LayerWords& words);              // depthwise k3 s1 p1
LayerPointer parse_transposed_convolution(LayerWords& words); // transposed 16>3 k4 s2 p1 o0
LayerPointer parse_upsampled_convolution(LayerWords& words);  // upsampled 16>8 crop
LayerPointer parse_view(LayerWords& words); // view 64x7x7: the same numbers as maps
LayerPointer parse_add(LayerWords& words);
LayerPointer parse_concatenation(LayerWords& words);
LayerPointer parse_channels(LayerWords& words);  // channels 0 3: some of them, from the first on
LayerPointer parse_augment(LayerWords& words);   // augment condition: noise becomes a code
LayerPointer parse_dot(LayerWords& words);       // dot class: the inner product
LayerPointer parse_film(LayerWords& words);      // film style noise 0.05
LayerPointer parse_noise(LayerWords& words);     // noise 0.05
LayerPointer parse_deviation(LayerWords& words); // deviation 4
LayerPointer parse_pool(LayerWords& words);      // pool max k2 s2 p0 ceil, average ..., global, sum
LayerPointer parse_nearest(LayerWords& words);   // twice as large; crop: one line less
LayerPointer parse_bilinear(LayerWords& words);
LayerPointer parse_padding(LayerWords& words);    // pad 1
LayerPointer parse_reflection(LayerWords& words); // reflect 1
LayerPointer parse_crop(LayerWords& words);       // crop 50, the middle
LayerPointer parse_shuffle(LayerWords& words);    // shuffle 2

} // namespace patchforge
