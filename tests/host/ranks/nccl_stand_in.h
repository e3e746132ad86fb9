// What stands in for NCCL on the executor: its calls, with its rules, moving bytes between the memory of
// devices through files, so that ranks may be threads of one process or processes of one machine. As
// libnccl.so.2 (nccl_stand_in.cpp alone) it is loaded by build/patchforge-simt.
//
// As in NCCL a message is over when both sides have met: who sends waits until it was received. Messages of a
// group go together; groups of a stream one after the other.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/cuda/nccl.h"

namespace patchforge::testing {

// What is wrong with it, for tests of what notices.
struct NcclFaults {
    int version = 22005;
    std::int64_t lost = -1;    // this message of the process, counted from 0, never arrives
    bool late = false;         // a message brings what the one before it held
    bool wrong_peer = false;   // what is for the next rank goes to the one after it
    bool remote_error = false; // once a message was lost: ncclRemoteError
};
extern NcclFaults nccl_faults;
// Called where a rank that waits asks for errors: others of its process may go on meanwhile.
extern thread_local std::function<void()> nccl_meanwhile;

cuda::NcclFunctions nccl_stand_in();
// Communicators that were neither destroyed nor aborted; messages that were sent.
int living_communicators();
std::int64_t messages_sent();

} // namespace patchforge::testing
