// Checkpoints and PyTorch's modules of the same names, both ways, where a Python with PyTorch is found.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/host/end_to_end/program.h"

namespace patchforge::testing {
namespace {

// $PEER_PYTHON or python3, if it can import torch; else empty.
std::string python_with_torch() {
    const char* given = std::getenv("PEER_PYTHON");
    const std::string python = given ? given : "python3";
    return std::system((python + " -c 'import torch, numpy' > /dev/null 2>&1").c_str()) == 0
               ? python
               : "";
}

TEST(PyTorchModules, LoadCheckpointsAndWriteThem) {
    const std::string python = python_with_torch();
    if (python.empty()) {
        GTEST_SKIP() << "no PyTorch: python3 (or $PEER_PYTHON) cannot import torch";
    }
    const struct {
        const char *kind, *network;
    } cases[] = {{"sequential", "cnn"},
                 {"residual", "3x10x10; conv 3>6 k3 p1 nobias norm=batch relu as=skip; conv 6>6 k3 "
                              "p1 nobias norm=batch; add skip relu; pool global; linear 6>2"}};
    for (const auto& [kind, network] : cases) {
        const ScratchFolder folder(std::string("pytorch-") + kind);
        const std::string tissue = folder / "tissue", set = folder / "set.pfs";
        for (const std::vector<std::string>& call :
             {std::vector<std::string>{"tissue", tissue, "--patients", "6", "--patches", "12",
                                       "--size", "10"},
              {"pack", tissue, "--out", set},
              {"train", "classifier", "--data", set, "--out", folder / "run", "--network", network,
               "--epochs", "3", "--lr", "3e-3", "--batch-size", "8", "--device", "cpu"}}) {
            const Outcome outcome = run_program("patchforge-cpu", call);
            ASSERT_EQ(outcome.status, 0) << outcome.output;
        }
        const std::string call = python + " tests/host/end_to_end/pytorch_modules.py " +
                                 program_path("patchforge-cpu") + " " + set + " " +
                                 folder.path().string() + " " + kind;
        EXPECT_EQ(std::system(call.c_str()), 0) << call;
    }
}

} // namespace
} // namespace patchforge::testing
