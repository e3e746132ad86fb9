#include "tests/fuzz/data_targets.h"

int main(int argc, char** argv) {
    return patchforge::fuzz_main(argc, argv, patchforge::data_fuzz_targets());
}
