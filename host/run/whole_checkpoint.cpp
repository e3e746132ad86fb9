#include "host/run/whole_checkpoint.h"

#include <fmt/format.h>

#include <stdexcept>

#include "host/files/tensor_facts.h"
#include "host/run/progress.h"

namespace patchforge {

namespace fs = std::filesystem;

std::string fault_of(const Checkpoint& checkpoint) {
    try {
        for (const auto& entry : fs::directory_iterator(checkpoint.folder)) {
            if (entry.path().extension() != ".safetensors") {
                continue;
            }
            // Numbers that are not finite are no damage but what was trained, which whoever reads them refuses.
            const TensorFile file = read_unchecked_safetensors(entry.path());
            if (file.has("step") &&
                scalar_u64(file, "step") != static_cast<std::uint64_t>(checkpoint.step)) {
                return fmt::format("{}: is of step {}, not of its folder's", file.name,
                                   scalar_u64(file, "step"));
            }
        }
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

WholeCheckpoint newest_whole_checkpoint(const fs::path& run) {
    WholeCheckpoint result;
    std::vector<Checkpoint> all = list_checkpoints(run);
    std::vector<std::string> faults;
    for (; !all.empty(); all.pop_back()) {
        const std::string fault = fault_of(all.back());
        if (fault.empty()) {
            result.newest = all.back();
            break;
        }
        faults.push_back(fault);
        result.damaged.push_back(all.back());
    }
    if (!faults.empty() && !result.newest) {
        throw std::runtime_error(
            fmt::format("{}; no older checkpoint of {} is whole", faults.front(), run.string()));
    }
    for (const std::string& fault : faults) {
        print_line(fmt::format("Warning: {}", fault));
    }
    if (!faults.empty()) {
        print_line(fmt::format("Warning: taking the newest whole checkpoint, {}",
                               result.newest->folder.string()));
    }
    return result;
}

} // namespace patchforge
