#include "tests/fuzz/safetensors_target.h"

int main(int argc, char** argv) {
    return patchforge::fuzz_main(argc, argv, {patchforge::safetensors_fuzz_target()});
}
