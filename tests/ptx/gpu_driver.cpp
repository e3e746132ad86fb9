// The driver, where there is one: it is loaded when asked for, so that nothing has to be installed.
#include "tests/ptx/one_instruction.h"

#include <dlfcn.h>

#include <memory>
#include <stdexcept>

namespace ptx {

namespace {

using Address = unsigned long long;

// What is needed of libcuda.so.1, with the version of each function that CUDA 12 and 13 export.
struct Driver {
    int (*init)(unsigned flags) = nullptr;
    int (*device_get)(int* device, int ordinal) = nullptr;
    int (*retain)(void** context, int device) = nullptr;
    int (*set_current)(void* context) = nullptr;
    int (*load)(void** module, const void* image) = nullptr;
    int (*unload)(void* module) = nullptr;
    int (*get_function)(void** function, void* module, const char* name) = nullptr;
    int (*allocate)(Address* pointer, std::size_t bytes) = nullptr;
    int (*release)(Address pointer) = nullptr;
    int (*to_device)(Address to, const void* from, std::size_t bytes) = nullptr;
    int (*to_host)(void* to, Address from, std::size_t bytes) = nullptr;
    int (*start)(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                 unsigned shared_bytes, void* stream, void** arguments, void** extra) = nullptr;
    int (*synchronise)() = nullptr;
    std::string why_not;
};

void check(int status, const char* what) {
    if (status != 0) {
        throw std::runtime_error(std::string(what) + ": the driver answers " +
                                 std::to_string(status));
    }
}

const Driver& driver() {
    static const Driver loaded = [] {
        Driver d;
        void* library = dlopen("libcuda.so.1", RTLD_NOW);
        if (!library) {
            d.why_not = "no NVIDIA driver is installed";
            return d;
        }
        const auto find = [&](auto& function, const char* name) {
            function =
                reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
            if (!function) {
                d.why_not = std::string("the NVIDIA driver lacks ") + name;
            }
        };
        find(d.init, "cuInit");
        find(d.device_get, "cuDeviceGet");
        find(d.retain, "cuDevicePrimaryCtxRetain");
        find(d.set_current, "cuCtxSetCurrent");
        find(d.load, "cuModuleLoadData");
        find(d.unload, "cuModuleUnload");
        find(d.get_function, "cuModuleGetFunction");
        find(d.allocate, "cuMemAlloc_v2");
        find(d.release, "cuMemFree_v2");
        find(d.to_device, "cuMemcpyHtoD_v2");
        find(d.to_host, "cuMemcpyDtoH_v2");
        find(d.start, "cuLaunchKernel");
        find(d.synchronise, "cuCtxSynchronize");
        int device = 0;
        void* context = nullptr;
        if (d.why_not.empty() && (d.init(0) != 0 || d.device_get(&device, 0) != 0 ||
                                  d.retain(&context, device) != 0 || d.set_current(context) != 0)) {
            d.why_not = "the NVIDIA driver finds no GPU";
        }
        return d;
    }();
    return loaded;
}

class DeviceBuffer {
  public:
    explicit DeviceBuffer(const std::vector<Slots>& values) {
        const std::size_t bytes = values.size() * sizeof(Slots);
        check(driver().allocate(&address_, bytes), "cuMemAlloc");
        check(driver().to_device(address_, values.data(), bytes), "cuMemcpyHtoD");
    }
    ~DeviceBuffer() { driver().release(address_); }
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    Address* address() { return &address_; }

  private:
    Address address_ = 0;
};

} // namespace

std::string why_no_gpu() {
    return driver().why_not;
}

std::vector<Slots> run_on_gpu(const OneInstruction& kernel, const std::vector<Slots>& in,
                              std::vector<Slots> out, Slot16 data) {
    void* loaded = nullptr;
    check(driver().load(&loaded, kernel.text.c_str()), "cuModuleLoadData");
    const std::unique_ptr<void, int (*)(void*)> module(loaded, driver().unload);
    void* function = nullptr;
    check(driver().get_function(&function, loaded, "one_instruction"), "cuModuleGetFunction");
    DeviceBuffer inputs(in), outputs(out);
    void* arguments[] = {inputs.address(), outputs.address(), &data};
    const auto blocks = static_cast<unsigned>(in.size() / lanes);
    check(driver().start(function, blocks, 1, 1, lanes, 1, 1, lanes * sizeof(Slot16), nullptr,
                         arguments, nullptr),
          "cuLaunchKernel");
    check(driver().synchronise(), "cuCtxSynchronize");
    check(driver().to_host(out.data(), *outputs.address(), out.size() * sizeof(Slots)),
          "cuMemcpyDtoH");
    return out;
}

} // namespace ptx
