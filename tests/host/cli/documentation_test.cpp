// What the pages say of the tree and of the Makefile is so.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// Pages and messages send readers to `make <target>`.
TEST(Documentation, MakeTargetsExist) {
    std::set<std::string> targets;
    for (const char* name :
         {"Makefile", "tests/tests.mk", "bench/bench.mk", "kernels/cuda/check.mk"}) {
        std::ifstream makefile(name);
        ASSERT_TRUE(makefile) << name;
        for (std::string line; std::getline(makefile, line);) {
            std::smatch found;
            if (std::regex_search(line, found, std::regex("^([a-z][a-z-]*):"))) {
                targets.insert(found[1]);
            }
        }
    }
    ASSERT_TRUE(targets.contains("run") && targets.contains("test"));
    std::vector<std::filesystem::path> pages = {"README.md", "CONTRIBUTING.md"};
    for (const char* root : {"docs", "host", "data", "bench", "kernels"}) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
            if (entry.is_regular_file()) {
                pages.push_back(entry.path());
            }
        }
    }
    const std::regex call("[`]make ((?:[a-z][a-z-]*[ `]+)+)");
    int calls = 0;
    for (const auto& page : pages) {
        std::ifstream file(page);
        for (std::string line; std::getline(file, line);) {
            for (std::sregex_iterator found(line.begin(), line.end(), call), end; found != end;
                 ++found) {
                std::istringstream words((*found)[1].str());
                std::string target;
                words >> target;
                target = target.substr(0, target.find('`'));
                ++calls;
                EXPECT_TRUE(targets.contains(target)) << page << ": make " << target;
            }
        }
    }
    EXPECT_GT(calls, 10);
}

// The folders that the map in docs/architecture.md names: "host/", "host/gan/".
std::set<std::string> mapped_folders() {
    std::istringstream page(contents("docs/architecture.md"));
    std::set<std::string> folders;
    std::string root;
    bool inside = false;
    const std::regex entry("^    (  )?([a-z0-9_]+/) +[^ ].*");
    for (std::string line; std::getline(page, line);) {
        if (line.starts_with("## ")) {
            inside = line == "## Rooms";
        }
        std::smatch found;
        if (inside && std::regex_match(line, found, entry)) {
            root = found[1].matched ? root : found[2].str();
            folders.insert(found[1].matched ? root + found[2].str() : root);
        }
    }
    return folders;
}

TEST(Documentation, MapIsTheTree) {
    std::set<std::string> tree;
    for (const char* root : {"data", "kernels", "host", "tests", "bench"}) {
        tree.insert(std::string(root) + '/');
        for (const auto& entry : std::filesystem::directory_iterator(root)) {
            if (entry.is_directory() && !std::filesystem::is_empty(entry)) {
                tree.insert(entry.path().generic_string() + '/');
            }
        }
    }
    EXPECT_EQ(mapped_folders(), tree) << "docs/architecture.md, Rooms";
}

// No room of host needs one that needs it.
TEST(Documentation, RoomsOfHostFormNoCircle) {
    std::map<std::string, std::set<std::string>> needs;
    const std::regex include("^#include \"host/([a-z_]+)/");
    for (const auto& entry : std::filesystem::recursive_directory_iterator("host")) {
        if (!entry.is_regular_file()) {
            continue;
        }
        const std::string room = entry.path().parent_path().filename();
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            std::smatch found;
            if (std::regex_search(line, found, include) && found[1] != room) {
                needs[room].insert(found[1]);
            }
        }
    }
    ASSERT_TRUE(needs["cli"].contains("gan"));
    std::vector<std::string> way;
    std::set<std::string> done;
    const std::function<void(const std::string&)> visit = [&](const std::string& room) {
        way.push_back(room);
        for (const std::string& other : needs[room]) {
            EXPECT_EQ(std::count(way.begin(), way.end(), other), 0)
                << room << " needs " << other << ", which needs " << room;
            if (done.insert(other).second) {
                visit(other);
            }
        }
        way.pop_back();
    };
    visit("cli");
}

} // namespace
} // namespace patchforge
