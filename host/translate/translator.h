// Pictures through a trained generator, whatever their size.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "data/picture.h"
#include "host/files/safetensors.h"
#include "host/network/trace.h"
#include "host/translate/translate_options.h"

namespace patchforge {

class Translator {
  public:
    // `weights`: a generator's file, as Network::weights gives it; its name is what errors say.
    Translator(Backend& backend, const TranslateOptions& options, TensorFile weights);
    Translator(Translator&&) noexcept;
    ~Translator();

    int in_channels() const { return in_channels_; }
    int out_channels() const { return out_channels_; }

    // In evaluation mode, one by one in effect: a picture does not depend on its neighbours. Where a
    // network takes no pictures of such sides, their last lines are repeated and what comes of them is
    // cut off. std::invalid_argument for pictures too small, or of other channels.
    std::vector<Image> translate(const std::vector<Image>& pictures);
    // The same of values in [-1, 1], [count, size of a picture]; nothing is rounded.
    std::vector<float> translate(const std::vector<float>& pictures, Extent extent);

  private:
    struct Sized;
    Sized& of_size(Extent extent);

    Backend& backend_;
    TranslateOptions options_;
    TensorFile weights_;
    int in_channels_ = 0, out_channels_ = 0;
    std::map<std::pair<int, int>, std::unique_ptr<Sized>> sized_;
};

// [-1, 1], as training reads bytes.
std::vector<float> signed_unit(const std::vector<Image>& pictures);

} // namespace patchforge
