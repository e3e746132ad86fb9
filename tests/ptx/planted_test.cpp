// The interpreter is tested by faults put into PTX on purpose: each must be noticed, and the kernel
// without the fault must not be suspected.
#include "tests/ptx/decode.h"
#include "tests/ptx/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <ostream>

namespace ptx {
namespace {

constexpr unsigned threads = 64;
constexpr unsigned rows = 3 * threads - 5; // the last block has a tail
constexpr float scale = 1.1f;

// A block copies 64 vectors of four to shared memory; each thread sums the one that a thread of the
// other warp copied, adds its neighbour's sum by a shuffle, and stores scale * sum + 1/3, fused.
const std::string sums = R"(.version 9.0
.target sm_90
.address_size 64
.extern .shared .align 128 .b8 block_memory[];
.visible .entry sums(
	.param .u64 to,
	.param .u64 from,
	.param .u32 rows,
	.param .f32 scale
)
.maxntid 64, 1, 1
{
	.reg .pred %p<4>;
	.reg .f32 %f<12>;
	.reg .b32 %r<12>;
	.reg .b64 %rd<8>;
	griddepcontrol.launch_dependents;
	griddepcontrol.wait;
	ld.param.u64 %rd1, [to];
	ld.param.u64 %rd2, [from];
	ld.param.u32 %r1, [rows];
	ld.param.f32 %f8, [scale];
	mov.u32 %r2, %tid.x;
	mov.u32 %r3, %ctaid.x;
	mov.u32 %r4, %ntid.x;
	mad.lo.s32 %r5, %r3, %r4, %r2;
	mul.wide.u32 %rd3, %r5, 16;
	add.s64 %rd4, %rd2, %rd3;
	mov.u32 %r6, block_memory;
	shl.b32 %r7, %r2, 4;
	add.s32 %r8, %r6, %r7;
	setp.lt.u32 %p1, %r5, %r1;
	selp.b32 %r9, 16, 0, %p1;
	cp.async.cg.shared.global [%r8], [%rd4], 16, %r9;
	cp.async.commit_group;
	cp.async.wait_group 0;
	bar.sync 0;
	xor.b32 %r10, %r7, 512;
	add.s32 %r10, %r6, %r10;
	ld.shared.v4.f32 {%f1, %f2, %f3, %f4}, [%r10];
	add.f32 %f5, %f1, %f2;
	add.f32 %f6, %f3, %f4;
	add.f32 %f5, %f5, %f6;
	mov.b32 %r11, %f5;
	shfl.sync.bfly.b32 %r11, %r11, 1, 31, -1;
	mov.b32 %f7, %r11;
	add.f32 %f5, %f5, %f7;
	fma.rn.f32 %f5, %f5, %f8, 0f3EAAAAAB;
	setp.ge.u32 %p2, %r5, %r1;
	@%p2 bra $end;
	mul.wide.u32 %rd5, %r5, 4;
	add.s64 %rd6, %rd1, %rd5;
	st.global.f32 [%rd6], %f5;
$end:
	ret;
}
)";

// What `sums` computes for these rows, in the order of its operations.
std::vector<float> expected(const std::vector<float>& from) {
    std::vector<float> sum(3 * threads), to(rows);
    for (unsigned n = 0; n < 3 * threads; ++n) {
        const unsigned other = n ^ 32;
        const float* v = &from[4 * other];
        sum[n] = other < rows ? (v[0] + v[1]) + (v[2] + v[3]) : 0.0f;
    }
    for (unsigned n = 0; n < rows; ++n) {
        to[n] = std::fma(sum[n] + sum[n ^ 1], scale, 0x1.555556p-2f);
    }
    return to;
}

struct Buffer {
    explicit Buffer(std::size_t bytes) { cudaMalloc(&start, bytes); }
    ~Buffer() { cudaFree(start); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    void* start = nullptr;
};

struct Outcome {
    std::optional<simt::Finding> finding;
    bool unreadable = false; // TextError
    bool right = false;      // every bit
    std::string text;
};

Outcome run_sums(const std::string& text, bool overlaps = true) {
    std::vector<float> from(4 * rows);
    for (std::size_t n = 0; n < from.size(); ++n) {
        from[n] = 1.0f / static_cast<float>(n + 3);
    }
    const Buffer source(from.size() * sizeof(float)), target(rows * sizeof(float));
    std::memcpy(source.start, from.data(), from.size() * sizeof(float));
    std::vector<simt::KernelArgument> arguments = {
        {&target.start, 8, 8}, {&source.start, 8, 8}, {&rows, 4, 4}, {&scale, 4, 4}};
    simt::LaunchGeometry geometry;
    geometry.grid = {3, 1, 1};
    geometry.block = threads;
    geometry.shared_bytes = threads * 16;
    geometry.overlaps = overlaps;
    geometry.name = "sums";
    Outcome outcome;
    try {
        const auto module = parse_text("planted.ptx", text);
        launch(decode(*module, module->entries.front()), geometry, arguments);
        std::vector<float> to(rows);
        std::memcpy(to.data(), target.start, rows * sizeof(float));
        outcome.right = to == expected(from);
    } catch (const simt::Failure& failure) {
        outcome.finding = failure.finding();
        outcome.text = failure.what();
    } catch (const TextError& error) {
        outcome.unreadable = true;
        outcome.text = error.what();
    }
    return outcome;
}

enum class Sign { wrong_values, unreadable, finding };

struct Fault {
    const char* name;
    std::string from, to; // what is replaced in `sums`, once
    Sign sign = Sign::wrong_values;
    simt::Finding finding = simt::Finding::limit;
    std::string says = {}; // what the report has to name
};

void PrintTo(const Fault& fault, std::ostream* out) {
    *out << fault.name;
}

Fault found(const char* name, const std::string& from, const std::string& to, simt::Finding finding,
            const std::string& says) {
    return {name, from, to, Sign::finding, finding, says};
}

const std::vector<Fault>& faults() {
    using simt::Finding;
    static const std::vector<Fault> all = {
        {"CopyNotWaitedFor", "\tcp.async.wait_group 0;\n", ""},
        {"OneGroupTooManyPending", "wait_group 0", "wait_group 1"},
        {"BarrierMissing", "\tbar.sync 0;\n", ""},
        {"RegisterNeverWritten", "\tshl.b32 %r7, %r2, 4;\n", "", Sign::finding, Finding::misaligned,
         "cp.async"},
        {"SumNeverMade", "\tadd.f32 %f6, %f3, %f4;\n", ""},
        {"FusedTakenApart", "\tfma.rn.f32 %f5, %f5, %f8, 0f3EAAAAAB;\n",
         "\tmul.f32 %f5, %f5, %f8;\n\tadd.f32 %f5, %f5, 0f3EAAAAAB;\n"},
        {"RoundedTheOtherWay", "fma.rn.f32", "fma.rz.f32"},
        {"OtherOrderOfTheSum", "\tadd.f32 %f5, %f1, %f2;\n\tadd.f32 %f6, %f3, %f4;\n",
         "\tadd.f32 %f5, %f1, %f4;\n\tadd.f32 %f6, %f3, %f2;\n"},
        {"OtherNeighbour", "%r11, 1, 31", "%r11, 2, 31"},
        {"OwnWarp", "xor.b32 %r10, %r7, 512", "xor.b32 %r10, %r7, 256"},
        found("LanesNotNamed", "31, -1", "31, 65535", Finding::lane_mask, "shfl.sync.bfly.b32"),
        found("BarrierInABranch", "\tbar.sync 0;\n",
              "\tsetp.lt.u32 %p3, %r2, 16;\n\t@%p3 bra $skip;\n\tbar.sync 0;\n$skip:\n",
              Finding::divergent_barrier, "planted.ptx:39: bar.sync 0"),
        found("WarpsAtTwoBarriers", "\tbar.sync 0;\n",
              "\tsetp.lt.u32 %p3, %r2, 32;\n\t@%p3 bra $one;\n\tbar.sync 0;\n\tbra $both;\n"
              "$one:\n\tbar.sync 1;\n$both:\n",
              Finding::divergent_barrier, "bar.sync 1"),
        found("ShuffleInABranch", "\tshfl.sync.bfly.b32 %r11, %r11, 1, 31, -1;\n",
              "\tsetp.lt.u32 %p3, %r2, 16;\n\t@%p3 bra $skip;\n"
              "\tshfl.sync.bfly.b32 %r11, %r11, 1, 31, -1;\n$skip:\n",
              Finding::lane_mask, "come together"),
        found("TailNotGuarded", "\t@%p2 bra $end;\n", "", Finding::out_of_bounds,
              "at byte 748 of a buffer of 748 bytes"),
        found("GuardOffByOne", "setp.ge.u32 %p2", "setp.gt.u32 %p2", Finding::out_of_bounds,
              "threads 59:"),
        found("OffsetMisaligned", "[%rd4], 16", "[%rd4+4], 16", Finding::misaligned, "[%rd4+4]"),
        found("VectorMisaligned", "%f4}, [%r10]", "%f4}, [%r10+8]", Finding::misaligned,
              "16 bytes"),
        found("PastSharedMemory", "%f4}, [%r10]", "%f4}, [%r10+16]", Finding::out_of_bounds,
              "of 1024 bytes of shared memory"),
        found("AddressPastAllNumbers", "add.s64 %rd6, %rd1, %rd5", "sub.s64 %rd6, %rd5, 4",
              Finding::out_of_bounds, "st.global.f32"),
        found("SharedAddressLost", "add.s32 %r8, %r6, %r7", "add.s32 %r8, 0, %r7",
              Finding::out_of_bounds, "shared memory"),
        found("TooManyValidBytes", "selp.b32 %r9, 16, 0", "selp.b32 %r9, 32, 0", Finding::limit,
              "32 bytes"),
        found("CopyPastTheInput", "selp.b32 %r9, 16, 0", "selp.b32 %r9, 16, 16",
              Finding::out_of_bounds, "cp.async"),
        found("ParameterOfOtherSize", ".param .u32 rows", ".param .u64 rows", Finding::limit,
              "parameter 2 has 8 bytes"),
        found("ParameterOfOtherAlignment", ".param .u32 rows", ".param .align 1 .b8 rows[4]",
              Finding::limit, "aligned to 1"),
        found("ParameterTooMany", ".param .f32 scale\n", ".param .f32 scale,\n.param .u32 more\n",
              Finding::limit, "5 parameters"),
        found("FewerThreadsCompiledFor", ".maxntid 64", ".maxntid 32", Finding::limit,
              "64 threads"),
        found("PredecessorNotWaitedFor", "\tgriddepcontrol.wait;\n", "", Finding::overlap,
              "before griddepcontrol.wait"),
        found(
            "LoadAheadOfTheWait", "\tgriddepcontrol.wait;\n",
            "\tld.param.u64 %rd2, [from];\n\tld.global.f32 %f1, [%rd2];\n\tgriddepcontrol.wait;\n",
            Finding::overlap, "ld.global.f32"),
        found("LoopWithoutEnd", "\t@%p2 bra $end;\n", "$again:\n\tbra $again;\n", Finding::deadlock,
              "still running"),
        found("WaitsForNobody", "\tbar.sync 0;\n",
              "\tld.global.u32 %r3, [%rd1];\n$again:\n\tnanosleep.u32 20;\n"
              "\tsetp.ne.u32 %p3, %r3, 0;\n\t@%p3 bra $again;\n",
              Finding::deadlock, "nobody can go on"),
        {"ParameterOffsetOutside", "[rows]", "[rows+4]", Sign::unreadable, {}, "bytes 4 to 8"},
        {"UnknownOpcode", "xor.b32", "lop3.b32", Sign::unreadable, {}, "'lop3.b32'"},
        {"RegisterOfOtherWidth",
         "xor.b32 %r10, %r7",
         "xor.b32 %r10, %rd7",
         Sign::unreadable,
         {},
         "not with these operands"},
        {"LabelNowhere", "bra $end", "bra $elsewhere", Sign::unreadable, {}, "label"},
    };
    return all;
}

class PtxPlanted : public ::testing::TestWithParam<Fault> {};

TEST_P(PtxPlanted, IsNoticed) {
    const Fault& fault = GetParam();
    std::string text = sums;
    const auto at = text.find(fault.from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, fault.from.size(), fault.to);
    const Outcome outcome = run_sums(text);
    EXPECT_FALSE(outcome.right);
    EXPECT_EQ(outcome.unreadable, fault.sign == Sign::unreadable) << outcome.text;
    EXPECT_EQ(outcome.finding.has_value(), fault.sign == Sign::finding) << outcome.text;
    if (outcome.finding && fault.sign == Sign::finding) {
        EXPECT_STREQ(simt::name_of(*outcome.finding), simt::name_of(fault.finding)) << outcome.text;
    }
    EXPECT_NE(outcome.text.find(fault.says), std::string::npos) << outcome.text;
}
INSTANTIATE_TEST_SUITE_P(Every, PtxPlanted, ::testing::ValuesIn(faults()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(PtxPlanted, TheKernelWithoutAFaultIsRight) {
    for (const char* schedule : {"forward", "reverse", "random:1"}) {
        simt::set_schedule(simt::parse_schedule(schedule));
        const Outcome outcome = run_sums(sums);
        EXPECT_TRUE(outcome.right) << schedule << ": " << outcome.text;
    }
    simt::set_schedule({});
}

// Before compute capability 9.0 there is nothing to wait for, and a launch that does not overlap
// needs no wait.
TEST(PtxPlanted, WithoutOverlapNothingHasToWait) {
    std::string text = sums;
    const std::string wait = "\tgriddepcontrol.wait;\n";
    text.erase(text.find(wait), wait.size());
    EXPECT_TRUE(run_sums(text, false).right);
    text.replace(text.find("sm_90"), 5, "sm_80");
    EXPECT_TRUE(run_sums(text, true).right);
}

} // namespace
} // namespace ptx
