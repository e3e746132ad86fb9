// Every form of an instruction, alone in a kernel, against what tests/ptx/statements.h says of it;
// and on a GPU, where there is one, against what the interpreter made of it.
#include "tests/ptx/statements.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <set>

namespace ptx {
namespace {

constexpr unsigned warps = 8;
constexpr unsigned target = 80; // the oldest whose PTX is shipped

// These have no result of their own; control_test.cpp shows what they do.
const std::set<std::string> without_result = {
    "bra",
    "bra.uni",
    "ret",
    "bar.sync",
    "membar.gl",
    "nanosleep.u32",
    "griddepcontrol.launch_dependents",
    "griddepcontrol.wait",
    "cp.async.commit_group",
    "cp.async.wait_group",
};

class Operands {
  public:
    explicit Operands(std::uint64_t seed) : random_(seed) {}

    // One thread's operand of this shape.
    void fill(Slots& slots, unsigned operand, const std::string& shape, const Form& form,
              Values values) {
        const unsigned count = shape.size() > 1 ? static_cast<unsigned>(shape[1] - '0') : 1;
        for (unsigned n = 0; n < count; ++n) {
            if (shape[0] == 'p') {
                slots.set(operand, static_cast<std::uint32_t>(random_() % 2));
            } else if (shape == "g" || shape == "s" || shape == "c") {
                for (auto& word : slots.slot[operand]) {
                    word = static_cast<std::uint32_t>(random_());
                }
            } else if (shape[0] == 'w') {
                slots.set(operand, single(form, values), n);
            } else if (shape[0] == 'h') {
                slots.set(operand, static_cast<std::uint16_t>(whole(values)), n);
            } else {
                slots.set(operand, twice(form, values), n);
            }
        }
        if (values == Values::divisors && operand == 1 && slots.get<std::uint64_t>(1) << 32 == 0) {
            slots.set(1, std::uint64_t{3});
        }
    }

    std::uint64_t word() { return random_(); }

  private:
    std::uint64_t whole(Values values) {
        static constexpr std::uint64_t telling[] = {0,
                                                    1,
                                                    2,
                                                    7,
                                                    8,
                                                    15,
                                                    16,
                                                    17,
                                                    31,
                                                    32,
                                                    33,
                                                    63,
                                                    64,
                                                    65,
                                                    0x7f,
                                                    0x80,
                                                    0xff,
                                                    0x7fff,
                                                    0x8000,
                                                    0xffff,
                                                    0x7fffffff,
                                                    0x80000000,
                                                    0xffffffff,
                                                    0x100000000,
                                                    0x7fffffffffffffff,
                                                    0x8000000000000000,
                                                    0xffffffffffffffff};
        // The one quotient that does not fit is left out: no -1.
        const std::uint64_t value =
            random_() % 2 ? telling[random_() % std::size(telling)] : random_() >> random_() % 64;
        return values == Values::divisors ? (value & 0x7fff7fff7fff7fff) | 1 : value;
    }

    double moderate() {
        const double size = std::ldexp(1 + static_cast<double>(random_() >> 11) * 0x1p-53,
                                       static_cast<int>(random_() % 24) - 12);
        return random_() % 2 ? size : -size;
    }

    static bool is_real(const Form& form) {
        return form.name.ends_with("f32") || form.name.ends_with("f64") ||
               form.name.ends_with("pred");
    }

    std::uint32_t single(const Form& form, Values values) {
        constexpr float largest = std::numeric_limits<float>::max();
        constexpr float infinity = std::numeric_limits<float>::infinity();
        static constexpr float telling[] = {
            0.0f,          -0.0f,          1.0f,          -1.0f,
            0.5f,          1.5f,           2.5f,          -2.5f,
            0x1p-149f,     -0x1p-130f,     0x1p-126f,     largest,
            -largest,      infinity,       -infinity,     std::numeric_limits<float>::quiet_NaN(),
            2147483648.0f, -2147483648.0f, 4294967296.0f, 0x1.001p0f,
            0x1.003p0f,    0x1.01p0f,      0x1.03p0f,     1e30f,
            126.5f,        -126.5f,        -140.0f};
        if (!is_real(form)) {
            return static_cast<std::uint32_t>(whole(values));
        }
        const bool tell = values == Values::any && random_() % 2;
        const float value =
            tell ? telling[random_() % std::size(telling)] : static_cast<float>(moderate());
        std::uint32_t bits;
        std::memcpy(&bits, &value, 4);
        return bits;
    }

    std::uint64_t twice(const Form& form, Values values) {
        constexpr double largest = std::numeric_limits<double>::max();
        constexpr double infinity = std::numeric_limits<double>::infinity();
        static constexpr double telling[] = {
            0.0,           -0.0,          1.0,
            -1.0,          0.5,           1.5,
            2.5,           -2.5,          0x1p-1074,
            0x1p-1022,     largest,       -largest,
            infinity,      -infinity,     std::numeric_limits<double>::quiet_NaN(),
            0x1p31,        -0x1p31,       0x1p32,
            0x1p63,        0x1p64,        1e300,
            0x1.0000010p0, 0x1.0000030p0, 3.4028235677973366e38};
        if (!is_real(form)) {
            return whole(values);
        }
        const bool tell = values == Values::any && random_() % 2;
        const double value = tell ? telling[random_() % std::size(telling)] : moderate();
        std::uint64_t bits;
        std::memcpy(&bits, &value, 8);
        return bits;
    }

    std::mt19937_64 random_;
};

struct Trial {
    std::vector<Slots> in, out; // out: what the memory holds before
    Slot16 data;
};

Trial trial(const Form& form, const OneInstruction& kernel, Values values, std::uint64_t seed) {
    Operands operands(seed);
    Trial made{std::vector<Slots>(warps * lanes), std::vector<Slots>(warps * lanes), {}};
    for (auto& word : made.data) {
        word = static_cast<std::uint32_t>(operands.word());
    }
    for (unsigned warp = 0; warp < warps; ++warp) {
        const std::uint64_t chosen = operands.word();
        for (unsigned l = 0; l < lanes; ++l) {
            Slots& slots = made.in[warp * lanes + l];
            for (unsigned n = 0; n < kernel.sources.size(); ++n) {
                operands.fill(slots, n, kernel.sources[n], form, values);
            }
            if (form.name.starts_with("shfl")) {
                slots.set(1, std::uint32_t{1} << chosen % 5);
                slots.set(2, (32u - (32u >> chosen / 8 % 3)) << 8 | 31u);
                slots.set(3, all_lanes);
            } else if (form.name.starts_with("vote")) {
                slots.set(1, all_lanes);
            } else if (form.name.starts_with("bar.red") && warp % 2) {
                slots.set(0, std::uint32_t{0});
            } else if (form.name.starts_with("cp.async")) {
                const unsigned bytes = form.name.starts_with("cp.async.cg") ? 16 : 4;
                slots.set(1, static_cast<std::uint32_t>(operands.word() % (bytes + 1)));
            }
            if (form.name.find(".bf16.") != std::string::npos) {
                // Two moderate numbers a word: the upper halves of two others.
                for (const unsigned operand : {0u, 1u}) {
                    for (auto& word : slots.slot[operand]) {
                        word = (word & 0xffff0000u) | slots.slot[2][word % 4] >> 16;
                    }
                }
            }
            if (kernel.changes_memory) {
                made.out[warp * lanes + l].slot[memory_slot] = {1, 2, 3, 0xfffffff0u};
            }
        }
    }
    return made;
}

std::vector<Slots> expected(const FormStatement& statement, const Trial& trial) {
    std::vector<Slots> out = trial.out;
    for (unsigned warp = 0; warp < warps; ++warp) {
        statement.expect(std::span(trial.in).subspan(warp * lanes, lanes), trial.data,
                         std::span(out).subspan(warp * lanes, lanes));
    }
    return out;
}

template <class T, class Bits>
bool near(Bits got, Bits want, double ulps, double share, double size) {
    T a, b;
    std::memcpy(&a, &got, sizeof a);
    std::memcpy(&b, &want, sizeof b);
    if (got == want || (std::isnan(a) && std::isnan(b))) {
        return true;
    }
    const double unit = std::fabs(std::nextafter(b, std::numeric_limits<T>::infinity()) - b);
    return std::fabs(double{a} - double{b}) <= ulps * unit + share * size;
}

// The first difference; empty if there is none.
std::string difference(const FormStatement& statement, const std::vector<Slots>& got,
                       const std::vector<Slots>& want, double ulps) {
    for (std::size_t thread = 0; thread < got.size(); ++thread) {
        for (const unsigned slot : {result_slot, predicate_slot, memory_slot}) {
            for (unsigned word = 0; word < 4; ++word) {
                const bool real = slot == result_slot && statement.real != 0;
                bool same = got[thread].slot[slot][word] == want[thread].slot[slot][word];
                if (real && statement.real == 's') {
                    const double size = want[thread].get<float>(memory_slot + 1, word);
                    same = near<float>(got[thread].slot[slot][word], want[thread].slot[slot][word],
                                       ulps, statement.share, size);
                } else if (real) {
                    same =
                        near<double>(got[thread].get<std::uint64_t>(slot, word / 2),
                                     want[thread].get<std::uint64_t>(slot, word / 2), ulps, 0, 0);
                }
                if (!same) {
                    std::ostringstream text;
                    text << "thread " << thread << ", slot " << slot << ", word " << word
                         << ": got " << std::hex << got[thread].slot[slot][word] << ", expected "
                         << want[thread].slot[slot][word];
                    return text.str();
                }
            }
        }
    }
    return {};
}

// Calls test(form, kernel, statement) for each form with a result, in the order of the table.
template <class Test>
void for_each_form(Test test) {
    for (const Form& form : forms()) {
        if (without_result.contains(form.name)) {
            continue;
        }
        SCOPED_TRACE(form.name + " " + form.operands);
        const OneInstruction kernel = one_instruction(form, target);
        const auto statement = statement_of(form, kernel);
        if (!statement) {
            ADD_FAILURE()
                << "nothing says what this form has to compute; add it to statements_*.cpp";
            continue;
        }
        test(form, kernel, *statement);
    }
}

TEST(PtxForms, EachComputesWhatIsSaidOfIt) {
    unsigned forms_seen = 0;
    for_each_form(
        [&](const Form& form, const OneInstruction& kernel, const FormStatement& statement) {
            const std::uint64_t seed = 1000 + forms_seen++;
            const Trial made = trial(form, kernel, statement.values, seed);
            const auto got = interpret(kernel, made.in, made.out, made.data);
            // Approximations are made without error here, so only the last bit of the wider one counts.
            const std::string wrong =
                difference(statement, got, expected(statement, made), statement.ulps > 0 ? 1 : 0);
            EXPECT_TRUE(wrong.empty()) << "seed " << seed << ": " << wrong << "\n" << kernel.text;
        });
    EXPECT_GT(forms_seen, 211u);
}

// Where ptxas stands; empty if it does not.
std::string assembler() {
    std::istringstream folders(std::string(std::getenv("PATH")) + ":/usr/local/cuda/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        if (std::filesystem::exists(folder + "/ptxas")) {
            return folder + "/ptxas";
        }
    }
    return {};
}

// The table holds what NVIDIA's assembler takes, and nothing else.
TEST(PtxForms, EachIsTakenByTheAssembler) {
    const std::string ptxas = assembler();
    if (ptxas.empty()) {
        GTEST_SKIP() << "ptxas is not here";
    }
    const auto path = std::filesystem::path(::testing::TempDir()) /
                      ("patchforge_forms_" + std::to_string(getpid()) + ".ptx");
    std::ofstream module(path);
    unsigned entries = 0;
    for (const Form& form : forms()) {
        if (!without_result.contains(form.name)) {
            const std::string text = one_instruction(form, target).text;
            const auto entry = text.find(".visible");
            const auto parameters = text.find('(', entry);
            module << (entries == 0 ? text.substr(0, entry) : "") << ".visible .entry k" << entries
                   << text.substr(parameters);
            ++entries;
        }
    }
    module.close();
    const std::string command =
        ptxas + " -arch=sm_" + std::to_string(target) + " '" + path.string() + "' -o /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    std::filesystem::remove(path);
}

TEST(PtxForms, EachComputesTheSameOnAGpu) {
    if (const std::string reason = why_no_gpu(); !reason.empty()) {
        GTEST_SKIP() << reason;
    }
    unsigned forms_seen = 0;
    for_each_form(
        [&](const Form& form, const OneInstruction& kernel, const FormStatement& statement) {
            const std::uint64_t seed = 1000 + forms_seen++;
            const Trial made = trial(form, kernel, statement.values, seed);
            // Of a sum in an order of its own the magnitudes come from the statement.
            auto want = interpret(kernel, made.in, made.out, made.data);
            const auto sizes = expected(statement, made);
            for (std::size_t thread = 0; thread < want.size(); ++thread) {
                want[thread].slot[memory_slot + 1] = sizes[thread].slot[memory_slot + 1];
            }
            const auto got = run_on_gpu(kernel, made.in, made.out, made.data);
            const std::string wrong = difference(statement, got, want, statement.ulps);
            EXPECT_TRUE(wrong.empty()) << "seed " << seed << ": " << wrong << "\n" << kernel.text;
        });
}

TEST(PtxForms, AnUnknownOpcodeIsNamed) {
    OneInstruction kernel = one_instruction(forms().front(), target);
    const auto at = kernel.text.find(forms().front().name + " ");
    kernel.text.insert(at, "frob");
    try {
        interpret(kernel, std::vector<Slots>(lanes), std::vector<Slots>(lanes), {});
        FAIL() << "an unknown opcode was run";
    } catch (const TextError& error) {
        EXPECT_NE(std::string(error.what()).find("frob" + forms().front().name), std::string::npos)
            << error.what();
    }
}

} // namespace
} // namespace ptx
