// The job that this process is a rank of: mpirun or srun started it.
#pragma once

#include <string>

#include "host/ranks/ranks.h"

namespace patchforge {

// What the launcher says in the environment; one process where there is none.
struct Launch {
    int rank = 0;
    int size = 1;
    int local_rank = 0;     // among the ranks on this machine,
    int local_size = 1;     // of which there are so many
    std::string launcher{}; // "mpirun" or "srun"
};
Launch launch_of_environment();

// What carries messages between processes, in words: "Open MPI v4.1.4, ..."; why there are none.
std::string messages_text();

// The ranks of this job; null for one process. The first call joins them: std::runtime_error when the
// launcher and MPI do not agree, or when this program was built without MPI.
Ranks* job_ranks();

// At the end of a process that may be a rank: waits for the others.
void leave_job();
// The end of a job in which something failed: the others are told the reason, unless it came from one of them,
// rank 0 prints it by `print`, and those who do not end by themselves are ended with this exit status. Whether
// there was a job.
bool fail_job(const std::string& reason, int status, bool told,
              void (*print)(const std::string& reason));

} // namespace patchforge
