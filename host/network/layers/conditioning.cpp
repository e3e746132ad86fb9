// What a class does to a network: some of the channels alone, codes around the mean of a class, the product of
// features and class (kernels/operations/condition.h).
#include <fmt/format.h>

#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

// Channels that follow each other; of flat values: numbers.
class Channels final : public LinearLayer {
  public:
    Channels(Extent in, int first, int count)
        : in_(in), out_{count, in.height, in.width}, first_(first) {}

    std::string text() const override {
        return fmt::format("channels {} {}", first_, out_.channels);
    }
    bool backward_reads_input() const override { return false; }
    Extent out() const override { return out_; }
    bool is_module() const override { return false; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.copy_columns(y, 0, x[0], first_ * in_.plane(), out_.size());
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.fill(dx.flat(), 0);
        backend.copy_columns(dx, first_ * in_.plane(), dz, 0, out_.size());
        pass_on(backend, dx, x, previous);
    }

  private:
    Extent in_, out_;
    int first_;
};

// Noise becomes a code: what steers it says mean and logarithm of the variance of each number.
class Augment final : public Layer {
  public:
    explicit Augment(Extent extent) : extent_(extent) {}

    std::string text() const override { return "augment"; }
    Extent out() const override { return extent_; }
    std::size_t sources() const override { return 2; }
    bool is_module() const override { return false; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.augment_condition(y, x[0], x[1]);
    }
    bool backward_at_once() const override { return true; }
    void backward(Backend& backend, const Gradients& gradients, Matrix<const float> dz,
                  const std::vector<Matrix<const float>>& x, Vector<const float>,
                  const Epilogue& previous, const LayerPass&) const override {
        backend.augment_condition_gradient(gradients.dx, gradients.d_second, dz, x[0], x[1]);
        pass_on(backend, gradients.dx, x[0], previous);
    }

  private:
    Extent extent_;
};

// The inner product of two values: one number a row.
class Dot final : public Layer {
  public:
    explicit Dot(std::int64_t numbers) : numbers_(numbers) {}

    std::string text() const override { return "dot"; }
    Extent out() const override { return flat(1); }
    std::size_t sources() const override { return 2; }
    bool is_module() const override { return false; }
    double operations(std::int64_t rows) const override {
        return 2.0 * static_cast<double>(rows * numbers_);
    }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.row_dot(y.flat(), x[0], x[1]);
    }
    bool backward_at_once() const override { return true; }
    void backward(Backend& backend, const Gradients& gradients, Matrix<const float> dz,
                  const std::vector<Matrix<const float>>& x, Vector<const float>,
                  const Epilogue& previous, const LayerPass&) const override {
        const bool asked = gradients.dx.data != dz.data; // dz has no room for what nobody wants
        backend.row_dot_gradient(asked ? gradients.dx : Matrix<float>{}, gradients.d_second,
                                 dz.flat(), x[0], x[1]);
        if (asked) {
            pass_on(backend, gradients.dx, x[0], previous);
        }
    }

  private:
    std::int64_t numbers_;
};

int whole(LayerWords& words, int low, int high, const char* what) {
    const double number = words.first_number(low, high, -1);
    if (number < low || number != static_cast<int>(number)) {
        throw std::invalid_argument(
            fmt::format("channels: {}? a whole number from {} to {}", what, low, high));
    }
    return static_cast<int>(number);
}

} // namespace

LayerPointer parse_channels(LayerWords& words) {
    const Extent in = words.in[0];
    const int first = whole(words, 0, in.channels - 1, "from which on");
    return std::make_shared<Channels>(in, first, whole(words, 1, in.channels - first, "how many"));
}

LayerPointer parse_augment(LayerWords& words) {
    if (words.in.size() != 2) {
        throw std::invalid_argument("augment: around which mean? name a layer that has as=NAME");
    }
    if (words.in[0].plane() != 1 || words.in[1].size() != 2 * words.in[0].size()) {
        throw std::invalid_argument(fmt::format(
            "augment: {} numbers are drawn by as many means and as many logarithms of variances; "
            "that layer gives {}",
            words.in[0].text(), words.in[1].size()));
    }
    return std::make_shared<Augment>(words.in[0]);
}

LayerPointer parse_dot(LayerWords& words) {
    if (words.in.size() != 2) {
        throw std::invalid_argument("dot: with what? name a layer that has as=NAME");
    }
    if (words.in[0].size() != words.in[1].size()) {
        throw std::invalid_argument(fmt::format("dot: the sizes differ, {} and {}",
                                                words.in[0].text(), words.in[1].text()));
    }
    return std::make_shared<Dot>(words.in[0].size());
}

} // namespace patchforge
