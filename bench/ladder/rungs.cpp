#include "bench/ladder/ladder.h"

namespace patchforge::ladder {

const std::vector<Rung<Forward>>& forward_rungs() {
    static const std::vector<Rung<Forward>> rungs = {
        {"forward 1 naive", "one thread a result", 490, forward_naive},
        {"forward 2 coalesced", "one warp a result, lanes along the inputs", 28, forward_coalesced},
        {"forward 3 each weight once", "one warp an output, all rows of x in registers", 36,
         forward_each_weight_once},
        {"forward 4 filled device", "inputs split among blocks, the last one adds up", 6.4,
         forward_filled_device},
        {"forward 5 shipped", "four outputs a warp, next weights under way, halving sums", 3.6,
         nullptr},
    };
    return rungs;
}

const std::vector<Rung<Update>>& update_rungs() {
    static const std::vector<Rung<Update>> rungs = {
        {"update 1 naive", "gradient to memory, then Adam from memory", 34, update_naive},
        {"update 2 fused", "one thread a weight: gradient in a register, then its Adam step", 26,
         update_fused},
        {"update 3 quads", "four weights a thread, 16 bytes an access", 19, update_quads},
        {"update 4 shipped", "operands in shared memory, next weights and moments under way", 16,
         nullptr},
    };
    return rungs;
}

void enqueue(const Rung<Forward>& rung, const Forward& problem, Backend& backend,
             cudaStream_t stream) {
    rung.launch ? rung.launch(problem, stream) : forward_shipped(problem, backend);
}

void enqueue(const Rung<Update>& rung, const Update& problem, Backend& backend,
             cudaStream_t stream) {
    rung.launch ? rung.launch(problem, stream) : update_shipped(problem, backend);
}

} // namespace patchforge::ladder
