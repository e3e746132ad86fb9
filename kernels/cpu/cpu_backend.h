// The Backend of a machine without a GPU. Operations run at once, on every core, and have finished
// when they return; a Recording keeps the function and calls it again. Work is cut by shape alone,
// so results are the same for any number of threads; each .cpp says in which order it adds.
#pragma once

#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "kernels/backend.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/window_plan.h"
#include "kernels/operations/linear_shards.h"

namespace patchforge {

// 64-byte aligned memory that grows when more is asked for, losing what it held.
class AlignedFloats {
  public:
    float* at_least(std::int64_t size);

  private:
    struct Free {
        void operator()(float* memory) const { std::free(memory); }
    };
    std::unique_ptr<float, Free> memory_;
    std::int64_t size_ = 0;
};

class CpuBackend final : public Backend, public LinearShardOperations {
  public:
    explicit CpuBackend(const BackendOptions& options);

    // cpu_backend.cpp
    std::string name() const override;
    std::string description() const override;
    std::int64_t free_memory() const override;
    bool reads_host_memory() const override;
    void* allocate(std::size_t bytes) override;
    void release(void* memory) noexcept override;
    void upload(void* device, const void* host, std::size_t bytes) override;
    void download(void* host, const void* device, std::size_t bytes) override;
    void copy(void* to, const void* from, std::size_t bytes) override;
    void synchronise() override;
    std::unique_ptr<Recording> record(std::function<void()> body) override;
    void* allocate_staging(std::size_t bytes) override;
    void release_staging(void* memory) noexcept override;
    void stage(int slot, void* device, const void* host, std::size_t bytes) override;
    void await_slot(int slot) override;
    void release_slot(int slot) override;
    void wait_until_staged(int slot) override;

    // activation.cpp
    void activate(Matrix<float> y, Matrix<const float> z, const Epilogue& epilogue) override;
    void activate_sum(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                      const Epilogue& epilogue) override;
    void activation_gradient(Matrix<float> dz, Matrix<const float> dy, Matrix<const float> y,
                             const Epilogue& epilogue) override;

    // batch.cpp
    void gather_rows(Matrix<float> x, Vector<std::int32_t> row, Matrix<const std::uint8_t> pixels,
                     PixelRange range, const BatchPlan& plan) override;
    void gather_labels(Vector<std::int32_t> out, Vector<const std::int32_t> values,
                       Vector<const std::int32_t> row) override;

    // linear_forward.cpp, linear_backward.cpp
    void linear_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                        Vector<const float> bias, const Epilogue& epilogue) override;
    void linear_input_gradient(Matrix<float> dx, Matrix<const float> dz, Matrix<const float> weight,
                               Matrix<const float> x, const Epilogue& previous) override;
    void linear_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                Matrix<const float> dz, Matrix<const float> x,
                                bool accumulate) override;
    void linear_weight_gradient_adam(AdamTensor weight, AdamTensor bias, Matrix<const float> dz,
                                     Matrix<const float> x, const Adam& adam) override;
    void linear_shards_adam(AdamTensor weight, AdamTensor bias, std::span<const LinearShard> shards,
                            float weight_decay, WorkPiece piece, const Adam& adam) override;
    void linear_backward_adam(Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                              Matrix<const float> dz, Matrix<const float> x,
                              const Epilogue& previous, const Adam& adam) override;

    // loss.cpp
    void discriminator_loss(Vector<float> d_logit, Vector<float> metrics, Vector<const float> logit,
                            std::int64_t real_count, GanLoss loss, float real_label) override;
    void generator_loss(Vector<float> d_logit, Vector<float> metrics, Vector<const float> logit,
                        GanLoss loss) override;
    void binary_cross_entropy(Vector<float> d_logit, Vector<float> loss, Vector<const float> logit,
                              Vector<const std::int32_t> label, Vector<const float> class_weight,
                              float scale) override;
    void softmax_cross_entropy(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                               Vector<const std::int32_t> label, Vector<const float> class_weight,
                               float scale) override;

    // noise.cpp
    void fill_uniform(Vector<float> out, float low, float high,
                      const RandomStream& random) override;
    void fill_normal(Vector<float> out, float mean, float deviation,
                     const RandomStream& random) override;
    void fill(Vector<float> out, float value) override;

    // adam.cpp
    void adam(AdamTensor tensor, Vector<const float> gradient, const Adam& adam) override;
    void moving_average(Vector<float> average, Vector<const float> value,
                        const MovingAverage& rule) override;

    // perturb.cpp
    void affine(Vector<float> y, Vector<const float> x, float scale, float shift) override;
    void weighted_sum(Vector<float> y, Vector<const float> a, float wa, Vector<const float> b,
                      float wb, Vector<const float> c, float wc) override;
    void perturb_step(Matrix<float> y, Matrix<const float> x, Matrix<const float> direction,
                      Matrix<const float> origin, RowValue alpha, RowValue epsilon, StepRule rule,
                      Ball ball) override;
    void row_norms(Vector<float> out, Matrix<const float> a, Matrix<const float> b,
                   Norm norm) override;
    void accumulate_direction(Matrix<float> m, Matrix<const float> g, float decay) override;
    void add_distance_gradient(Matrix<float> g, Matrix<const float> x, Matrix<const float> origin,
                               RowValue weight) override;
    void round_to_grid(Matrix<std::uint8_t> levels, Matrix<const float> x,
                       Matrix<const float> origin, RowValue epsilon, RowValue threshold) override;
    void select_rows(Matrix<float> out, Matrix<const float> in,
                     Vector<const std::int32_t> index) override;
    void place_rows(Matrix<float> out, Matrix<const float> in,
                    Vector<const std::int32_t> index) override;

    // perturb_logits.cpp
    void margin_loss(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                     Vector<const std::int32_t> label, RowValue scale, float low,
                     float high) override;
    void probability_distance(Matrix<float> d_logit, Vector<float> loss, Matrix<const float> logit,
                              Vector<const std::int32_t> label, int power, float scale) override;
    void combine_logits(Matrix<float> total, Matrix<const float> member, float weight,
                        bool accumulate) override;
    void split_logit_gradient(Matrix<float> d_member, Matrix<const float> d_total,
                              float weight) override;
    void softmax_rows(Matrix<float> probability, Matrix<const float> logit) override;
    void argmax_rows(Vector<std::int32_t> out, Matrix<const float> values) override;

    // perturb_queries.cpp
    void antithetic_queries(Matrix<float> query, Matrix<const float> x, float sigma,
                            DirectionKind kind, const RandomStream& random) override;
    void antithetic_gradient(Matrix<float> g, Vector<const float> loss, float sigma,
                             DirectionKind kind, const RandomStream& random,
                             bool accumulate) override;
    void block_queries(Matrix<float> query, Matrix<const float> x, float h, std::int64_t first,
                       std::int64_t width) override;
    void block_gradient(Matrix<float> g, Vector<const float> loss, float h, std::int64_t first,
                        std::int64_t width) override;
    void square_stripes(Matrix<float> x, Matrix<const float> origin, RowValue epsilon, Extent shape,
                        const RandomStream& random) override;
    void square_proposal(Matrix<float> candidate, Matrix<const float> best,
                         Matrix<const float> origin, RowValue epsilon, Extent shape, int side,
                         const RandomStream& random) override;

    // reduce.cpp
    void sum(Vector<double> out, Vector<const float> x) override;
    void sum_of_squares(Vector<double> out, Vector<const float> x) override;
    void column_mean(Vector<float> out, Matrix<const float> x) override;
    void count_dead_columns(Vector<float> out, Matrix<const float> x) override;
    void finish_iteration(std::uint64_t* step, Matrix<float> history,
                          Vector<const float> metrics) override;

    // regularise.cpp
    void add_noise(Vector<float> x, const NoiseLevel& level, const RandomStream& random) override;
    void interpolate_rows(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                          const RandomStream& random) override;
    void penalise_slope(Matrix<float> u, Vector<float> penalty, Matrix<const float> g,
                        float weight) override;
    void add_l1_gradient(Vector<float> d, Vector<const float> y, Vector<const float> target,
                         float weight) override;
    void running_mean(Vector<float> mean, Vector<const float> value,
                      const StepCount& count) override;

    // normalise.cpp
    void normalise(Matrix<float> y, Matrix<float> statistics, Matrix<const float> z,
                   std::int64_t reference_rows, Vector<const float> scale,
                   Vector<const float> shift) override;
    void normalise_by(Matrix<float> y, Matrix<const float> z, Matrix<const float> statistics,
                      float share, Vector<const float> scale, Vector<const float> shift) override;
    void normalise_gradient(Matrix<float> dz, Vector<float> d_scale, Vector<float> d_shift,
                            Matrix<const float> dy, Matrix<const float> z,
                            Matrix<const float> statistics, std::int64_t reference_rows,
                            Vector<const float> scale, bool accumulate) override;

    // normalise_maps.cpp
    void normalise_maps(Matrix<float> y, Matrix<float> statistics, const RunningStatistics& running,
                        Vector<double> sums, Matrix<const float> x, const MapSets& sets,
                        Vector<const float> scale, Vector<const float> shift,
                        const Epilogue& epilogue) override;
    void normalise_maps_by(Matrix<float> y, Matrix<const float> x, Matrix<const float> statistics,
                           const MapSets& sets, Vector<const float> scale,
                           Vector<const float> shift, const Epilogue& epilogue) override;
    void normalise_maps_gradient(Matrix<float> dx, Vector<float> d_scale, Vector<float> d_shift,
                                 Vector<double> sums, Matrix<const float> dy, Matrix<const float> x,
                                 Matrix<const float> statistics, const MapSets& sets,
                                 Vector<const float> scale, const Epilogue& previous,
                                 bool accumulate) override;
    void normalise_maps_by_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                    Matrix<const float> statistics, const MapSets& sets,
                                    Vector<const float> scale, const Epilogue& previous) override;
    void normalise_maps_tangent(Matrix<float> ty, Vector<double> sums, Matrix<const float> t,
                                Matrix<const float> x, Matrix<const float> statistics,
                                const MapSets& sets, Vector<const float> scale) override;
    void normalise_maps_curvature(Matrix<float> dx, Vector<float> d_scale, Vector<double> sums,
                                  Matrix<const float> dy, Matrix<const float> t,
                                  Matrix<const float> x, Matrix<const float> statistics,
                                  const MapSets& sets, Vector<const float> scale) override;

    // minibatch.cpp
    void minibatch_closeness(Matrix<float> o, Matrix<const float> m) override;
    void minibatch_closeness_gradient(Matrix<float> dm, Matrix<const float> d_o,
                                      Matrix<const float> m) override;

    // picture_pool.cpp
    void exchange_pictures(Matrix<float> shown, Matrix<float> pool, Matrix<const float> fresh,
                           const RandomStream& random) override;

    // columns.cpp
    void copy_columns(Matrix<float> to, std::int64_t to_first, Matrix<const float> from,
                      std::int64_t from_first, std::int64_t count) override;
    void one_hot(Matrix<float> to, std::int64_t first, std::int64_t classes,
                 Vector<const std::int32_t> label) override;

    // condition.cpp
    void augment_condition(Matrix<float> y, Matrix<const float> noise,
                           Matrix<const float> statistics) override;
    void augment_condition_gradient(Matrix<float> d_noise, Matrix<float> d_statistics,
                                    Matrix<const float> dy, Matrix<const float> noise,
                                    Matrix<const float> statistics) override;
    void gaussian_divergence(Matrix<float> d_statistics, Vector<float> divergence,
                             Matrix<const float> statistics, float scale) override;
    void row_dot(Vector<float> y, Matrix<const float> p, Matrix<const float> q) override;
    void row_dot_gradient(Matrix<float> dp, Matrix<float> dq, Vector<const float> dy,
                          Matrix<const float> p, Matrix<const float> q) override;
    void other_labels(Vector<std::int32_t> out, Vector<const std::int32_t> label,
                      std::int64_t classes, const RandomStream& random) override;

    // convolution.cpp, convolution_gradient.cpp
    void convolution_forward(Matrix<float> y, Matrix<const float> x, Vector<const float> weight,
                             Vector<const float> bias, const Epilogue& epilogue,
                             const ConvolutionShape& shape) override;
    void convolution_input_gradient(Matrix<float> dx, Matrix<const float> dz,
                                    Vector<const float> weight, Matrix<const float> x,
                                    const Epilogue& previous,
                                    const ConvolutionShape& shape) override;
    void convolution_weight_gradient(Vector<float> d_weight, Vector<float> d_bias,
                                     Matrix<const float> dz, Matrix<const float> x, bool accumulate,
                                     const ConvolutionShape& shape) override;
    void convolution_weight_gradient_adam(AdamTensor weight, AdamTensor bias,
                                          Matrix<const float> dz, Matrix<const float> x,
                                          const Adam& adam, const ConvolutionShape& shape) override;

    // augment.cpp
    void dihedral(Matrix<float> y, Matrix<const float> x, Extent extent,
                  const RandomStream& random) override;
    void dihedral_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                           const RandomStream& random) override;
    void translate(Matrix<float> y, Matrix<const float> x, Extent extent, int limit,
                   const RandomStream& random) override;
    void translate_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent, int limit,
                            const RandomStream& random) override;
    void cutout(Matrix<float> y, Matrix<const float> x, Extent extent, int side,
                const RandomStream& random) override;

    // modulate.cpp
    void modulate(Matrix<float> y, Matrix<const float> x, Extent extent,
                  const Modulation& modulation, const Epilogue& epilogue) override;
    void modulate_gradient(Matrix<float> dx, Matrix<float> d_film, Vector<float> d_strength,
                           Vector<double> sums, Matrix<const float> dy, Matrix<const float> x,
                           Extent extent, const Modulation& modulation, const Epilogue& previous,
                           bool accumulate) override;
    void append_deviation(Matrix<float> y, Matrix<const float> x, Extent extent,
                          std::int64_t group) override;
    void append_deviation_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                                   Extent extent, std::int64_t group) override;

    // spectral.cpp
    void spectral_normalise(Vector<float> y, Vector<float> sigma, Vector<float> u, Vector<float> v,
                            Vector<const float> weight, const SpectralMatrix& matrix,
                            int iterations) override;
    void spectral_gradient(Vector<float> d_weight, Vector<const float> dy, Vector<const float> y,
                           Vector<const float> sigma, Vector<const float> u, Vector<const float> v,
                           const SpectralMatrix& matrix, bool accumulate) override;

    // stain.cpp
    void jitter_stain(Matrix<float> y, Matrix<const float> x, const StainJitter& jitter) override;
    void jitter_stain_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                               const StainJitter& jitter) override;

    // photograph.cpp
    void photograph(Matrix<float> y, Matrix<const float> x, Extent extent,
                    const Photograph& change) override;
    void photograph_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                             const Photograph& change) override;
    void round_blocks(Matrix<float> y, Matrix<const float> x, Extent extent,
                      const BlockRounding& rounding) override;

    // pool.cpp
    void pool(Matrix<float> y, Matrix<const float> x, const Pool& pool) override;
    void pool_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                       const Pool& pool, const Epilogue& previous) override;

    // resample.cpp
    void resample(Matrix<float> y, Matrix<const float> x, const Resample& rule) override;
    void resample_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                           const Resample& rule, const Epilogue& previous) override;

    // cpu_backend.cpp
    std::string why_no_gan_iterations(const GanIterations& job) const override;
    void gan_iterations(const GanIterations& job, std::int64_t count) override;

  private:
    // Calls body(first, count) for the pieces of [0, size): each but the last has `piece` elements.
    template <class Body>
    void for_pieces(std::int64_t size, std::int64_t piece, const Body& body) {
        pool_.parallel_for((size + piece - 1) / piece, [&](std::int64_t task) {
            const std::int64_t first = task * piece;
            body(first, first + piece < size ? piece : size - first);
        });
    }

    // Floats of memory shared by the tasks of one operation, 64-byte aligned; valid until the next
    // call.
    float* workspace(std::int64_t size) { return workspace_.at_least(size); }

    bool rounds(std::int64_t rows) const {
        return precision_ != Precision::float32 && rows >= rounded_from_rows;
    }
    // The operand of a product of `rows` rows in the backend's precision: itself, or a copy in
    // `memory` (rounded.cpp).
    Matrix<const float> rounded(Matrix<const float> operand, std::int64_t rows,
                                AlignedFloats& memory);

    // linear_forward and the weights' part of linear_weight_gradient, of operands as they are.
    void multiply_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                          Vector<const float> bias, const Epilogue& epilogue);
    void multiply_weight_gradient(Matrix<float> d_weight, Matrix<const float> dz,
                                  Matrix<const float> x, bool accumulate);

    // The operands of a window's products, folded and rounded where they have to be.
    struct Operands {
        const float* weight;
        const float* map;
    };
    Operands window_operands(const ConvolutionShape& shape, Vector<const float> weight,
                             Matrix<const float> map);
    WindowWeights packed_weights(const WindowPlan& plan, const float* weight);
    void move_by(const WindowPlan& plan, Matrix<float> out, const float* from,
                 const WindowWeights& weights, const float* bias, const WindowFinish& finish);
    void move_window(const WindowPlan& plan, Matrix<float> out, const float* from,
                     const WindowWeights& weights, const float* bias, const WindowFinish& finish);
    void move_interleaved(const WindowPlan& plan, Matrix<float> out, const float* from,
                          const WindowWeights& weights, const float* bias,
                          const WindowFinish& finish);
    void gather(const ConvolutionWindow& window, Matrix<float> small, const float* large,
                const float* weight, const float* bias, const WindowFinish& finish);
    void scatter(const ConvolutionWindow& window, Matrix<float> large, const float* small,
                 const float* weight, const float* bias, const WindowFinish& finish);
    void correlate_columns(const ConvolutionWindow& window, float* weight, const float* small,
                           const float* large);
    void correlate(const ConvolutionWindow& window, float* weight, const float* small,
                   const float* large, std::int64_t rows);
    void correlate_depthwise(const ConvolutionWindow& window, float* weight, const float* small,
                             const float* large, std::int64_t rows);
    // The gradients by weights and bias.
    void convolution_gradient(float* gradient, Matrix<const float> dz, Matrix<const float> x,
                              const ConvolutionShape& shape);
    void convolution_bias_gradient(float* gradient, Matrix<const float> dz,
                                   const ConvolutionShape& shape);

    template <bool transpose>
    void see_rows(Matrix<float> y, Matrix<const float> x, Extent extent, const Photograph& change);
    template <class Body>
    void move_planes(Matrix<float> y, Matrix<const float> x, Extent extent, const Body& body);
    void reduce(Vector<double> out, Vector<const float> x,
                double (*reduction)(const float*, std::int64_t));
    void normalise_set(float* y, const float* x, std::int64_t set, Matrix<const float> statistics,
                       const MapSets& sets, Vector<const float> scale, Vector<const float> shift,
                       const EpilogueArguments* epilogue);
    void bias_gradient_adam(const AdamTensor& bias, Matrix<const float> dz,
                            const AdamArguments& adam);
    void backward(Matrix<float> dx, const AdamTensor* updated, Matrix<const float> dz,
                  Matrix<const float> weight, Matrix<const float> x, const Epilogue& previous,
                  const AdamArguments* adam);
    void backward_by_inputs(Matrix<float> dx, const AdamTensor* updated, Matrix<const float> dz,
                            Matrix<const float> weight, Matrix<const float> x,
                            const Epilogue& previous, const AdamArguments* adam);
    void backward_by_outputs(Matrix<float> dx, const AdamTensor* updated, Matrix<const float> dz,
                             Matrix<const float> weight, Matrix<const float> x,
                             const Epilogue& previous, const AdamArguments* adam);

    const VectorKernels& vector_;
    ThreadPool pool_;
    std::unordered_map<void*, std::size_t> mapped_; // size of each allocation that was mapped
    std::mutex mapped_mutex_;
    Precision precision_;
    AlignedFloats workspace_;
    AlignedFloats rounded_left_, rounded_right_;
    AlignedFloats window_weights_, window_maps_; // of convolutions
    WindowPlans window_plans_;
};

// What the vector functions take, with the draw or step looked up now.
PhiloxStream philox_stream(const RandomStream& random);
EpilogueArguments epilogue_arguments(const Epilogue& epilogue);
AdamArguments adam_arguments(const Adam& adam);

// At least `size` floats of 64-byte aligned memory of the calling thread, reused by its next call.
float* thread_scratch(std::int64_t size);

// What the threads' scratch memories hold of one call, so that a thread makes once what several of its tasks read. All of
// them ask for the same size.
class ScratchOwner {
  public:
    ScratchOwner();
    // Whether the calling thread's memory holds `item` of this call at `place` already; from now on it does.
    bool takes(std::int64_t item, std::int64_t place = 0) const;

  private:
    std::uint64_t call_;
};

} // namespace patchforge
