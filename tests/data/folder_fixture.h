#pragma once

#include "data/png.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <unistd.h>

namespace patchforge {

/// A folder of its own for each test, removed afterwards.
class FolderTest : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        folder_ = std::filesystem::temp_directory_path() /
                  (std::string("patchforge-") + test->test_suite_name() + "-" + test->name() + "-" +
                   std::to_string(::getpid()));
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    std::filesystem::path folder_;
};

inline std::string read_text(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::remove(path); // ext4 syncs a file that is emptied and filled again: slow
    std::ofstream(path, std::ios::binary) << text;
}

/// A picture whose every pixel follows from `seed`.
inline Image pattern(int width, int height, int channels, unsigned seed) {
    Image image{width, height, channels, {}};
    for (int i = 0; i < width * height * channels; ++i) {
        image.pixels.push_back(static_cast<std::uint8_t>((i * 37u + seed * 101u) % 251u));
    }
    return image;
}

inline void write_pattern(const std::filesystem::path& path, int width, int height, unsigned seed) {
    std::filesystem::create_directories(path.parent_path());
    write_png(path, pattern(width, height, 3, seed));
}

/// The text of the std::runtime_error or std::invalid_argument that `call` throws; "" when none.
inline std::string error_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

/// $PATCHFORGE_REAL_DATA or ../shared/data, joined with `name`; empty when it is not there.
inline std::filesystem::path real_data(const std::string& name) {
    const char* base = std::getenv("PATCHFORGE_REAL_DATA");
    const auto path = std::filesystem::path(base ? base : "../shared/data") / name;
    return std::filesystem::exists(path) ? path : std::filesystem::path();
}

} // namespace patchforge
