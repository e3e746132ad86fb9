// Maps steered from outside, noise, and what a batch has in common (kernels/operations/modulate.h).
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/layers/kinds.h"

namespace patchforge {

namespace {

// Every channel of every picture times 1 + g plus s, which a second value says; noise of a learned
// strength; or both.
class Modulated final : public Layer {
  public:
    Modulated(Extent extent, bool film, std::optional<float> strength)
        : extent_(extent), film_(film), strength_(strength) {}

    std::string text() const override {
        std::string text = film_ ? "film" : "";
        return strength_ ? text + fmt::format("{}noise {}", film_ ? " " : "", *strength_) : text;
    }
    Extent out() const override { return extent_; }
    std::size_t sources() const override { return film_ ? 2 : 1; }
    std::vector<std::int64_t> weight_shape() const override {
        return strength_ ? std::vector<std::int64_t>{extent_.channels}
                         : std::vector<std::int64_t>{};
    }
    std::optional<float> first_weight() const override { return strength_; }
    bool takes_bias() const override { return false; }
    bool is_module() const override { return false; }
    bool applies_epilogue() const override { return true; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float> weight, Vector<const float>, const Epilogue& epilogue,
                 const LayerPass& pass) const override {
        backend.modulate(y, x[0], extent_, modulation(x, weight, pass), epilogue);
    }
    bool backward_at_once() const override { return true; }
    void backward(Backend& backend, const Gradients& gradients, Matrix<const float> dz,
                  const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                  const Epilogue& previous, const LayerPass& pass) const override {
        const bool asked = !gradients.d_weight.empty();
        backend.modulate_gradient(gradients.dx, gradients.d_second,
                                  asked ? gradients.d_weight : pass.scratch, pass.sums, dz, x[0],
                                  extent_, modulation(x, weight, pass), previous,
                                  asked && gradients.accumulate);
    }
    std::int64_t sums(std::int64_t rows) const override {
        return strength_ ? rows * extent_.channels : 0;
    }
    std::int64_t scratch(std::int64_t) const override { // the gradient that nobody asked for
        return strength_ ? extent_.channels : 0;
    }

  private:
    Modulation modulation(const std::vector<Matrix<const float>>& x, Vector<const float> weight,
                          const LayerPass& pass) const {
        return {film_ ? x[1] : Matrix<const float>{}, weight, pass.noise};
    }
    Extent extent_;
    bool film_;
    std::optional<float> strength_; // at the beginning
};

class Deviation final : public Layer {
  public:
    Deviation(Extent in, std::int64_t group) : in_(in), group_(group) {}

    std::string text() const override { return fmt::format("deviation {}", group_); }
    Extent out() const override { return {in_.channels + 1, in_.height, in_.width}; }
    bool is_module() const override { return false; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass& pass) const override {
        for_groups(y.rows, pass, [&](std::int64_t first, std::int64_t rows) {
            backend.append_deviation(y.row_range(first, rows), x[0].row_range(first, rows), in_,
                                     group_);
        });
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass& pass) const override {
        for_groups(dx.rows, pass, [&](std::int64_t first, std::int64_t rows) {
            backend.append_deviation_gradient(dx.row_range(first, rows), dz.row_range(first, rows),
                                              x.row_range(first, rows), in_, group_);
        });
        pass_on(backend, dx, x, previous);
    }

  private:
    Extent in_;
    std::int64_t group_;
};

constexpr double usual_strength = 0.05;

float strength(LayerWords& words) {
    return static_cast<float>(words.first_number(0, 1000, usual_strength));
}

} // namespace

LayerPointer parse_film(LayerWords& words) {
    const Extent in = words.in[0];
    if (words.in.size() != 2) {
        throw std::invalid_argument("film: steered by what? name a layer that has as=NAME");
    }
    if (words.in[1].size() != 2 * in.channels) {
        throw std::invalid_argument(
            fmt::format("film: {} channels are steered by {} numbers, a factor and a shift each; "
                        "that layer gives {}",
                        in.channels, 2 * in.channels, words.in[1].size()));
    }
    const bool noise = words.take("noise");
    return std::make_shared<Modulated>(in, true,
                                       noise ? std::optional(strength(words)) : std::nullopt);
}

LayerPointer parse_noise(LayerWords& words) {
    return std::make_shared<Modulated>(words.in[0], false, strength(words));
}

LayerPointer parse_deviation(LayerWords& words) {
    return std::make_shared<Deviation>(words.in[0],
                                       static_cast<std::int64_t>(words.first_number(1, 65536, 4)));
}

} // namespace patchforge
