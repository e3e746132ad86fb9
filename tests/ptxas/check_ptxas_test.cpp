// tests/check_ptxas.sh on a kernel of three instructions: what holds is accepted, and every kind of
// untrue claim and of worsening is reported.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <sys/wait.h>

#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

struct Answer {
    int status;
    std::string text;
};

class CheckPtxasTest : public ::testing::Test {
  protected:
    CheckPtxasTest() {
        write("budget.txt", "sm_80 20 0 512 yes scale\nsm_90 24 0 512 yes scale\n");
        write("ptx/scale.cu.ptx", "\t.visible .entry scale(\n"
                                  "\t// shared memory of the block: 512 bytes\n"
                                  "\tld.global.nc.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];\n");
        write("logs/scale.cu.o.ptxas", log_of("sm_80", 20, 0) + log_of("sm_90", 24, 0));
        write("sass/scale.cu.sass", machine_code("sm_80") + machine_code("sm_90"));
    }

    static std::string log_of(const std::string& architecture, int registers, int spilled) {
        return "ptxas info    : Compiling entry function 'scale' for '" + architecture +
               "'\n"
               "    0 bytes stack frame, " +
               std::to_string(spilled) +
               " bytes spill stores, 0 bytes spill loads\n"
               "ptxas info    : Used " +
               std::to_string(registers) + " registers, used 0 barriers\n";
    }

    static std::string machine_code(const std::string& architecture, const std::string& more = "") {
        return "arch = " + architecture +
               "\nFunction : scale\n"
               "0000 LDG.E.128.CONSTANT R4, [R2.64]\n"
               "0010 @P0 FFMA R0, R4, R5, R6\n" +
               more;
    }

    void write(const std::string& name, const std::string& text) {
        std::filesystem::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name) << text;
    }

    Answer check(const std::string& claims, const std::string& mode = "check",
                 const std::string& sass = "sass") {
        write("claims.txt", claims);
        const std::string in = folder_.path().string() + "/";
        const std::string command = "tests/check_ptxas.sh " + mode + " " + in + "budget.txt " + in +
                                    "claims.txt " + in + "logs " + in + "ptx " + in + sass +
                                    " 2>&1";
        FILE* pipe = popen(command.c_str(), "r");
        std::string text;
        for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
            text += static_cast<char>(c);
        }
        return {WEXITSTATUS(pclose(pipe)), text};
    }

    void expect_refused(const Answer& answer, const std::string& because) {
        EXPECT_EQ(answer.status, 1) << answer.text;
        EXPECT_NE(answer.text.find(because), std::string::npos) << answer.text;
    }

    TemporaryFolder folder_;
};

const std::string true_claims = "ptx ld\\.global\\.([a-z0-9_:]+\\.)*v4 scale\n"
                                "sm_.* LDG\\.E\\.([A-Z]+\\.)*128 ^scale$\n"
                                "sm_90 FFMA scale\n"
                                "sm_(80|90) !LDL|STL .\n";

TEST_F(CheckPtxasTest, AcceptsWhatHolds) {
    const Answer answer = check(true_claims);
    EXPECT_EQ(answer.status, 0) << answer.text;
    EXPECT_NE(
        answer.text.find("1 claims about instructions hold in the PTX, 3 in the machine code"),
        std::string::npos)
        << answer.text;
}

TEST_F(CheckPtxasTest, ReportsUntrueClaims) {
    expect_refused(check("ptx mma scale\n"), "ptx: scale holds no mma");
    expect_refused(check("ptx !ld\\.global scale\n"), "ptx: scale holds ld");
    expect_refused(check("sm_90 HMMA scale\n"), "sm_90: scale holds no HMMA");
    expect_refused(check("sm_.* !FADD|FFMA scale\n"), "sm_80: scale holds FADD|FFMA");
    expect_refused(check("sm_.* !FFMA shrink\n"), "no kernel is called shrink");
    EXPECT_EQ(check("sm_100 HMMA scale\n").status, 0); // which was not compiled
    expect_refused(check("FFMA scale\n"), "a claim begins with ptx or sm_");
}

// What stands before the wait for the kernel before.
TEST_F(CheckPtxasTest, ReportsWhatComesTooEarly) {
    const auto ptx = [&](const std::string& before, const std::string& after) {
        write("ptx/scale.cu.ptx", "\t.visible .entry scale(\n"
                                  "\t.param .u64 scale_param_0\n"
                                  "\tld.param.u64 \t%rd1, [scale_param_0];\n" +
                                      before + "\tgriddepcontrol.wait;\n" + after +
                                      "\t// shared memory of the block: 512 bytes\n"
                                      "\tst.global.v4.f32 [%rd1], {%f1, %f2, %f3, %f4};\n");
    };
    const auto sass = [&](const std::string& before, const std::string& after) {
        write("sass/scale.cu.sass", machine_code("sm_80") + "arch = sm_90\nFunction : scale\n" +
                                        before + "0010 ACQBULK\n" + after);
    };
    const std::string claims = "ptx !early:(ld\\.[^pc]|st\\.|bra) .\n"
                               "sm_90 !early:(LDG|ST|BRA) .\n"
                               "sm_90 LDG .\n";
    const std::string load = "\tld.global.f32 \t%f1, [%rd1];\n",
                      load_code = "0020 LDG.E R0, [R2]\n";
    ptx("", load);
    sass("0000 LDC.64 R2, c[0x0][0x210]\n", load_code);
    EXPECT_EQ(check(claims).status, 0) << check(claims).text;
    ptx(load, "");
    expect_refused(check(claims), "ptx: scale holds early:");
    ptx("\t@%p1 bra \t$L__BB0_2;\n", load);
    expect_refused(check(claims), "ptx: scale holds early:");
    ptx("", load);
    sass("0008 @P0 LDG.E R0, [R2]\n", load_code);
    expect_refused(check(claims), "sm_90: scale holds early:");
    sass(load_code, "");
    expect_refused(check(claims), "sm_90: scale holds early:");
}

TEST_F(CheckPtxasTest, ReportsAClaimThatOneArchitectureBreaks) {
    write("sass/scale.cu.sass",
          machine_code("sm_80", "0020 STL [R1], R2\n") + machine_code("sm_90"));
    const Answer answer = check(true_claims);
    expect_refused(answer, "sm_80: scale holds LDL|STL");
    EXPECT_EQ(answer.text.find("sm_90"), std::string::npos) << answer.text;
}

TEST_F(CheckPtxasTest, SaysWhenMachineCodeWasNotChecked) {
    const Answer answer = check(true_claims, "check", "absent");
    EXPECT_EQ(answer.status, 0) << answer.text;
    EXPECT_NE(answer.text.find("not checked: no cuobjdump"), std::string::npos) << answer.text;
}

TEST_F(CheckPtxasTest, ReportsWhatGotWorse) {
    write("logs/scale.cu.o.ptxas", log_of("sm_80", 21, 0) + log_of("sm_90", 24, 0));
    expect_refused(check(true_claims), "+ sm_80 21 0 512 yes scale");
    write("logs/scale.cu.o.ptxas", log_of("sm_80", 20, 0) + log_of("sm_90", 24, 4));
    expect_refused(check(true_claims), "+ sm_90 24 4 512 yes scale");
}

TEST_F(CheckPtxasTest, LeavesArchitecturesAloneThatWereNotCompiled) {
    write("logs/scale.cu.o.ptxas", log_of("sm_90", 23, 0));
    EXPECT_EQ(check(true_claims).status, 0);
    EXPECT_EQ(check(true_claims, "write").status, 0);
    EXPECT_EQ(contents(folder_ / "budget.txt"),
              "sm_80 20 0 512 yes scale\nsm_90 23 0 512 yes scale\n");
}

} // namespace
} // namespace patchforge
