// What runs: instructions that were decoded once, and the state of the warps that run them.
//
// A warp is the unit: an instruction is one call that works on 32 lanes at once. A register is an
// array of 32 elements, so most of these calls are a short loop that the compiler turns into vector
// instructions. A predicate is one word with a bit for every lane.
#pragma once

#include "tests/ptx/text.h"
#include "tests/simt/include/simt.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ptx {

constexpr unsigned lanes = 32;
using Mask = std::uint32_t; // a bit for every lane
constexpr Mask all_lanes = ~Mask{0};

// Where shared memory begins in its address space. Not 0, so that a lost address is found.
constexpr std::uint64_t shared_window = 1024;

struct Warp;
struct Instruction;
using Run = void (*)(Warp& warp, const Instruction& instruction);

// A place is an offset in the registers of the warp or, with the top bit, in the kernel's constants.
using Place = std::uint32_t;
constexpr Place constant_bit = 0x80000000u;

// `d` is what is written, `a`, `b`, `c` what is read, in the order of the PTX.
struct Instruction {
    Run run = nullptr;
    Place d = 0, a = 0, b = 0, c = 0;
    std::int64_t number = 0;     // offset of an address, number of a barrier, index of a target
    std::uint32_t list = 0;      // first of further operands in Kernel::lists
    std::uint32_t statement = 0; // of the entry
};

enum class Special : std::uint8_t {
    thread_x,
    block_x,
    block_y,
    block_z,
    threads_x,
    blocks_x,
    blocks_y,
    blocks_z
};

struct Kernel {
    const Module* module = nullptr;
    const Entry* entry = nullptr;
    std::string name; // as people write it, without namespace and arguments
    std::vector<Instruction> code;
    std::vector<std::uint32_t> lists;
    std::vector<std::byte> constants;
    std::size_t register_bytes = 0;
    std::vector<std::pair<Special, Place>> specials; // to be set when a warp starts
    bool waits_for_predecessor = false;              // has griddepcontrol.wait
};

// A copy that was started and has not landed.
struct Copy {
    std::uint64_t to;   // in shared memory
    std::uint64_t from; // in device memory
    std::uint8_t bytes;
    std::uint8_t valid_bytes;
    std::uint8_t lane;
    std::uint32_t group; // how many groups its lane had closed
};

// Lanes that wait until those that run have come to where both ways meet again.
struct Path {
    std::uint32_t pc;
    Mask active;
    std::uint32_t meets; // where these lanes meet others
};
constexpr std::uint32_t never = ~0u;

struct Block;

struct Warp {
    std::byte* base[2] = {}; // registers, constants
    Mask active = all_lanes; // the lanes that run now
    Mask live = all_lanes;   // those that have not returned
    Mask waited = 0;         // those that passed griddepcontrol.wait
    std::uint32_t pc = 0;
    std::uint32_t meets = never;
    std::vector<Path> paths; // the last goes on first

    enum class State : std::uint8_t { runs, yields, at_barrier, ended } state = State::runs;
    const Instruction* barrier = nullptr; // where it waits

    std::vector<Copy> copies;
    std::array<std::uint32_t, lanes> groups{};

    Block* block = nullptr;
    unsigned index = 0; // within the block

    template <class T>
    T* at(Place place) const {
        return reinterpret_cast<T*>(base[place >> 31] + (place & ~constant_bit));
    }
    template <class T>
    T* further(const Instruction& i, unsigned n) const;
};

struct Launch {
    const Kernel* kernel = nullptr;
    simt::LaunchGeometry geometry;
    std::vector<std::byte> parameters;
    std::uint64_t executed = 0; // instructions of warps
    // The buffer of device memory that was touched last.
    std::uint64_t buffer_start = 0, buffer_bytes = 0;
    bool must_wait = false; // for the kernel before, ahead of any access to device memory
};

struct Block {
    Launch* launch = nullptr;
    dim3 index{};
    std::vector<Warp> warps;
    std::vector<std::byte> registers; // of all warps
    std::vector<std::byte> storage;
    std::byte* shared = nullptr; // within storage
    std::uint64_t shared_bytes = 0;
    Mask votes = 0; // of bar.red: not zero when a lane brought true
};

template <class T>
T* Warp::further(const Instruction& i, unsigned n) const {
    return at<T>(block->launch->kernel->lists[i.list + n]);
}

// Calls function(lane) for the lanes that run.
template <class Function>
void for_active(const Warp& warp, Function function) {
    for (Mask left = warp.active; left; left &= left - 1) {
        function(static_cast<unsigned>(__builtin_ctz(left)));
    }
}

// d[lane] = function(lane) for the lanes that run; what the others get is thrown away, so
// `function` has to stand every value. d may be one of the registers that `function` reads.
template <class T, class Function>
inline __attribute__((always_inline)) void on_lanes(const Warp& warp, T* d, Function function) {
    if (warp.active == all_lanes) {
#pragma GCC ivdep
        for (unsigned lane = 0; lane < lanes; ++lane) {
            d[lane] = function(lane);
        }
    } else {
        const Mask active = warp.active;
#pragma GCC ivdep
        for (unsigned lane = 0; lane < lanes; ++lane) {
            const T value = function(lane);
            d[lane] = active >> lane & 1 ? value : d[lane];
        }
    }
}

// What a form is and what it takes. `operands` lists them in order:
//     =  in front: is written
//     p  predicate    h  register of 16 bits    w  of 32    l  of 64; the last three and p may be
//                     constants, w also a special register or the address of shared memory
//     w2, w4, h4 ..   a vector of so many
//     w|p             a register and a predicate, both written
//     s g c           an address in shared memory, in device memory, of a parameter
//     #               a plain number        @  a label
struct Form {
    std::string name;
    std::string operands;
    Run run;
    enum class Flow : std::uint8_t { next, jump, branch, end } flow = Flow::next;
};
std::vector<Form> integer_forms();
std::vector<Form> float_forms();
std::vector<Form> conversion_forms();
std::vector<Form> comparison_forms();
std::vector<Form> memory_forms();
std::vector<Form> copy_forms();
std::vector<Form> warp_forms();
std::vector<Form> product_forms();
std::vector<Form> control_forms();
// All of these.
const std::vector<Form>& forms();

// Throws the simt::Failure that names kernel, line of the PTX and of the source, block and lanes.
[[noreturn]] void fail(const Warp& warp, const Instruction& instruction, simt::Finding finding,
                       Mask lanes, const std::string& what);

} // namespace ptx
