// NCCL, behind a table of the functions that are called. The program does not link with it: load_nccl looks
// for it when several ranks work on GPUs. Tests put functions of their own into the table.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace patchforge::cuda {

// ncclUniqueId, which is passed by value.
struct NcclId {
    char internal[128];
};

// Named as in nccl.h, whose handles and enumerations are pointers and numbers here: no header of NCCL is
// needed to build, and where one is, nccl.cpp compares. Functions that return int return a ncclResult_t.
struct NcclFunctions {
    int (*get_version)(int* version);
    int (*get_unique_id)(NcclId* id);
    int (*comm_init_rank)(void** communicator, int size, NcclId id,
                          int rank); // waits for all ranks
    int (*comm_destroy)(void* communicator);
    int (*comm_abort)(void* communicator);
    int (*comm_get_async_error)(void* communicator, int* result);
    int (*group_start)();
    int (*group_end)();
    int (*send)(const void* from, std::size_t count, int type, int peer, void* communicator,
                cudaStream_t stream);
    int (*recv)(void* to, std::size_t count, int type, int peer, void* communicator,
                cudaStream_t stream);
    const char* (*get_error_string)(int result);
    const char* (*get_last_error)(void* communicator); // null: of the process
};

// The values of ncclDataType_t and ncclResult_t that are used.
constexpr int nccl_float32 = 7;
constexpr int nccl_success = 0;
constexpr int nccl_in_progress = 7;

// 2.16 is the first for CUDA 12.
constexpr int oldest_nccl = 21600;
std::string nccl_version_text(int version);

// Of libnccl.so.2. std::runtime_error that says what to install when there is none, or one too old.
NcclFunctions load_nccl();
// What load_nccl gives from now on; null: the library again.
void replace_nccl(const NcclFunctions* functions);

// std::runtime_error with NCCL's reason, unless `result` is success.
void check_nccl(const NcclFunctions& functions, int result, const char* call);

} // namespace patchforge::cuda
