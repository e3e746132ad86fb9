// Values taken as they are: residual sums, concatenation along channels, flat values seen as maps.
#include <stdexcept>

#include "host/network/layers/kinds.h"
#include "host/network/layers/tangent_rule.h"

namespace patchforge {

namespace {

class Add final : public LinearLayer {
  public:
    explicit Add(Extent extent) : extent_(extent) {}

    std::string text() const override { return "add"; }
    bool backward_reads_input() const override { return false; }
    Extent out() const override { return extent_; }
    std::size_t sources() const override { return 2; }
    bool is_module() const override { return false; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.weighted_sum(y.flat(), x[0].flat(), 1, x[1].flat(), 1, {}, 0);
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.copy(dx.data, dz.data, static_cast<std::size_t>(dx.size()) * sizeof(float));
        pass_on(backend, dx, x, previous);
    }

  private:
    Extent extent_;
};

class Concatenation final : public LinearLayer {
  public:
    Concatenation(Extent first, Extent second) : first_(first), second_(second) {}

    std::string text() const override { return "concat"; }
    bool backward_reads_input() const override { return false; }
    Extent out() const override {
        return {first_.channels + second_.channels, first_.height, first_.width};
    }
    std::size_t sources() const override { return 2; }
    bool is_module() const override { return false; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.copy_columns(y, 0, x[0], 0, first_.size());
        backend.copy_columns(y, first_.size(), x[1], 0, second_.size());
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t i, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.copy_columns(dx, 0, dz, i == 0 ? 0 : first_.size(), dx.columns);
        pass_on(backend, dx, x, previous);
    }

  private:
    Extent first_, second_;
};

class View final : public LinearLayer {
  public:
    explicit View(Extent extent) : extent_(extent) {}

    std::string text() const override { return "view " + extent_.text(); }
    bool backward_reads_input() const override { return false; }
    Extent out() const override { return extent_; }
    void forward(Backend& backend, Matrix<float> y, const std::vector<Matrix<const float>>& x,
                 Vector<const float>, Vector<const float>, const Epilogue&,
                 const LayerPass&) const override {
        backend.copy(y.data, x[0].data, static_cast<std::size_t>(y.size()) * sizeof(float));
    }
    void input_gradient(Backend& backend, Matrix<float> dx, std::size_t, Matrix<const float> dz,
                        Vector<const float>, Matrix<const float> x, const Epilogue& previous,
                        const LayerPass&) const override {
        backend.copy(dx.data, dz.data, static_cast<std::size_t>(dx.size()) * sizeof(float));
        pass_on(backend, dx, x, previous);
    }

  private:
    Extent extent_;
};

void require_two(const LayerWords& words, const char* name) {
    if (words.in.size() != 2) {
        throw std::invalid_argument(std::string(name) +
                                    ": needs a second value; name a layer that has as=NAME");
    }
}

} // namespace

LayerPointer parse_view(LayerWords& words) {
    Extent extent;
    if (words.words.empty() || !read_extent(words.words.front(), extent)) {
        throw std::invalid_argument("as what? write view channels x height x width, e.g. 64x7x7");
    }
    words.words.pop_front();
    if (extent.size() != words.in[0].size()) {
        throw std::invalid_argument("it says " + extent.text() + ", but " +
                                    std::to_string(words.in[0].size()) + " numbers come in");
    }
    return std::make_shared<View>(extent);
}

LayerPointer parse_add(LayerWords& words) {
    require_two(words, "add");
    if (!(words.in[0] == words.in[1])) {
        throw std::invalid_argument("add: the sizes differ, " + words.in[0].text() + " and " +
                                    words.in[1].text());
    }
    return std::make_shared<Add>(words.in[0]);
}

LayerPointer parse_concatenation(LayerWords& words) {
    require_two(words, "concat");
    if (words.in[0].height != words.in[1].height || words.in[0].width != words.in[1].width) {
        throw std::invalid_argument("concat: the maps differ, " + words.in[0].text() + " and " +
                                    words.in[1].text());
    }
    return std::make_shared<Concatenation>(words.in[0], words.in[1]);
}

} // namespace patchforge
