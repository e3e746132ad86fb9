// patchforge doctor: what this machine offers, what this program uses of it, and how to fix the
// rest.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <png.h>
#include <thread>
#include <zlib.h>

#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/ranks/job.h"
#include "host/run/progress.h"
#include "host/run/version.h"
#include "kernels/backend.h"
#include "kernels/communicator.h"

namespace patchforge {

namespace {

struct Finding {
    std::string what;
    std::string found;
    std::string fix; // empty: nothing to fix
};

// The first line that a command prints and that holds `part`; empty when it cannot be run.
std::string output_line(const std::string& command, const std::string& part = "") {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(
        ::popen((command + " 2>/dev/null").c_str(), "r"), ::pclose);
    std::array<char, 512> buffer{};
    while (pipe && std::fgets(buffer.data(), buffer.size(), pipe.get())) {
        std::string line = buffer.data();
        line.erase(line.find_last_not_of("\r\n") + 1);
        if (line.find(part) != std::string::npos) {
            return line;
        }
    }
    return "";
}

std::string file_line(const std::string& path, const std::string& part) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.find(part) != std::string::npos) {
            return line;
        }
    }
    return "";
}

Finding compiler() {
    const std::string found = output_line("g++ --version");
    // Where the program came ready-made, in a container for example, nothing is missing.
    return {"compiler",
            found.empty() ? "no g++, which only building needs (apt-get install g++)" : found, ""};
}

std::string nvcc_line() {
    for (const char* nvcc : {"nvcc", "/usr/local/cuda/bin/nvcc"}) {
        const std::string line = output_line(fmt::format("{} --version", nvcc), "release");
        if (!line.empty()) {
            return fmt::format("{} ({})", line, nvcc);
        }
    }
    return "";
}

bool built_without_cuda() {
    return why_no_cuda().find("built without CUDA") != std::string::npos;
}

Finding toolkit(bool gpu_here) {
    const std::string nvcc = nvcc_line();
    if (nvcc.empty()) {
        return {"CUDA toolkit", "no nvcc",
                gpu_here && built_without_cuda()
                    ? "install NVIDIA's CUDA toolkit (nvcc in the PATH or in /usr/local/cuda/bin), "
                      "then `make`"
                    : ""};
    }
    return {"CUDA toolkit", nvcc,
            gpu_here && built_without_cuda()
                ? "this program was built without it: `make clean`, then `make`"
                : ""};
}

// A display or compute device of NVIDIA on the PCI bus, driver or not.
bool nvidia_card() {
    std::error_code ignored;
    for (const auto& device :
         std::filesystem::directory_iterator("/sys/bus/pci/devices", ignored)) {
        if (!file_line(device.path() / "vendor", "0x10de").empty() &&
            !file_line(device.path() / "class", "0x03").empty()) { // display controllers
            return true;
        }
    }
    return false;
}

Finding driver() {
    const std::string loaded = file_line("/proc/driver/nvidia/version", "NVRM");
    return {"driver", loaded.empty() ? "no NVIDIA driver is loaded" : loaded,
            loaded.empty() && nvidia_card()
                ? "an NVIDIA card is on the PCI bus: install its driver (package nvidia-driver, in "
                  "Debian's non-free part) and restart"
                : ""};
}

Finding gpu() {
    const std::string found = output_line(
        "nvidia-smi --query-gpu=name,compute_cap,memory.total,driver_version --format=csv,noheader",
        ",");
    Finding finding{"GPU", found.empty() ? "none found" : found, ""};
    const bool device_files = std::filesystem::exists("/dev/nvidiactl");
    const std::string reason = why_no_cuda();
    if (device_files && found.empty()) {
        finding.fix = "a device is there but nvidia-smi does not answer: reinstall the driver";
    } else if (!found.empty() && !reason.empty() && !built_without_cuda()) {
        finding.fix = fmt::format("it cannot be used ({}): update the driver to one that supports "
                                  "the CUDA toolkit of this program",
                                  reason);
    }
    return finding;
}

Finding processor() {
    std::string model = file_line("/proc/cpuinfo", "model name");
    model = model.empty() ? "unknown model" : model.substr(model.find(':') + 2);
    std::string features;
#if defined(__x86_64__)
    features += __builtin_cpu_supports("avx2") ? ", AVX2" : "";
    features += __builtin_cpu_supports("fma") ? ", FMA" : "";
    features += __builtin_cpu_supports("avx512f") ? ", AVX-512" : "";
#endif
    return {"CPU",
            fmt::format("{}, {} threads{}", model, std::thread::hardware_concurrency(), features),
            features.empty()
                ? "no AVX2: everything works, but slower by several times; use a newer "
                  "machine or a GPU"
                : ""};
}

Finding libraries() {
    return {"libraries",
            fmt::format("libpng {}, zlib {}, fmt {}.{}.{}", png_get_libpng_ver(nullptr),
                        zlibVersion(), FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                        FMT_VERSION % 100),
            ""};
}

Finding ranks() {
    const std::string launcher = output_line("mpirun --version");
    const bool built = messages_text().find("without MPI") == std::string::npos;
    return {
        "several ranks",
        fmt::format("{}, {}", messages_text(),
                    launcher.empty() ? "no mpirun" : "started by " + launcher),
        built == !launcher.empty() ? ""
        : built
            ? "apt-get install openmpi-bin"
            : "this program was built without MPI: apt-get install libopenmpi-dev, then `make`"};
}

Finding nccl() {
    if (built_without_cuda()) {
        return {"NCCL", "not asked for without CUDA", ""};
    }
    try {
        return {"NCCL", nccl_version() + ", for several ranks on GPUs", ""};
    } catch (const std::exception& error) {
        return {"NCCL", "none that can be used: one GPU at a time",
                visible_gpus() > 1 ? error.what() : ""};
    }
}

Finding cuda_use() {
    const std::string reason = why_no_cuda();
    return {"CUDA", reason.empty() ? "usable" : "not used: " + reason, ""};
}

Finding machine_code() {
    if (!why_no_cuda().empty()) {
        return {"machine code", "of kernels: not asked for without a GPU", ""};
    }
    const std::string reason = why_first_launch_compiles(0);
    return {"machine code", reason.empty() ? "for the kernels of this GPU" : reason, ""};
}

Finding chosen_device() {
    try {
        const auto backend = make_backend("auto");
        return {"--device auto", fmt::format("{}: {}", backend->name(), backend->description()),
                ""};
    } catch (const std::exception& error) {
        return {"--device auto", error.what(), "use --device cpu until this is repaired"};
    }
}

Finding precisions() {
    return {"--precision",
            fmt::format("{}; on a GPU the last two run on its tensor cores, the CPU rounds as they "
                        "do",
                        fmt::join(precision_names(), ", ")),
            ""};
}

void look_around(const Tell& tell) {
    const Finding graphics = gpu();
    int problems = 0;
    Json findings = Json::array();
    for (const Finding& finding :
         {Finding{"program", version_text() + ", built by g++ " + __VERSION__, ""}, compiler(),
          toolkit(graphics.found != "none found"), driver(), graphics, cuda_use(), machine_code(),
          processor(), libraries(), ranks(), nccl(), chosen_device(), precisions()}) {
        print_line(fmt::format("{:<14} {}", finding.what, finding.found));
        findings.push_back({{"what", finding.what}, {"found", finding.found}});
        if (!finding.fix.empty()) {
            ++problems;
            findings.back()["fix"] = finding.fix;
            print_line(fmt::format("{:<14} fix: {}", "", finding.fix));
        }
    }
    print_line(problems == 0 ? "No problems found."
                             : fmt::format("{} to fix, see above.", problems));
    tell({{"findings", findings}, {"problems", problems}});
}

} // namespace

Verb doctor_verb() {
    Verb verb{.name = "doctor",
              .summary =
                  "what this machine offers, which device is taken, and how to fix problems"};
    verb.examples = {"doctor", "doctor > machine.txt"};
    answer_in_json(verb, look_around);
    return verb;
}

} // namespace patchforge
