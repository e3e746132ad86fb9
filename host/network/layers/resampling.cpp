// Pictures laid out anew (kernels/operations/resample.h).
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

class Resampling final : public LinearLayer {
  public:
    Resampling(const Resample& rule, std::string text) : rule_(rule), text_(std::move(text)) {
        rule_.validate();
    }

    std::string text() const override { return text_; }
    bool backward_reads_input() const override { return false; }
    Extent out() const override { return rule_.out(); }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.resample(y, x[0], rule_);
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.resample_gradient(dx, dz, x, rule_, previous);
    }

  private:
    Resample rule_;
    std::string text_;
};

LayerPointer twice(LayerWords& words, ResampleKind kind, const char* name) {
    Resample rule;
    rule.kind = kind;
    rule.in = words.in[0];
    const bool crop = words.take("crop");
    rule.bottom = rule.right = crop ? -1 : 0;
    return std::make_shared<Resampling>(rule, std::string(name) + (crop ? " crop" : ""));
}

int lines(LayerWords& words) {
    const int lines = words.number("", 0);
    if (lines < 1) {
        throw std::invalid_argument("by how many? give a whole number of at least 1");
    }
    return lines;
}

LayerPointer padded(LayerWords& words, ResampleKind kind, const char* name) {
    Resample rule;
    rule.kind = kind;
    rule.in = words.in[0];
    rule.top = rule.left = rule.bottom = rule.right = lines(words);
    return std::make_shared<Resampling>(rule, fmt::format("{} {}", name, rule.top));
}

} // namespace

LayerPointer parse_nearest(LayerWords& words) {
    return twice(words, ResampleKind::nearest, "nearest");
}

LayerPointer parse_bilinear(LayerWords& words) {
    return twice(words, ResampleKind::bilinear, "bilinear");
}

LayerPointer parse_padding(LayerWords& words) {
    return padded(words, ResampleKind::zero_padding, "pad");
}

LayerPointer parse_reflection(LayerWords& words) {
    return padded(words, ResampleKind::reflection_padding, "reflect");
}

// The middle; of an odd number of lines the larger half goes at the end.
LayerPointer parse_crop(LayerWords& words) {
    Resample rule;
    rule.in = words.in[0];
    Extent kept;
    if (!words.words.empty() && read_extent("1x" + words.words.front(), kept)) {
        words.words.pop_front();
    } else {
        kept.height = kept.width = lines(words);
    }
    if (kept.height > rule.in.height || kept.width > rule.in.width) {
        throw std::invalid_argument("it is larger than what comes in, " + rule.in.text());
    }
    const int down = rule.in.height - kept.height, across = rule.in.width - kept.width;
    rule.top = -(down / 2);
    rule.bottom = -(down - down / 2);
    rule.left = -(across / 2);
    rule.right = -(across - across / 2);
    const std::string size = kept.height == kept.width
                                 ? std::to_string(kept.height)
                                 : fmt::format("{}x{}", kept.height, kept.width);
    return std::make_shared<Resampling>(rule, "crop " + size);
}

LayerPointer parse_shuffle(LayerWords& words) {
    Resample rule;
    rule.kind = ResampleKind::shuffle;
    rule.in = words.in[0];
    rule.factor = lines(words);
    return std::make_shared<Resampling>(rule, fmt::format("shuffle {}", rule.factor));
}

} // namespace patchforge
