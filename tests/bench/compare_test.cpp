// bench/peers/compare.py with programs that stand in for ours and for a peer.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// Ours notes every question, and fails at batch 2 while "broken" is there.
const std::string ours = R"(#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --batches) batch=$2 ;; --json) lines=$2 ;; esac
    shift
done
here=$(dirname "$0")
echo $batch >> "$here/asked"
[ $batch = 2 ] && [ -e "$here/broken" ] && exit 1
echo '{"commit": "c", "device": "d", "network": ["4>1"], "method": "", "ms": 1.5}' > $lines
)";
const std::string peer = R"(#!/bin/sh
while read question; do
    echo '{"program": "peer 9", "method": "", "ms": 3.0}'
    echo '{}'
done
)";

TEST(Compare, GoesOnAfterACallThatWasCut) {
    if (std::system("python3 --version > /dev/null 2>&1") != 0) {
        GTEST_SKIP() << "python3 is not here";
    }
    const TemporaryFolder folder;
    put(folder / "iteration", ours);
    put(folder / "peer", peer);
    put(folder / "broken", "");
    for (const char* program : {"iteration", "peer"}) {
        std::filesystem::permissions(folder / program, std::filesystem::perms::owner_all);
    }
    const std::string in = folder.path().string(), page = in + "/page.md";
    const auto call = [&](const std::string& more = "") {
        std::filesystem::remove(folder / "asked");
        return std::system(
            ("python3 bench/peers/compare.py --bench gan --batches 1,2 --rounds 2 --ours " + in +
             " --python " + in + "/peer --out " + page + more + " > " + in + "/said 2>&1")
                .c_str());
    };
    ASSERT_NE(call(), 0);
    EXPECT_NE(contents(folder / "said").find("the same call goes on"), std::string::npos)
        << contents(folder / "said");
    EXPECT_FALSE(std::filesystem::exists(page));
    put(folder / "page.md.kept", contents(page + ".kept") + "{\"network\": \"to"); // cut in a line

    std::filesystem::remove(folder / "broken");
    ASSERT_EQ(call(), 0) << contents(folder / "said");
    EXPECT_EQ(contents(folder / "asked").find('1'), std::string::npos) << "measured again";
    const std::string both = contents(page);
    for (const char* row : {"| 1 | 1.500 (1.500–1.500) | 3.000 (3.000–3.000), **2.00x** |",
                            "| 2 | 1.500 (1.500–1.500) | 3.000 (3.000–3.000), **2.00x** |"}) {
        EXPECT_NE(both.find(row), std::string::npos) << both;
    }
    EXPECT_FALSE(std::filesystem::exists(page + ".kept"));

    // Nothing is kept of a finished call or for another one.
    put(folder / "broken", "");
    ASSERT_NE(call(), 0);
    std::filesystem::remove(folder / "broken");
    ASSERT_EQ(call(" --seconds 2"), 0) << contents(folder / "said");
    EXPECT_NE(contents(folder / "asked").find('1'), std::string::npos) << "taken from another call";
}

} // namespace
} // namespace patchforge
