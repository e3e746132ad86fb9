#include "host/run/interrupt.h"

#include <unistd.h>

#include <array>
#include <cstring>

#include "data/atomic_file.h"

namespace patchforge {

namespace {

constexpr std::array handled = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1};

volatile std::sig_atomic_t signal_came = 0;
volatile std::sig_atomic_t told = 0;
bool in_scope = false;

// Not where the pipe is closed that would have told it.
void tell(const char* line) {
    (void)!::write(STDERR_FILENO, line, std::strlen(line));
}

// From here to its end without heap, locks and streams: it runs between any two instructions.
extern "C" void end_program(int signal) {
    if (signal == SIGPIPE && signal_came != 0) {
        return; // last words of what was saved find the pipe closed
    }
    remove_own_temporaries();
    if (signal != SIGPIPE) {
        tell("\npatchforge: ended by a signal\n");
    }
    ::_exit(128 + signal);
}

extern "C" void note_signal(int signal) {
    const bool twice = signal_came == signal && (signal == SIGINT || signal == SIGTERM);
    if (twice) {
        end_program(signal);
    }
    if (signal_came == 0) {
        signal_came = signal;
    }
    if (signal != SIGPIPE && told == 0) {
        told = 1;
        tell(
            "\npatchforge: stopping; what is reached is being saved (once more ends it at once)\n");
    }
}

struct sigaction action_of(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    return action;
}

// Those that are ignored stay so.
void install(void (*handler)(int), std::vector<struct sigaction>* previous) {
    const struct sigaction action = action_of(handler);
    for (const int signal : handled) {
        struct sigaction before = {};
        sigaction(signal, nullptr, &before);
        if (previous) {
            previous->push_back(before);
        }
        if (before.sa_handler != SIG_IGN) {
            sigaction(signal, &action, nullptr);
        }
    }
}

} // namespace

void handle_signals() {
    install(end_program, nullptr);
    std::signal(SIGXFSZ, SIG_IGN); // the write that meets the limit fails, and says so
}

InterruptScope::InterruptScope() {
    signal_came = 0;
    told = 0;
    in_scope = true;
    install(note_signal, &previous_);
}

InterruptScope::~InterruptScope() {
    in_scope = false;
    for (std::size_t i = 0; i < handled.size(); ++i) {
        sigaction(handled[i], &previous_[i], nullptr);
    }
}

bool interrupted() {
    return signal_came != 0;
}

int interrupting_signal() {
    return signal_came;
}

void stop_if_interrupted() {
    if (in_scope && interrupted()) {
        throw Interrupted();
    }
}

} // namespace patchforge
