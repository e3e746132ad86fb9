// The CUDA backend: device memory, streams, recorded graphs, and every operation of the contract.
// Memory and streams are in cuda_backend.cpp; each family of operations is in its own .cu file,
// kernels and the member functions that launch them together.
#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.h"
#include "kernels/communicator.h"
#include "kernels/cuda/adam_constants.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/workspace.h"

namespace patchforge::cuda {

class NcclCommunicator;

class CudaBackend : public Backend {
  public:
    CudaBackend(int device_index, const BackendOptions& options);
    ~CudaBackend() override;
    CudaBackend(const CudaBackend&) = delete;
    CudaBackend& operator=(const CudaBackend&) = delete;

    std::string name() const override;
    std::string description() const override;
    std::int64_t free_memory() const override;
    bool reads_host_memory() const override { return false; }
    // Whether kernels leave intermediate sums for other blocks in this buffer.
    bool is_workspace(const void* buffer) const {
        return buffer == workspace_.partial || buffer == workspace_.arrived || buffer == exchange_;
    }

    void* allocate(std::size_t bytes) override;
    void release(void* memory) noexcept override;
    void upload(void* device, const void* host, std::size_t bytes) override;
    void download(void* host, const void* device, std::size_t bytes) override;
    void copy(void* to, const void* from, std::size_t bytes) override;
    void synchronise() override;
    std::unique_ptr<Recording> record(std::function<void()> body) override;

    // Between processes: kernels/communicator.h, nccl_communicator.cpp.
    Communicator& join_communicator(const Membership& membership);
    Communicator* communicator() const;
    std::string identity() const; // of the GPU, the same in every process

    void* allocate_staging(std::size_t bytes) override;
    void release_staging(void* memory) noexcept override;
    void stage(int slot, void* device, const void* host, std::size_t bytes) override;
    void await_slot(int slot) override;
    void release_slot(int slot) override;
    void wait_until_staged(int slot) override;

    // activation.cu
    void activate(Matrix<float> y, Matrix<const float> z, const Epilogue& epilogue) override;
    void activate_sum(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                      const Epilogue& epilogue) override;
    void activation_gradient(Matrix<float> dz, Matrix<const float> dy, Matrix<const float> y,
                             const Epilogue& epilogue) override;

    // batch.cu
    void gather_rows(Matrix<float> x, Vector<std::int32_t> row, Matrix<const std::uint8_t> pixels,
                     PixelRange range, const BatchPlan& plan) override;
    void gather_labels(Vector<std::int32_t> out, Vector<const std::int32_t> values,
                       Vector<const std::int32_t> row) override;

    // linear_forward.cu, linear_input_gradient.cu, linear_weight_gradient.cu
    void linear_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                        Vector<const float> bias, const Epilogue& epilogue) override;
    void linear_input_gradient(Matrix<float> dx, Matrix<const float> dz, Matrix<const float> weight,
                               Matrix<const float> x, const Epilogue& previous) override;
    void linear_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                Matrix<const float> dz, Matrix<const float> x,
                                bool accumulate) override;
    void linear_weight_gradient_adam(AdamTensor weight, AdamTensor bias, Matrix<const float> dz,
                                     Matrix<const float> x, const Adam& adam) override;
    void linear_backward_adam(Matrix<float> dx, AdamTensor weight, AdamTensor bias,
                              Matrix<const float> dz, Matrix<const float> x,
                              const Epilogue& previous, const Adam& adam) override;

    // loss.cu
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

    // noise.cu
    void fill_uniform(Vector<float> out, float low, float high,
                      const RandomStream& random) override;
    void fill_normal(Vector<float> out, float mean, float deviation,
                     const RandomStream& random) override;
    void fill(Vector<float> out, float value) override;

    // adam.cu
    void adam(AdamTensor tensor, Vector<const float> gradient, const Adam& adam) override;
    void moving_average(Vector<float> average, Vector<const float> value,
                        const MovingAverage& rule) override;

    // perturb.cu
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

    // perturb_logits.cu
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

    // perturb_queries.cu
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

    // reduce.cu
    void sum(Vector<double> out, Vector<const float> x) override;
    void sum_of_squares(Vector<double> out, Vector<const float> x) override;
    void column_mean(Vector<float> out, Matrix<const float> x) override;
    void count_dead_columns(Vector<float> out, Matrix<const float> x) override;
    void finish_iteration(std::uint64_t* step, Matrix<float> history,
                          Vector<const float> metrics) override;

    // regularise.cu
    void add_noise(Vector<float> x, const NoiseLevel& level, const RandomStream& random) override;
    void interpolate_rows(Matrix<float> y, Matrix<const float> a, Matrix<const float> b,
                          const RandomStream& random) override;
    void penalise_slope(Matrix<float> u, Vector<float> penalty, Matrix<const float> g,
                        float weight) override;
    void add_l1_gradient(Vector<float> d, Vector<const float> y, Vector<const float> target,
                         float weight) override;
    void running_mean(Vector<float> mean, Vector<const float> value,
                      const StepCount& count) override;

    // normalise.cu
    void normalise(Matrix<float> y, Matrix<float> statistics, Matrix<const float> z,
                   std::int64_t reference_rows, Vector<const float> scale,
                   Vector<const float> shift) override;
    void normalise_by(Matrix<float> y, Matrix<const float> z, Matrix<const float> statistics,
                      float share, Vector<const float> scale, Vector<const float> shift) override;
    void normalise_gradient(Matrix<float> dz, Vector<float> d_scale, Vector<float> d_shift,
                            Matrix<const float> dy, Matrix<const float> z,
                            Matrix<const float> statistics, std::int64_t reference_rows,
                            Vector<const float> scale, bool accumulate) override;

    // normalise_maps.cu
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

    // minibatch.cu
    void minibatch_closeness(Matrix<float> o, Matrix<const float> m) override;
    void minibatch_closeness_gradient(Matrix<float> dm, Matrix<const float> d_o,
                                      Matrix<const float> m) override;

    // picture_pool.cu
    void exchange_pictures(Matrix<float> shown, Matrix<float> pool, Matrix<const float> fresh,
                           const RandomStream& random) override;

    // columns.cu
    void copy_columns(Matrix<float> to, std::int64_t to_first, Matrix<const float> from,
                      std::int64_t from_first, std::int64_t count) override;
    void one_hot(Matrix<float> to, std::int64_t first, std::int64_t classes,
                 Vector<const std::int32_t> label) override;

    // condition.cu
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

    // convolution.cu
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

    // augment.cu
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

    // modulate.cu
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

    // spectral.cu
    void spectral_normalise(Vector<float> y, Vector<float> sigma, Vector<float> u, Vector<float> v,
                            Vector<const float> weight, const SpectralMatrix& matrix,
                            int iterations) override;
    void spectral_gradient(Vector<float> d_weight, Vector<const float> dy, Vector<const float> y,
                           Vector<const float> sigma, Vector<const float> u, Vector<const float> v,
                           const SpectralMatrix& matrix, bool accumulate) override;

    // stain.cu
    void jitter_stain(Matrix<float> y, Matrix<const float> x, const StainJitter& jitter) override;
    void jitter_stain_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                               const StainJitter& jitter) override;

    // photograph.cu
    void photograph(Matrix<float> y, Matrix<const float> x, Extent extent,
                    const Photograph& change) override;
    void photograph_gradient(Matrix<float> dx, Matrix<const float> dy, Extent extent,
                             const Photograph& change) override;
    void round_blocks(Matrix<float> y, Matrix<const float> x, Extent extent,
                      const BlockRounding& rounding) override;

    // pool.cu
    void pool(Matrix<float> y, Matrix<const float> x, const Pool& pool) override;
    void pool_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                       const Pool& pool, const Epilogue& previous) override;

    // resample.cu
    void resample(Matrix<float> y, Matrix<const float> x, const Resample& rule) override;
    void resample_gradient(Matrix<float> dx, Matrix<const float> dy, Matrix<const float> x,
                           const Resample& rule, const Epilogue& previous) override;

    // gan_iterations.cu
    std::string why_no_gan_iterations(const GanIterations& job) const override;
    void gan_iterations(const GanIterations& job, std::int64_t count) override;

  protected:
    // Of launches that are only announced: no device, no memory, no stream.
    struct Announced {};
    CudaBackend(Announced, const BackendOptions& options);

    struct Recorded {
        AdamList adams;
        bool finished = false; // finish_iteration was recorded: it keeps what was seen before it
        std::int64_t bytes_sent = 0; // to other processes, at every replay
    };
    // For as long as a recording's body is called.
    class Making {
      public:
        Making(CudaBackend& backend, Recorded& recorded, Launching launching)
            : backend_(backend), before_(backend.stream_.launching) {
            backend_.recorded_ = &recorded;
            backend_.stream_.launching = launching;
        }
        ~Making() {
            backend_.recorded_ = nullptr;
            backend_.stream_.launching = before_;
        }

      private:
        CudaBackend& backend_;
        Launching before_;
    };

  private:
    friend class NcclCommunicator; // puts additions on its own stream

    struct Slot {
        cudaEvent_t copied = nullptr;
        cudaEvent_t released = nullptr;
    };

    void destroy() noexcept;
    void use() const { use_device(device_index_); }

    // Where a kernel finds Adam's rates (adam_rates.h): kept by the recording that is being made, or
    // worked out now.
    AdamConstants constants_of(const Adam& adam);

    // Of the products of so many rows; all but float32 are on tensor cores.
    Precision precision_of(std::int64_t rows) const {
        return rows >= rounded_from_rows ? precision_ : Precision::float32;
    }

    // normalise_maps.cu: what a gradient through sets' statistics needs of their planes and of them.
    void sum_map_gradient(Vector<double> sums, Vector<float> d_scale, Vector<float> d_shift,
                          Matrix<const float> dy, Matrix<const float> x,
                          Matrix<const float> statistics, const MapSets& sets,
                          Vector<const float> scale, bool accumulate);

    // linear_cublas.cu: the operations of linear layers with cuBLAS's products.
    void cublas_forward(Matrix<float> y, Matrix<const float> x, Matrix<const float> weight,
                        Vector<const float> bias, const Epilogue& epilogue);
    void cublas_input_gradient(Matrix<float> dx, Matrix<const float> dz, Matrix<const float> weight,
                               Matrix<const float> x, const Epilogue& previous);
    void cublas_weight_gradient(Matrix<float> d_weight, Vector<float> d_bias,
                                Matrix<const float> dz, Matrix<const float> x, bool accumulate);
    void cublas_weight_gradient_adam(AdamTensor weight, AdamTensor bias, Matrix<const float> dz,
                                     Matrix<const float> x, const Adam& settings);
    void sum_columns(float* out, Matrix<const float> x, bool accumulate);

    int device_index_;
    int multiprocessors_;
    Precision precision_;
    Stream stream_;                         // every operation, in the order of calls
    cudaStream_t staging_stream_ = nullptr; // copies that run beside them
    Slot slots_[2];
    SplitWorkspace workspace_;
    AdamRates* adam_rates_ = nullptr; // of a recording's optimisers, and one place more
    Recorded* recorded_ = nullptr;    // while a recording is made
    void* exchange_ = nullptr;        // of gan_iterations, from its first call on
    std::size_t exchange_bytes_ = 0;
    std::unique_ptr<Cublas> cublas_;                 // null: the engine's own products
    std::unique_ptr<NcclCommunicator> communicator_; // null: no other process is met
};

} // namespace patchforge::cuda
