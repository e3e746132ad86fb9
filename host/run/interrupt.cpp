#include "host/run/interrupt.h"

namespace patchforge {

namespace {

volatile std::sig_atomic_t signal_came = 0;

extern "C" void note_signal(int) {
    signal_came = 1;
}

} // namespace

InterruptScope::InterruptScope() {
    signal_came = 0;
    struct sigaction action = {};
    action.sa_handler = note_signal;
    sigemptyset(&action.sa_mask);
    // SA_RESETHAND gives the second signal back to the default, which ends the program.
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &previous_interrupt_);
    sigaction(SIGTERM, &action, &previous_terminate_);
    sigaction(SIGUSR1, &action, &previous_user_);
}

InterruptScope::~InterruptScope() {
    sigaction(SIGINT, &previous_interrupt_, nullptr);
    sigaction(SIGTERM, &previous_terminate_, nullptr);
    sigaction(SIGUSR1, &previous_user_, nullptr);
}

bool interrupted() {
    return signal_came != 0;
}

} // namespace patchforge
