#include "host/cli/verbs.h"

int main(int argc, char** argv) {
    return patchforge::run_command_line(patchforge::all_verbs(), argc, argv);
}
