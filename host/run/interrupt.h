// One policy of signals for every verb. SIGINT, SIGTERM, SIGHUP (a closed terminal), SIGPIPE (a closed pipe) and SIGUSR1 (which mpirun and Slurm pass on) end the
// program with the status 128 + number, as a shell says it: at once, half-written files taken back, or where there is
// something to save after that. One that was ignored when the program began (nohup) stays ignored.
#pragma once

#include <csignal>
#include <exception>
#include <vector>

namespace patchforge {

// Call once, when the program begins.
void handle_signals();

// While one of these lives, a signal sets a flag instead of ending the program: what runs asks for it and saves. A second
// SIGINT, or a second SIGTERM, ends the program at once; the others come twice by themselves (a terminal that closes
// tells the shell, which tells it again; every write into a closed pipe). One scope at a time.
class InterruptScope {
  public:
    InterruptScope();
    ~InterruptScope();
    InterruptScope(const InterruptScope&) = delete;
    InterruptScope& operator=(const InterruptScope&) = delete;

  private:
    std::vector<struct sigaction> previous_;
};

// Whether a signal came since the last InterruptScope began. Cheap: ask in every iteration.
bool interrupted();
// The first that came; 0: none.
int interrupting_signal();

// What gives up a long piece of work throws it; whoever made the scope catches it and saves.
class Interrupted : public std::exception {
  public:
    const char* what() const noexcept override { return "interrupted by a signal"; }
};
// Within a scope: throws when a signal came. For loops that may take seconds and leave nothing half done.
void stop_if_interrupted();

} // namespace patchforge
