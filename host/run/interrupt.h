// Ctrl-C, SIGTERM and SIGUSR1 (which mpirun and Slurm pass on) ask a loop to stop at a good place; a second one ends the program at once.
#pragma once

#include <csignal>

namespace patchforge {

// While one of these lives, these signals set a flag instead of ending the program. Only the
// first of each kind is caught: the next does what it always did. One scope at a time.
class InterruptScope {
  public:
    InterruptScope();
    ~InterruptScope();
    InterruptScope(const InterruptScope&) = delete;
    InterruptScope& operator=(const InterruptScope&) = delete;

  private:
    struct sigaction previous_interrupt_ = {};
    struct sigaction previous_terminate_ = {};
    struct sigaction previous_user_ = {};
};

// Whether a signal came since the last InterruptScope began. Cheap: ask in every iteration.
bool interrupted();

} // namespace patchforge
