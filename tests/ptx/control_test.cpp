// Which lanes run, who waits for whom, and how places are shared: small kernels whose results are
// plain to see.
#include "tests/ptx/control.h"
#include "tests/ptx/decode.h"
#include "tests/ptx/engine.h"
#include "tests/ptx/registers.h"
#include "tests/ptx/report.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <array>

namespace ptx {
namespace {

// Runs `body` in each thread; what it leaves in %r0 is returned, block by block.
std::vector<std::uint32_t> results(const std::string& body, unsigned threads, unsigned blocks = 1,
                                   bool cooperative = false) {
    const std::string text = R"(.version 9.0
.target sm_80
.address_size 64
.extern .shared .align 128 .b8 memory[];
.visible .entry k(.param .u64 to, .param .u64 counter)
{
	.reg .pred %p<16>;
	.reg .b32 %r<32>;
	.reg .b64 %rd<16>;
	ld.param.u64 %rd0, [to];
	ld.param.u64 %rd1, [counter];
	mov.u32 %r1, %tid.x;
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r0, 0;
)" + body + R"(
	mad.lo.s32 %r4, %r2, %r3, %r1;
	mul.wide.u32 %rd2, %r4, 4;
	add.s64 %rd3, %rd0, %rd2;
	st.global.u32 [%rd3], %r0;
	ret;
}
)";
    const auto module = parse_text("control.ptx", text);
    const std::size_t count = std::size_t{threads} * blocks;
    void* to = nullptr;
    void* counter = nullptr;
    cudaMalloc(&to, count * 4);
    cudaMalloc(&counter, 4);
    std::memset(counter, 0, 4);
    simt::LaunchGeometry geometry;
    geometry.grid = {blocks, 1, 1};
    geometry.block = threads;
    geometry.shared_bytes = 4096;
    geometry.cooperative = cooperative;
    geometry.name = "k";
    std::vector<std::uint32_t> values(count);
    std::string failed;
    try {
        launch(decode(*module, module->entries.front()), geometry, {{&to, 8, 8}, {&counter, 8, 8}});
        std::memcpy(values.data(), to, count * 4);
    } catch (const std::exception& error) {
        failed = error.what();
    }
    cudaFree(to);
    cudaFree(counter);
    EXPECT_EQ(failed, "");
    return values;
}

// A loop that each lane leaves when it has gone round as often as its number says, within a branch
// that every other lane takes; all meet again for the vote.
TEST(PtxControl, LanesThatPartMeetAgain) {
    const auto values = results(R"(
	and.b32 %r5, %r1, 1;
	setp.eq.u32 %p1, %r5, 0;
	@%p1 bra $even;
	mov.u32 %r6, 0;
$loop:
	add.u32 %r0, %r0, 3;
	add.u32 %r6, %r6, 1;
	setp.lt.u32 %p2, %r6, %r1;
	@%p2 bra $loop;
	bra.uni $meet;
$even:
	mov.u32 %r0, 1000;
$meet:
	setp.gt.u32 %p3, %r0, 50;
	vote.sync.ballot.b32 %r7, %p3, -1;
	xor.b32 %r0, %r0, %r7;
)",
                                32);
    std::uint32_t ballot = 0;
    std::array<std::uint32_t, 32> plain{};
    for (std::uint32_t l = 0; l < 32; ++l) {
        plain[l] = l % 2 ? 3 * l : 1000;
        ballot |= std::uint32_t{plain[l] > 50} << l;
    }
    for (std::uint32_t l = 0; l < 32; ++l) {
        EXPECT_EQ(values[l], plain[l] ^ ballot) << l;
    }
}

// A warp that has returned is not waited for.
TEST(PtxControl, WarpsThatReturnAreNotWaitedFor) {
    const auto values = results(R"(
	setp.lt.u32 %p1, %r1, 32;
	@!%p1 bra $stay;
	mul.wide.u32 %rd4, %r1, 4;
	add.s64 %rd5, %rd0, %rd4;
	st.global.u32 [%rd5], 5;
	ret;
$stay:
	bar.sync 0;
	mov.u32 %r0, 9;
)",
                                96);
    for (std::uint32_t l = 0; l < 96; ++l) {
        EXPECT_EQ(values[l], l < 32 ? 5u : 9u) << l;
    }
}

TEST(PtxControl, AGuardHoldsForItsLanesAlone) {
    const auto values = results(R"(
	setp.lt.u32 %p1, %r1, 7;
	mov.u32 %r0, 1;
	@%p1 add.u32 %r0, %r0, 10;
	@!%p1 add.u32 %r0, %r0, 20;
)",
                                32);
    for (std::uint32_t l = 0; l < 32; ++l) {
        EXPECT_EQ(values[l], l < 7 ? 11u : 21u) << l;
    }
}

// One thread of the second warp says yes.
TEST(PtxControl, AVoteOfABlockReachesEveryWarp) {
    const auto values = results(R"(
	setp.eq.u32 %p1, %r1, 40;
	bar.red.or.pred %p2, 0, %p1;
	selp.u32 %r5, 1, 0, %p2;
	setp.eq.u32 %p3, %r1, 200;
	bar.red.or.pred %p4, 0, %p3;
	selp.u32 %r6, 2, 0, %p4;
	or.b32 %r0, %r5, %r6;
)",
                                96);
    EXPECT_EQ(values, std::vector<std::uint32_t>(96, 1));
}

// Every block adds 1 and waits until all have: only a cooperative launch gets past it.
const std::string grid_barrier = R"(
	setp.ne.u32 %p1, %r1, 0;
	@%p1 bra $wait;
	membar.gl;
	atom.global.add.u32 %r5, [%rd1], 1;
$look:
	nanosleep.u32 20;
	ld.volatile.global.u32 %r6, [%rd1];
	setp.lt.u32 %p2, %r6, 4;
	@%p2 bra $look;
$wait:
	bar.sync 0;
	ld.global.cg.u32 %r0, [%rd1];
)";

TEST(PtxControl, BlocksOfACooperativeLaunchWaitForEachOther) {
    EXPECT_EQ(results(grid_barrier, 64, 4, true), std::vector<std::uint32_t>(256, 4));
}

TEST(PtxControl, BlocksOfAPlainLaunchCannotWaitForEachOther) {
    std::string report;
    {
        // results() reports what was thrown as a failure; here that is what is wanted.
        ::testing::TestPartResultArray caught;
        const ::testing::ScopedFakeTestPartResultReporter reporter(
            ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &caught);
        results(grid_barrier, 64, 4, false);
        ASSERT_EQ(caught.size(), 1);
        report = caught.GetTestPartResult(0).message();
    }
    EXPECT_NE(report.find("deadlock"), std::string::npos) << report;
    EXPECT_NE(report.find("nanosleep.u32 20"), std::string::npos) << report;
}

// Two groups: after a wait for all but the youngest only the older has landed.
TEST(PtxControl, CopiesLandGroupByGroup) {
    const auto values = results(R"(
	st.global.u32 [%rd1], 77;
	mov.u32 %r5, memory;
	shl.b32 %r6, %r1, 5;
	add.s32 %r5, %r5, %r6;
	st.shared.u32 [%r5], 1;
	st.shared.u32 [%r5+16], 2;
	and.b64 %rd4, %rd1, -16;
	cp.async.cg.shared.global [%r5], [%rd4], 16, 4;
	cp.async.commit_group;
	cp.async.cg.shared.global [%r5+16], [%rd4], 16, 4;
	cp.async.commit_group;
	cp.async.wait_group 1;
	ld.shared.u32 %r7, [%r5];
	ld.shared.u32 %r8, [%r5+16];
	setp.eq.u32 %p1, %r7, 77;
	setp.eq.u32 %p2, %r8, 77;
	selp.u32 %r9, 1, 0, %p1;
	selp.u32 %r10, 2, 0, %p2;
	cp.async.wait_group 0;
	ld.shared.u32 %r11, [%r5+16];
	setp.eq.u32 %p3, %r11, 77;
	selp.u32 %r12, 4, 0, %p3;
	or.b32 %r0, %r9, %r10;
	or.b32 %r0, %r0, %r12;
)",
                                32);
    EXPECT_EQ(values, std::vector<std::uint32_t>(32, 1 + 4));
}

TEST(PtxControl, NearestPostDominators) {
    // 0 branches to 1 and 2, which meet at 3; 3 loops to 0 or goes to 4, which ends; 5 never ends.
    std::vector<BasicBlock> blocks(6);
    blocks[0].next = {1, 2};
    blocks[1].next = {3};
    blocks[2].next = {3};
    blocks[3].next = {4, 0};
    blocks[5].next = {5};
    EXPECT_EQ(post_dominators(blocks), (std::vector<int>{3, 3, 3, 4, -1, -1}));
}

// 0 and 1 are never needed together; 2 is needed throughout; 3 is read before it is written.
TEST(PtxControl, RegistersShareAPlaceOnlyWhenNeverNeededTogether) {
    const std::vector<Width> widths(4, Width::bits32);
    const std::vector<Access> items = {
        {{}, {2}}, {{}, {0}}, {{0}, {}}, {{}, {1}}, {{1, 2}, {}}, {{3}, {}},
    };
    const BasicBlock all{0, static_cast<int>(items.size()), {}};
    const Places places = assign_places(std::span(&all, 1), items, widths);
    EXPECT_EQ(places.of[0], places.of[1]);
    EXPECT_NE(places.of[2], places.of[0]);
    EXPECT_NE(places.of[3], places.of[0]);
    EXPECT_NE(places.of[3], places.of[2]);
    EXPECT_EQ(places.bytes, 3 * bytes_of(Width::bits32));
}

TEST(PtxControl, NamesAreTheHostCompilers) {
    const std::string device =
        "_ZN10patchforge4cuda39_GLOBAL__N__e9044809_7_adam_cu_1cfaf06f11adam_"
        "kernelILb1EEEvPf";
    const std::string host = "_ZN10patchforge4cuda12_GLOBAL__N_111adam_kernelILb1EEEvPf";
    EXPECT_EQ(host_name(device), host);
    EXPECT_EQ(host_name(host), host);
    EXPECT_EQ(readable_name(host), "adam_kernel");
}

TEST(PtxControl, APlaceIsTheLineOutsideOfWrappers) {
    const auto module = parse_text("places.ptx", R"(.version 9.0
.target sm_80
.address_size 64
.visible .entry k()
{
	.loc 1 10 5
	.loc 2 49 13, function_name $L__info_string2, inlined_at 1 10 5
	.loc 3 273 50, function_name $L__info_string3, inlined_at 2 49 13
	ret;
}
	.file 1 "kernels/cuda/adam.cu"
	.file 2 "kernels/cuda/instructions.h"
	.file 3 "/usr/local/cuda/bin/../targets/x86_64-linux/include/sm_32_intrinsics.hpp"
)");
    const Statement& statement = module->entries.front().statements.front();
    EXPECT_EQ(source_line(*module, statement.location), "kernels/cuda/adam.cu:10");
}

} // namespace
} // namespace ptx
