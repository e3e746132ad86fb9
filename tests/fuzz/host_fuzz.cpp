#include "tests/fuzz/host_targets.h"

int main(int argc, char** argv) {
    return patchforge::fuzz_main(argc, argv, patchforge::host_fuzz_targets());
}
