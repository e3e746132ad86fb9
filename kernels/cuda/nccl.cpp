#include "kernels/cuda/nccl.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <type_traits>

#if defined(PATCHFORGE_NCCL_HEADER)
#include PATCHFORGE_NCCL_HEADER
#endif

namespace patchforge::cuda {
namespace {

#if defined(PATCHFORGE_NCCL_HEADER)
// The build has found a header of NCCL: arguments are passed as it says.
template <class Ours, class Theirs>
constexpr bool
    passed_alike = sizeof(Ours) == sizeof(Theirs) &&
                   std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>&& std::is_class_v<Ours> ==
                       std::is_class_v<Theirs>;
template <class Ours, class Theirs>
constexpr bool called_alike = false;
template <class Ours, class Theirs, class... OurArguments, class... TheirArguments>
requires(sizeof...(OurArguments) ==
         sizeof...(TheirArguments)) constexpr bool called_alike<Ours (*)(OurArguments...),
                                                                Theirs (*)(TheirArguments...)> =
    passed_alike<Ours, Theirs> && (passed_alike<OurArguments, TheirArguments> && ...);
#define AS_IN_HEADER(ours, theirs)                                                                 \
    static_assert(called_alike<decltype(NcclFunctions::ours), decltype(&theirs)>)
AS_IN_HEADER(get_version, ncclGetVersion);
AS_IN_HEADER(get_unique_id, ncclGetUniqueId);
AS_IN_HEADER(comm_init_rank, ncclCommInitRank);
AS_IN_HEADER(comm_destroy, ncclCommDestroy);
AS_IN_HEADER(comm_abort, ncclCommAbort);
AS_IN_HEADER(comm_get_async_error, ncclCommGetAsyncError);
AS_IN_HEADER(group_start, ncclGroupStart);
AS_IN_HEADER(group_end, ncclGroupEnd);
AS_IN_HEADER(send, ncclSend);
AS_IN_HEADER(recv, ncclRecv);
AS_IN_HEADER(get_error_string, ncclGetErrorString);
AS_IN_HEADER(get_last_error, ncclGetLastError);
#undef AS_IN_HEADER
static_assert(nccl_float32 == ncclFloat32 && nccl_success == ncclSuccess &&
              nccl_in_progress == ncclInProgress && oldest_nccl == NCCL_VERSION(2, 16, 0));
#endif

std::optional<NcclFunctions> replacement;

NcclFunctions functions_of_library() {
    // Kept open for the life of the process.
    static void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        throw std::runtime_error(
            "several ranks on GPUs need NCCL, and the loader finds no libnccl.so.2; install it "
            "(package libnccl2 of NVIDIA's repository) on every machine, add its folder to "
            "LD_LIBRARY_PATH, or give --device cpu");
    }
    NcclFunctions functions = {};
    const auto find = [&](auto& function, const char* name) {
        function =
            reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        if (!function) {
            throw std::runtime_error(
                fmt::format("several ranks on GPUs: the installed libnccl.so.2 has no {}; install "
                            "NCCL {} or later, or give --device cpu",
                            name, nccl_version_text(oldest_nccl)));
        }
    };
    find(functions.get_version, "ncclGetVersion");
    find(functions.get_unique_id, "ncclGetUniqueId");
    find(functions.comm_init_rank, "ncclCommInitRank");
    find(functions.comm_destroy, "ncclCommDestroy");
    find(functions.comm_abort, "ncclCommAbort");
    find(functions.comm_get_async_error, "ncclCommGetAsyncError");
    find(functions.group_start, "ncclGroupStart");
    find(functions.group_end, "ncclGroupEnd");
    find(functions.send, "ncclSend");
    find(functions.recv, "ncclRecv");
    find(functions.get_error_string, "ncclGetErrorString");
    find(functions.get_last_error, "ncclGetLastError");
    return functions;
}

} // namespace

std::string nccl_version_text(int version) {
    return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

NcclFunctions load_nccl() {
    const NcclFunctions functions = replacement ? *replacement : functions_of_library();
    int version = 0;
    check_nccl(functions, functions.get_version(&version), "ncclGetVersion");
    if (version < oldest_nccl) {
        throw std::runtime_error(fmt::format(
            "several ranks on GPUs: NCCL {} is installed; install {} or later, or give --device "
            "cpu",
            nccl_version_text(version), nccl_version_text(oldest_nccl)));
    }
    return functions;
}

void replace_nccl(const NcclFunctions* functions) {
    replacement = functions ? std::optional(*functions) : std::nullopt;
}

void check_nccl(const NcclFunctions& functions, int result, const char* call) {
    if (result != nccl_success) {
        const char* const more = functions.get_last_error(nullptr);
        throw std::runtime_error(fmt::format("{}: {}{}{}; NCCL_DEBUG=WARN makes NCCL say more",
                                             call, functions.get_error_string(result),
                                             more && *more ? ": " : "", more ? more : ""));
    }
}

} // namespace patchforge::cuda
