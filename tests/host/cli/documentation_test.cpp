// What the pages say of the tree and of the Makefile is so.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "tests/host/cli/matches.h"
#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

// Pages and messages send readers to `make <target>`.
TEST(Documentation, MakeTargetsExist) {
    std::set<std::string> targets;
    for (const char* name : {"Makefile", "tests/tests.mk", "bench/bench.mk",
                             "kernels/cuda/check.mk", "host/cli/install.mk"}) {
        const std::vector<std::string> here = matches(contents(name), "\n([a-z][a-z-]*):");
        ASSERT_FALSE(here.empty()) << name;
        targets.insert(here.begin(), here.end());
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
    int calls = 0;
    for (const auto& page : pages) {
        for (const std::string& target : matches(contents(page), "`make ([a-z][a-z-]*)[ `]")) {
            ++calls;
            EXPECT_TRUE(targets.contains(target)) << page << ": make " << target;
        }
    }
    EXPECT_GT(calls, 10);
}

// Literals that stand behind each other, on lines of their own, are one.
std::string with_literals_joined(const std::string& text) {
    std::string joined;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::size_t next = text.find_first_not_of(" \n", at + 1);
        if (text[at] == '"' && next != std::string::npos && text[next] == '"' &&
            text.substr(at, next - at).find('\n') != std::string::npos) {
            at = next;
        } else {
            joined += text[at];
        }
    }
    return joined;
}

// What messages, reports and descriptions send people to: options and verbs that there are.
TEST(Documentation, AdviceNamesOptionsAndVerbsThatExist) {
    const auto named_in = [](const std::string& text, const std::string& expression) {
        const std::vector<std::string> all = matches(text, expression);
        return std::set<std::string>(all.begin(), all.end());
    };
    const std::string page = contents("docs/options.md");
    std::set<std::string> options = named_in(page, "\\| `--([a-z0-9-]+)`");
    const std::set<std::string> verbs = named_in(page, "\n## patchforge ([a-z]+)");
    ASSERT_GT(options.size(), 150u);
    ASSERT_GT(verbs.size(), 12u);
    // Of every verb, of `help`, and of other programs that are named.
    for (const char* other : {"help", "config", "version", "markdown", "bash-completion", "manuals",
                              "mpi", "query-gpu", "format", "logdir"}) {
        options.insert(other);
    }
    options.insert("option"); // what stands for any
    const std::string literal = "\"((?:[^\"\\\\\n]|\\\\.)*)\"";
    const std::string option = "[^a-z(-]--([a-z][a-z0-9-]*[a-z0-9])(?![a-z0-9:{-])";
    const std::string call = "`patchforge ([a-z]+)";
    std::size_t found = 0;
    for (const char* root : {"host", "data", "kernels"}) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
            const std::string kind = entry.path().extension();
            if (kind != ".cpp" && kind != ".h" && kind != ".cu") {
                continue;
            }
            std::string code;
            std::istringstream lines(with_literals_joined(contents(entry.path())));
            for (std::string line; std::getline(lines, line);) {
                const bool comment = line.find_first_not_of(' ') == line.find("//");
                if (!comment && (line.find("--") != std::string::npos ||
                                 line.find("`patchforge") != std::string::npos)) {
                    code += line + '\n';
                }
            }
            std::string words; // of every literal, each behind the end of a line
            for (const std::string& text : matches(code, literal)) {
                words += '\n' + text;
            }
            for (const std::string& name : matches(words, option)) {
                ++found;
                EXPECT_TRUE(options.contains(name)) << entry.path() << ": --" << name;
            }
            for (const std::string& verb : matches(words, call)) {
                EXPECT_TRUE(verbs.contains(verb) || verb == "help")
                    << entry.path() << ": patchforge " << verb;
            }
        }
    }
    EXPECT_GT(found, 300u);
}

// The folders that the map in docs/architecture.md names: "host/", "host/gan/".
std::set<std::string> mapped_folders() {
    std::istringstream page(contents("docs/architecture.md"));
    std::set<std::string> folders;
    std::string root;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
        if (line.starts_with("## ")) {
            inside = line == "## Rooms";
        }
        if (!inside) {
            continue;
        }
        for (const std::string& name : matches(line, "^    ((?:  )?[a-z0-9_]+/) +[^ ]")) {
            const bool inner = name.starts_with(' ');
            root = inner ? root : name;
            folders.insert(inner ? root + name.substr(2) : root);
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
    for (const auto& entry : std::filesystem::recursive_directory_iterator("host")) {
        if (!entry.is_regular_file()) {
            continue;
        }
        const std::string room = entry.path().parent_path().filename();
        for (const std::string& other :
             matches('\n' + contents(entry.path()), "\n#include \"host/([a-z_]+)/")) {
            if (other != room) {
                needs[room].insert(other);
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
