// What `make install` puts on a machine, and what the container file asks for.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "host/run/version.h"
#include "tests/host/cli/matches.h"
#include "tests/host/cli/shell.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

namespace fs = std::filesystem;

std::set<std::string> files_below(const fs::path& folder) {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            files.insert(fs::relative(entry.path(), folder).string());
        }
    }
    return files;
}

class Installed : public ::testing::Test {
  protected:
    // The program that is tested, as it is: -o keeps make from building it.
    Outcome make(const std::string& target) const {
        return shell("make --no-print-directory -o build/patchforge-cpu " + target +
                     " INSTALLED=build/patchforge-cpu PREFIX=/usr DESTDIR='" +
                     folder_.path().string() + "/some where'");
    }
    void SetUp() override {
        const Outcome outcome = make("install");
        ASSERT_EQ(outcome.status, 0) << outcome.text;
    }
    fs::path root() const { return folder_ / "some where/usr"; }
    // What the shell offers at the end of a call.
    std::set<std::string> completed(const std::string& words) const {
        const Outcome outcome = shell(
            "bash -c '. \"" + (root() / "share/bash-completion/completions/patchforge").string() +
            "\"; COMP_WORDS=(patchforge " + words +
            "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _patchforge; "
            "printf \"%s\\n\" \"${COMPREPLY[@]}\"'");
        EXPECT_EQ(outcome.status, 0) << outcome.text;
        std::istringstream lines(outcome.text);
        std::set<std::string> offered;
        for (std::string line; std::getline(lines, line);) {
            offered.insert(line);
        }
        offered.erase("");
        return offered;
    }

  private:
    TemporaryFolder folder_;
};

// As the container file and a machine without nvcc do it: what stands for the kernels of CUDA is said by a file of its own.
TEST(Build, BeginsWithNothing) {
    const TemporaryFolder folder;
    const std::string build = (folder.path() / "b").string();
    const Outcome outcome =
        shell("make -n --no-print-directory NVCC= B=" + build + " " + build + "/patchforge");
    EXPECT_EQ(outcome.status, 0) << outcome.text.substr(
        outcome.text.size() < 400 ? 0 : outcome.text.size() - 400);
}

TEST_F(Installed, ProgramPagesAndLicenceComeAndGo) {
    const Outcome program = shell("'" + (root() / "bin/patchforge").string() + "' --version");
    EXPECT_EQ(program.text, version_text() + "\n");
    EXPECT_EQ(contents(root() / "share/doc/patchforge/LICENSE"), contents("LICENSE"));
    const fs::path pages = root() / "share/man/man1";
    // Every verb of the list has its page, and every option of a verb's help stands in it.
    const std::string all = contents(pages / "patchforge.1");
    int verbs = 0;
    for (std::string name : matches(all, "\n\\\\fB(patchforge[^\n]*)\\\\fR\\(1\\)")) {
        std::erase(name, '\\');
        EXPECT_TRUE(fs::exists(pages / (name + ".1"))) << name;
        ++verbs;
    }
    EXPECT_GE(verbs, 19);
    const std::string attack = contents(pages / "patchforge-attack.1");
    for (const char* part : {".TH PATCHFORGE\\-ATTACK 1", "\n.SS Attack\n", "\\fB\\-\\-eps\\fR",
                             ".SH EXAMPLES", "\npatchforge attack \\-\\-model runs/classifier"}) {
        EXPECT_NE(attack.find(part), std::string::npos) << part;
    }
    if (shell("command -v groff").status == 0) {
        for (const auto& page : fs::directory_iterator(pages)) {
            EXPECT_EQ(shell("groff -man -ww -z '" + page.path().string() + "'").text, "")
                << page.path();
        }
    }
    const Outcome gone = make("uninstall");
    EXPECT_EQ(gone.status, 0) << gone.text;
    EXPECT_EQ(files_below(root()), std::set<std::string>());
}

TEST_F(Installed, CompletesVerbsOptionsAndValues) {
    EXPECT_EQ(completed("tr"), (std::set<std::string>{"train", "translate"}));
    EXPECT_EQ(completed("train d"), (std::set<std::string>{"detector"}));
    EXPECT_EQ(completed("train gan --hidden-dims-"),
              (std::set<std::string>{"--hidden-dims-d", "--hidden-dims-g"}));
    EXPECT_EQ(completed("attack --dev"), (std::set<std::string>{"--device"}));
    EXPECT_EQ(completed("attack --device c"), (std::set<std::string>{"cpu", "cuda"}));
    EXPECT_TRUE(completed("train gan --preset i").contains("idc"));
    EXPECT_EQ(completed("attack --data x"), std::set<std::string>()); // files, by bash itself
}

// The libraries that the program needs come from packages that the container file installs.
TEST(Container, RuntimeHoldsTheProgramsLibraries) {
    if (shell("command -v dpkg && command -v readelf").status != 0) {
        GTEST_SKIP() << "needs dpkg and readelf to find the packages of libraries";
    }
    const std::string file = contents("Containerfile");
    const Outcome needed = shell("readelf -d build/patchforge-cpu");
    int checked = 0;
    for (const std::string& name : matches(needed.text, "Shared library: \\[(lib[^\\]]*)\\]")) {
        if (name.starts_with("libmpi")) {
            continue; // optional, and not in the images
        }
        const Outcome owner = shell("dpkg -S \"*/" + name + "\" | sed 's/:.*//' | sort -u");
        bool installed = false;
        std::istringstream packages(owner.text);
        for (std::string package; packages >> package;) {
            // These are on every Debian.
            installed = installed || package == "libc6" || package == "libgcc-s1" ||
                        package == "libstdc++6" || file.find(' ' + package) != std::string::npos;
        }
        EXPECT_TRUE(installed) << name << " is in none of the packages: " << owner.text;
        ++checked;
    }
    EXPECT_GE(checked, 6);
}

// The version is written once; CHANGELOG.md begins with it.
TEST(Version, IsTheNewestOfTheChanges) {
    const std::string changes = contents("CHANGELOG.md");
    EXPECT_EQ(changes.substr(changes.find("\n## "), 4 + version().size()), "\n## " + version());
}

} // namespace
} // namespace patchforge
