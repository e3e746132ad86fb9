// Faults put into the shipped PTX itself: operations that run on it must notice. And all of it can be
// read, also what no test launches.
#include "tests/kernels/backends.h"
#include "tests/kernels/comparison.h"
#include "tests/ptx/decode.h"
#include "tests/ptx/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <ostream>

namespace ptx {
namespace {

using patchforge::Backend;
using patchforge::testing::random_values;
using Values = std::vector<float>;

// Floats on the device, with nothing around them that could be touched unseen.
class Array {
  public:
    Array(Backend& backend, const Values& values)
        : backend_(backend), size_(static_cast<std::int64_t>(values.size())),
          start_(static_cast<float*>(backend.allocate(values.size() * sizeof(float)))) {
        backend.upload(start_, values.data(), values.size() * sizeof(float));
    }
    ~Array() { backend_.release(start_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    patchforge::Vector<float> view() const { return {start_, size_}; }
    patchforge::Matrix<float> matrix(std::int64_t rows, std::int64_t columns) const {
        return {start_, rows, columns};
    }
    Values values() const {
        Values values(static_cast<std::size_t>(size_));
        backend_.download(values.data(), start_, values.size() * sizeof(float));
        return values;
    }

  private:
    Backend& backend_;
    std::int64_t size_;
    float* start_;
};

Values unwritten(std::int64_t size) {
    return Values(static_cast<std::size_t>(size), NAN);
}

// Operations, each on whatever backend it is given.

Values forward(Backend& backend, std::int64_t batch, std::int64_t inputs, std::int64_t outputs) {
    const Array x(backend, random_values(1, batch * inputs));
    const Array weight(backend, random_values(2, outputs * inputs));
    const Array y(backend, unwritten(batch * outputs));
    backend.linear_forward(y.matrix(batch, outputs), x.matrix(batch, inputs),
                           weight.matrix(outputs, inputs), {}, {});
    return y.values();
}

Values adam(Backend& backend, std::int64_t size) {
    const Array value(backend, random_values(3, size)), first(backend, random_values(4, size));
    const Array second(backend, random_values(5, size, 0, 1));
    const Array gradient(backend, random_values(6, size));
    backend.adam({value.view(), first.view(), second.view()}, gradient.view(),
                 {.learning_rate = 0.1f});
    Values all = value.values();
    for (const auto& more : {first.values(), second.values()}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}

Values normal(Backend& backend, std::int64_t size) {
    const Array out(backend, unwritten(size));
    backend.fill_normal(out.view(), 0, 1, {.seed = 7});
    return out.values();
}

struct Outcome {
    Values values;
    std::optional<simt::Finding> finding;
    std::string text;
};

struct Fault {
    const char* name;
    const char* file;     // of kernels/cuda
    std::string line;     // what the lines that are changed hold
    std::string from, to; // what is replaced in them; an empty `from`: the line goes
    const char* backend;
    std::function<Values(Backend&)> run;
    std::optional<simt::Finding> finding = std::nullopt; // none: wrong values
};

void PrintTo(const Fault& fault, std::ostream* out) {
    *out << fault.name;
}

const std::vector<Fault>& faults() {
    using simt::Finding;
    const auto lanes_of_forward = [](Backend& b) { return forward(b, 2, 700, 33); };
    const auto split_forward = [](Backend& b) { return forward(b, 3, 7500, 31); };
    const auto tiles_of_forward = [](Backend& b) { return forward(b, 67, 300, 70); };
    const auto ordinary_adam = [](Backend& b) { return adam(b, 1003); };
    const auto vector_adam = [](Backend& b) { return adam(b, 1028); };
    const auto ordinary_normal = [](Backend& b) { return normal(b, 1001); };
    static const std::vector<Fault> all = {
        {"ProductsTakeWordsInAnotherOrder", "linear_forward.cu", "mma.sync.aligned.m16n8k8", "swap",
         "", "cuda_tf32", tiles_of_forward},
        {"PairsTakeWordsInAnotherOrder", "linear_forward.cu", "mma.sync.aligned.m16n8k16", "swap",
         "", "cuda_bf16", tiles_of_forward},
        {"NotRoundedToTf32", "linear_forward.cu", "cvt.rna.tf32.f32", "cvt.rna.tf32.f32", "mov.b32",
         "cuda_tf32", tiles_of_forward},
        {"CopiesNotWaitedFor", "linear_forward.cu", "cp.async.wait_group", "", "", "cuda",
         tiles_of_forward},
        {"AGroupTooManyPending", "linear_forward.cu", "cp.async.wait_group 1", "group 1", "group 2",
         "cuda", tiles_of_forward},
        {"BarriersMissing", "linear_forward.cu", "bar.sync", "", "", "cuda", tiles_of_forward},
        {"TailsCopiedWhole", "linear_forward.cu", "cp.async.cg", "16, %r", "16, 16;//", "cuda",
         tiles_of_forward, Finding::out_of_bounds},
        {"ShufflesReachTooShort", "linear_forward.cu", "mov.u32", ", 16;", ", 8;", "cuda",
         lanes_of_forward},
        {"BlocksCountedTwice", "linear_forward.cu", "atom.global.add.u32", ", 1;", ", 2;", "cuda",
         split_forward},
        {"BetasFromAnotherOffset", "adam.cu", "_param_3+8]", "_param_3+8]", "_param_3]", "cuda",
         ordinary_adam},
        {"MomentsNotStored", "adam.cu", "st.global.cs", "", "", "cuda", vector_adam},
        {"SecondMomentForTheFirst", "adam.cu", "_param_0+16]", "_param_0+16]", "_param_0+32]",
         "cuda", ordinary_adam},
        {"GuardOffByOne", "adam.cu", "setp.ge.s64", "setp.ge.s64", "setp.gt.s64", "cuda",
         vector_adam, Finding::out_of_bounds},
        {"ParameterGrown", "adam.cu", ".b8", "_param_3[32]", "_param_3[40]", "cuda", ordinary_adam,
         Finding::limit},
        {"PredecessorNotWaitedFor", "adam.cu", "griddepcontrol.wait", "", "", "cuda", ordinary_adam,
         Finding::overlap},
        {"KeyOfPhiloxSteppedWrong", "noise.cu", "-1640531527", "-1640531527", "-1640531526", "cuda",
         ordinary_normal},
    };
    return all;
}

// {a, b, c, d} of the second operand becomes {a, c, b, d}.
void swap_middle(std::string& line) {
    const auto start = line.find('{', line.find('}'));
    const auto first = line.find(',', start), second = line.find(',', first + 1);
    const auto third = line.find(',', second + 1);
    const std::string b = line.substr(first, second - first),
                      c = line.substr(second, third - second);
    line.replace(first, third - first, c + b);
}

std::unique_ptr<Module> with_fault(const Module& module, const Fault& fault) {
    std::string text;
    unsigned changed = 0;
    std::istringstream lines(module.text);
    for (std::string line; std::getline(lines, line);) {
        if (line.find(fault.line) != std::string::npos) {
            const std::string before = line;
            const auto at = line.find(fault.from);
            if (fault.from == "swap") {
                swap_middle(line);
            } else if (fault.from.empty()) {
                line.clear();
            } else if (at != std::string::npos) {
                line.replace(at, fault.from.size(), fault.to);
            }
            changed += line != before;
        }
        text += line + "\n";
    }
    EXPECT_GT(changed, 0u) << "the PTX holds nothing to put this fault into";
    return parse_text(module.path, std::move(text));
}

Outcome run_on(const char* backend_name, const Fault& fault) {
    Outcome outcome;
    const auto backend = patchforge::testing::make_backend_under_test(backend_name);
    try {
        outcome.values = fault.run(*backend);
    } catch (const simt::Failure& failure) {
        outcome.finding = failure.finding();
        outcome.text = failure.what();
    }
    return outcome;
}

bool agree(const Values& got, const Values& expected) {
    for (std::size_t n = 0; n < got.size() && n < expected.size(); ++n) {
        if (!(std::fabs(got[n] - expected[n]) <= 1e-4f * (1 + std::fabs(expected[n])))) {
            return false;
        }
    }
    return got.size() == expected.size();
}

class PtxShippedFault : public ::testing::TestWithParam<Fault> {};

TEST_P(PtxShippedFault, IsNoticed) {
    const Fault& fault = GetParam();
    const Module* module = nullptr;
    for (const auto& candidate : shipped_library().modules()) {
        module = candidate->path.ends_with("/" + std::string(fault.file) + ".ptx") ? candidate.get()
                                                                                   : module;
    }
    ASSERT_NE(module, nullptr) << fault.file;
    if (fault.finding == simt::Finding::overlap && module->target < 90) {
        GTEST_SKIP() << "before compute capability 9.0 no kernel overlaps another";
    }
    const std::string backend = fault.backend;
    const Outcome expected = run_on(("cpu" + backend.substr(4)).c_str(), fault);
    const Outcome right = run_on(fault.backend, fault);
    EXPECT_TRUE(agree(right.values, expected.values)) << right.text;

    std::vector<std::unique_ptr<Module>> modules;
    modules.push_back(with_fault(*module, fault));
    Library faulty(std::move(modules));
    run_instead(&faulty);
    const Outcome wrong = run_on(fault.backend, fault);
    run_instead(nullptr);
    EXPECT_FALSE(agree(wrong.values, expected.values));
    EXPECT_EQ(wrong.finding.has_value(), fault.finding.has_value()) << wrong.text;
    if (wrong.finding && fault.finding) {
        EXPECT_STREQ(simt::name_of(*wrong.finding), simt::name_of(*fault.finding)) << wrong.text;
        const std::string file = fault.file;
        EXPECT_NE(wrong.text.find("kernels/cuda/" + file + ".ptx"), std::string::npos)
            << wrong.text;
        EXPECT_TRUE(wrong.text.starts_with("kernels/cuda/") ||
                    fault.finding == simt::Finding::limit)
            << "the line of the source is missing: " << wrong.text;
    }
}
INSTANTIATE_TEST_SUITE_P(Every, PtxShippedFault, ::testing::ValuesIn(faults()),
                         [](const auto& info) { return std::string(info.param.name); });

// Of the tests that $PATCHFORGE_PTX_ALL selects, every kernel has to be launched by one.
class EveryKernelIsLaunched : public ::testing::Environment {
    void TearDown() override {
        const char* all = std::getenv("PATCHFORGE_PTX_ALL");
        if (all && ::testing::GTEST_FLAG(filter) == all) {
            for (const std::string& name : shipped_library().unused()) {
                ADD_FAILURE() << "no test launches " << name;
            }
        }
    }
};
[[maybe_unused]] const auto* const every_kernel_is_launched =
    ::testing::AddGlobalTestEnvironment(new EveryKernelIsLaunched);

TEST(PtxShipped, EveryEntryCanBeRead) {
    std::size_t entries = 0;
    for (const auto& module : shipped_library().modules()) {
        for (const Entry& entry : module->entries) {
            const Kernel kernel = decode(*module, entry);
            EXPECT_FALSE(kernel.code.empty()) << entry.name;
            EXPECT_EQ(kernel.waits_for_predecessor, module->target >= 90) << entry.name;
            ++entries;
        }
    }
    EXPECT_GT(entries, 100u);
}

} // namespace
} // namespace ptx
