#include "kernels/cpu/cpu_backend.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace patchforge {
namespace {

// From here on memory comes straight from the system, which zeroes pages when they are first
// touched, and in pages of 2 MiB where it can: one pass over the weights otherwise misses the
// address cache on every row.
constexpr std::size_t mapped_from = std::size_t{2} << 20;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t alignment = 256;

class CpuRecording final : public Recording {
  public:
    explicit CpuRecording(std::function<void()> body) : body_(std::move(body)) {}
    void replay(std::int64_t times) override {
        for (std::int64_t i = 0; i < times; ++i) {
            body_();
        }
    }

  private:
    std::function<void()> body_;
};

int thread_count(const BackendOptions& options) {
    if (options.threads < 0) {
        throw std::invalid_argument("--threads " + std::to_string(options.threads) +
                                    ": negative; use 0 for one a core");
    }
    return options.threads > 0
               ? options.threads
               : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// What /proc/meminfo calls available: free, or easily freed.
std::int64_t available_memory() {
    std::ifstream meminfo("/proc/meminfo");
    std::string key, unit;
    std::int64_t kilobytes = 0;
    while (meminfo >> key >> kilobytes) {
        if (key == "MemAvailable:") {
            return kilobytes * 1024;
        }
        std::getline(meminfo, unit);
    }
    return static_cast<std::int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

} // namespace

CpuBackend::CpuBackend(const BackendOptions& options)
    : vector_(vector_kernels()), pool_(thread_count(options)), precision_(options.precision) {
    if (options.gemm == Gemm::cublas) {
        throw std::invalid_argument("--gemm cublas: the device is the CPU, and cuBLAS needs a GPU; "
                                    "use --device cuda, or --gemm own");
    }
    if (options.check_launches) {
        throw std::invalid_argument("--check-launches: the device is the CPU, which launches no "
                                    "kernels; use --device cuda, or leave it out");
    }
    if (options.overlap_launches) {
        throw std::invalid_argument("--overlap-launches: the device is the CPU, which launches no "
                                    "kernels; use --device cuda, or leave it out");
    }
}

std::string CpuBackend::name() const {
    return "cpu";
}

std::string CpuBackend::description() const {
    const int threads = pool_.threads();
    return std::string("CPU, ") + vector_.name + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads") + products_text(precision_);
}

std::int64_t CpuBackend::free_memory() const {
    return available_memory();
}

bool CpuBackend::reads_host_memory() const {
    return true;
}

void* CpuBackend::allocate(std::size_t bytes) {
    if (bytes == 0) {
        return nullptr;
    }
    void* memory = nullptr;
    if (bytes < mapped_from) {
        memory = std::aligned_alloc(alignment, rounded_up(bytes, alignment));
        if (memory) {
            std::memset(memory, 0, bytes);
        }
    } else if (bytes <= static_cast<std::size_t>(available_memory())) {
        // One huge page more than asked for, cut back to a boundary.
        const std::size_t size = rounded_up(bytes, huge_page);
        void* const mapping = mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping != MAP_FAILED) {
            char* const begin = static_cast<char*>(mapping);
            char* const aligned = reinterpret_cast<char*>(
                rounded_up(reinterpret_cast<std::uintptr_t>(begin), huge_page));
            if (aligned != begin) {
                munmap(begin, static_cast<std::size_t>(aligned - begin));
            }
            munmap(aligned + size, static_cast<std::size_t>(begin + huge_page - aligned));
            madvise(aligned, size, MADV_HUGEPAGE);
            const std::lock_guard lock(mapped_mutex_);
            mapped_[aligned] = size;
            memory = aligned;
        }
    }
    if (!memory) {
        throw std::runtime_error(
            "device cpu: cannot allocate " + std::to_string(bytes) + " bytes, " +
            std::to_string(available_memory()) +
            " are available; use a smaller batch or network, or stream the data");
    }
    return memory;
}

void CpuBackend::release(void* memory) noexcept {
    const std::lock_guard lock(mapped_mutex_);
    const auto mapping = mapped_.find(memory);
    if (mapping == mapped_.end()) {
        std::free(memory);
    } else {
        munmap(memory, mapping->second);
        mapped_.erase(mapping);
    }
}

void CpuBackend::upload(void* device, const void* host, std::size_t bytes) {
    copy(device, host, bytes);
}

void CpuBackend::download(void* host, const void* device, std::size_t bytes) {
    copy(host, device, bytes);
}

void CpuBackend::copy(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) {
        std::memcpy(to, from, bytes);
    }
}

void CpuBackend::synchronise() {}

std::unique_ptr<Recording> CpuBackend::record(std::function<void()> body) {
    return std::make_unique<CpuRecording>(std::move(body));
}

void* CpuBackend::allocate_staging(std::size_t bytes) {
    return allocate(bytes);
}

void CpuBackend::release_staging(void* memory) noexcept {
    release(memory);
}

// Everything before has finished, so the copy may happen at once and nobody has to wait.
void CpuBackend::stage(int, void* device, const void* host, std::size_t bytes) {
    copy(device, host, bytes);
}
void CpuBackend::await_slot(int) {}
void CpuBackend::release_slot(int) {}
void CpuBackend::wait_until_staged(int) {}

std::string CpuBackend::why_no_gan_iterations(const GanIterations&) const {
    return "it takes a GPU";
}

void CpuBackend::gan_iterations(const GanIterations& job, std::int64_t) {
    throw std::invalid_argument("gan_iterations: " + why_no_gan_iterations(job));
}

float* AlignedFloats::at_least(std::int64_t size) {
    if (size > size_) {
        memory_.reset();
        size_ = 0;
        memory_.reset(static_cast<float*>(std::aligned_alloc(
            alignment, rounded_up(static_cast<std::size_t>(size) * sizeof(float), alignment))));
        if (!memory_) {
            throw std::runtime_error(
                "device cpu: cannot allocate " +
                std::to_string(size * static_cast<std::int64_t>(sizeof(float))) +
                " bytes of workspace; use a smaller batch");
        }
        size_ = size;
    }
    return memory_.get();
}

float* thread_scratch(std::int64_t size) {
    thread_local AlignedFloats memory;
    return memory.at_least(size);
}

ScratchOwner::ScratchOwner() {
    static std::atomic<std::uint64_t> calls{0}; // of all backends
    call_ = ++calls;
}

bool ScratchOwner::takes(std::int64_t item, std::int64_t place) const {
    thread_local std::uint64_t call = 0;
    thread_local std::vector<std::int64_t> held; // by place
    if (call != call_) {
        call = call_;
        held.clear();
    }
    const auto at = static_cast<std::size_t>(place);
    held.resize(std::max(held.size(), at + 1), -1);
    return std::exchange(held[at], item) == item;
}

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
    return std::make_unique<CpuBackend>(options);
}

} // namespace patchforge
