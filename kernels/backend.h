// The one contract between the host loop and the hardware: memory, recorded iterations, and every
// operation with its shapes and formula (kernels/operations/). `cpu` and `cuda` implement all of
// it; the host loop never asks which one it has.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "kernels/gemm.h"
#include "kernels/operations/activation.h"
#include "kernels/operations/augment.h"
#include "kernels/operations/batch.h"
#include "kernels/operations/columns.h"
#include "kernels/operations/condition.h"
#include "kernels/operations/convolution.h"
#include "kernels/operations/gan_iterations.h"
#include "kernels/operations/linear.h"
#include "kernels/operations/loss.h"
#include "kernels/operations/minibatch.h"
#include "kernels/operations/modulate.h"
#include "kernels/operations/noise.h"
#include "kernels/operations/normalise.h"
#include "kernels/operations/normalise_maps.h"
#include "kernels/operations/optimiser.h"
#include "kernels/operations/perturb.h"
#include "kernels/operations/photograph.h"
#include "kernels/operations/picture_pool.h"
#include "kernels/operations/pool.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/regularise.h"
#include "kernels/operations/resample.h"
#include "kernels/operations/spectral.h"
#include "kernels/operations/stain.h"
#include "kernels/precision.h"

namespace patchforge {

// A recorded sequence of operations. Its buffers must outlive it.
class Recording {
  public:
    virtual ~Recording() = default;
    // Runs the sequence `times` times, in order, behind everything enqueued before. Does not wait.
    virtual void replay(std::int64_t times = 1) = 0;
};

// Everything here is asynchronous in the order of calls, unless it says that it waits.
// All failures are std::runtime_error with the reason; running out of memory names the bytes asked
// for.
class Backend : public ActivationOperations,
                public AugmentOperations,
                public BatchOperations,
                public ColumnOperations,
                public ConditionOperations,
                public ConvolutionOperations,
                public GanIterationOperations,
                public LinearOperations,
                public LossOperations,
                public MinibatchOperations,
                public ModulateOperations,
                public NoiseOperations,
                public NormaliseOperations,
                public NormaliseMapsOperations,
                public OptimiserOperations,
                public PerturbOperations,
                public PhotographOperations,
                public PicturePoolOperations,
                public PoolOperations,
                public ReduceOperations,
                public RegulariseOperations,
                public ResampleOperations,
                public SpectralOperations,
                public StainOperations {
  public:
    ~Backend() override = default;

    virtual std::string name() const = 0;         // "cpu" or "cuda:0"
    virtual std::string description() const = 0;  // one line for people: device, width or driver
    virtual std::int64_t free_memory() const = 0; // bytes that an allocation may still hope for

    // Whether operations may be given host memory (a mapped file, say) instead of allocate()'s.
    virtual bool reads_host_memory() const = 0;

    // Zero-filled memory, 256-byte aligned. 0 bytes gives a null pointer.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* memory) noexcept = 0;

    virtual void upload(void* device, const void* host,
                        std::size_t bytes) = 0; // host reusable on return
    virtual void download(void* host, const void* device, std::size_t bytes) = 0; // waits
    virtual void copy(void* to, const void* from, std::size_t bytes) = 0; // device to device
    virtual void synchronise() = 0;                                       // waits for everything

    // Records what `body` enqueues; it must only call operations and copy(). Nothing runs before
    // replay: the CUDA backend calls `body` now, once to load kernels and once to capture a graph; the
    // CPU backend keeps it and calls it at every replay.
    virtual std::unique_ptr<Recording> record(std::function<void()> body) = 0;

    // Streaming through double buffers. Host memory from allocate_staging is pinned where that
    // helps. stage(slot, ...) copies beside the running computation, after the last
    // release_slot(slot); await_slot makes what is enqueued next wait for the copy; release_slot
    // says that what was enqueued so far is all that reads the slot. wait_until_staged returns when
    // the host buffer of the slot may be written again. slot in {0, 1}.
    virtual void* allocate_staging(std::size_t bytes) = 0;
    virtual void release_staging(void* memory) noexcept = 0;
    virtual void stage(int slot, void* device, const void* host, std::size_t bytes) = 0;
    virtual void await_slot(int slot) = 0;
    virtual void release_slot(int slot) = 0;
    virtual void wait_until_staged(int slot) = 0;
};

struct BackendOptions {
    int threads = 0; // of the CPU backend; 0: one a core. Results do not depend on it.
    Precision precision = Precision::float32; // of the products of linear and convolutional layers
    Gemm gemm = Gemm::own;                    // what carries those out on a GPU
    // A kernel of a recording may be started while the one before it still runs, on a GPU of compute
    // capability 9.0 or later; refused elsewhere. Results do not depend on it.
    bool overlap_launches = false;
    // Every kernel is waited for when it was launched, and a fault of a GPU is reported with its name.
    // Results do not depend on it.
    bool check_launches = false;
    // For how many multiprocessors kernels are laid out; 0: as many as the GPU has. Results do not
    // depend on it.
    int multiprocessors = 0;
};

// device: "auto", "cpu", "cuda", "cuda:N". auto takes a usable GPU, else the CPU.
// std::invalid_argument for anything else; std::runtime_error when the device cannot be used, with
// the driver's reason.
std::unique_ptr<Backend> make_backend(const std::string& device,
                                      const BackendOptions& options = {});

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options = {});
// Null-safe builds: in a program without CUDA this throws, saying so.
std::unique_ptr<Backend> make_cuda_backend(int device_index, const BackendOptions& options = {});
// The CUDA backend without a device: operations and recordings announce their launches
// (kernels/launch_trace.h), memory is the host's, and nothing is computed. options.multiprocessors
// are 132 if not given. std::runtime_error in a program without CUDA.
std::unique_ptr<Backend> make_planning_backend(const BackendOptions& options = {});
// Empty, or what the driver has to compile before this program's first launch on the GPU of that
// number, and how to build one that brings machine code for it.
std::string why_first_launch_compiles(int device_index);
// Empty when a CUDA device can be used; otherwise why not ("built without CUDA", "no driver", ...).
std::string why_no_cuda();

// An owned array on a backend's device.
template <class T>
class DeviceArray {
  public:
    DeviceArray() = default;
    DeviceArray(Backend& backend, std::int64_t size)
        : backend_(&backend),
          data_(static_cast<T*>(backend.allocate(static_cast<std::size_t>(size) * sizeof(T)))),
          size_(size) {}
    DeviceArray(DeviceArray&& other) noexcept { swap(other); }
    DeviceArray& operator=(DeviceArray&& other) noexcept {
        swap(other);
        return *this;
    }
    ~DeviceArray() {
        if (data_) {
            backend_->release(data_);
        }
    }

    T* data() const { return data_; }
    std::int64_t size() const { return size_; }
    Vector<T> view() const { return {data_, size_}; }
    Matrix<T> matrix(std::int64_t rows, std::int64_t columns) const {
        return {data_, rows, columns};
    }

    // The first `count` elements from or to host memory.
    void upload(const T* host, std::int64_t count) {
        backend_->upload(data_, host, static_cast<std::size_t>(count) * sizeof(T));
    }
    void download(T* host, std::int64_t count) const {
        backend_->download(host, data_, static_cast<std::size_t>(count) * sizeof(T));
    }

  private:
    void swap(DeviceArray& other) noexcept {
        std::swap(backend_, other.backend_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    Backend* backend_ = nullptr;
    T* data_ = nullptr;
    std::int64_t size_ = 0;
};

} // namespace patchforge
