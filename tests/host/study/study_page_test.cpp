#include "host/files/json.h"
#include "host/page/base64.h"
#include "host/study/study_page.h"
#include "host/study/study_score.h"
#include "tests/host/study/study_pictures.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>

namespace patchforge {
namespace {

std::string encoded(std::string_view text) {
    return base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

TEST(Base64, MatchesTheStandardsExamples) {
    const char* const pairs[][2] = {{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"},
                                    {"\xff\xfe\xfd", "//79"}};
    for (const auto& [text, expected] : pairs) {
        EXPECT_EQ(encoded(text), expected);
    }
}

std::string data_text(const std::string& page) {
    const std::string opening = "id=\"study-data\">";
    const auto begin = page.find(opening) + opening.size();
    return page.substr(begin, page.find("</script>", begin) - begin);
}

std::vector<std::uint8_t> unbase64(const std::string& text) {
    static const std::string digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::vector<std::uint8_t> bytes;
    std::uint32_t group = 0;
    int bits = 0;
    for (const char c : text) {
        if (c != '=') {
            group = group << 6 | static_cast<std::uint32_t>(digits.find(c));
            if ((bits += 6) >= 8) {
                bytes.push_back(static_cast<std::uint8_t>(group >> (bits -= 8)));
            }
        }
    }
    return bytes;
}

TEST(StudyPage, ShowsHalfOfEachKindOnceAndKeysThemRight) {
    const auto real = tinted_pictures(30, false), generated = tinted_pictures(25, true);
    std::map<std::string, bool> truth;
    for (const PngBytes& picture : real) {
        truth[base64(picture)] = false;
    }
    for (const PngBytes& picture : generated) {
        truth[base64(picture)] = true;
    }
    ASSERT_EQ(truth.size(), 55u);
    const Json data =
        Json::parse(data_text(study_page(real, generated, {.count = 20, .seed = 5, .title = "T"})));
    const Json::Array& parts = data.at("parts").items();
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[0].at("arm").string(), "timed");
    EXPECT_EQ(parts[1].at("arm").string(), "untimed");
    EXPECT_EQ(data.at("exposure").integer(), 250);
    std::set<std::string> seen;
    for (const Json& part : parts) {
        const auto key = unbase64(part.at("key").string());
        const std::vector<std::string> pictures = part.at("pictures").strings();
        ASSERT_EQ(pictures.size(), 20u);
        ASSERT_EQ(key.size(), 20u);
        int count = 0, changes = 0;
        for (std::size_t i = 0; i < 20; ++i) {
            const std::string& picture = pictures[i];
            EXPECT_TRUE(seen.insert(picture).second) << "shown twice";
            EXPECT_EQ(std::popcount(key[i]) % 2 == 1, truth.at(picture));
            count += truth.at(picture);
            changes += i > 0 && truth.at(picture) != truth.at(pictures[i - 1]);
        }
        EXPECT_EQ(count, 10);
        EXPECT_GT(changes, 3);                                                 // neither sorted
        EXPECT_LT(changes, 19);                                                // nor alternating
        EXPECT_GT(std::set<std::uint8_t>(key.begin(), key.end()).size(), 10u); // no plain 0 and 1
    }
}

TEST(StudyPage, DependsOnItsSeedAlone) {
    const auto real = tinted_pictures(10, false), generated = tinted_pictures(10, true);
    const auto page = [&](std::uint64_t seed) {
        return study_page(real, generated, {.count = 10, .seed = seed});
    };
    EXPECT_EQ(page(1), page(1));
    EXPECT_NE(page(1), page(2));
}

TEST(StudyPage, FetchesNothingAndSurvivesAnyTitle) {
    const std::string title = "</script><b>\"&'\xff";
    const std::string page = study_page(tinted_pictures(2, false), tinted_pictures(2, true),
                                        {.count = 2, .seed = 1, .title = title});
    for (const char* outside : {"http://", "https://", "src=\"/", "@import", "url("}) {
        EXPECT_EQ(page.find(outside), std::string::npos) << outside;
    }
    EXPECT_EQ(page.find("<b>\"&'"), std::string::npos);
    EXPECT_NO_THROW(Json::parse(data_text(page)));
}

TEST(StudyPage, IsWrittenWhole) {
    const auto path = std::filesystem::path(testing::TempDir()) / "study_written.html";
    const auto real = tinted_pictures(2, false), generated = tinted_pictures(2, true);
    write_study_page(path, real, generated, {.count = 2});
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(text, study_page(real, generated, {.count = 2}));
    std::filesystem::remove(path);
    EXPECT_THROW(write_study_page(path / "absent" / "x.html", real, generated, {.count = 2}),
                 std::runtime_error);
}

TEST(StudyPage, RejectsWhatIsNotHalfAndHalf) {
    const auto real = tinted_pictures(4, false), generated = tinted_pictures(4, true);
    EXPECT_THROW(study_page(real, generated, {.count = 3}), std::invalid_argument);
    EXPECT_THROW(study_page(real, generated, {.count = 0}), std::invalid_argument);
    EXPECT_THROW(study_page(real, generated, {.count = 6}), std::invalid_argument);
    const std::vector<PngBytes> broken(4, PngBytes{'G', 'I', 'F'});
    EXPECT_THROW(study_page(real, broken, {.count = 4}), std::invalid_argument);
}

std::string results(const std::string& trials) {
    return R"({"format":"patchforge-study","title":"Tissue","rater":"A","trials":[)" + trials +
           "]}";
}

std::string trial(const char* arm, const char* truth, const char* answer) {
    return Json{{"arm", arm}, {"truth", truth}, {"answer", answer}}.dump();
}

TEST(StudyScore, CountsErrorsByPartAndDirection) {
    const StudyScores scores = score_study(
        results(trial("timed", "real", "real") + "," + trial("timed", "real", "generated") + "," +
                trial("timed", "generated", "real") + "," + trial("timed", "generated", "real") +
                "," + trial("untimed", "generated", "generated")));
    EXPECT_EQ(scores.title, "Tissue");
    EXPECT_EQ(scores.rater, "A");
    EXPECT_EQ(scores.timed.all.errors, 3);
    EXPECT_EQ(scores.timed.all.answers, 4);
    EXPECT_EQ(scores.timed.generated_called_real.errors, 2);
    EXPECT_EQ(scores.timed.generated_called_real.answers, 2);
    EXPECT_EQ(scores.timed.real_called_generated.errors, 1);
    EXPECT_EQ(scores.timed.real_called_generated.answers, 2);
    EXPECT_EQ(scores.timed.all.interval.low, wilson_interval(3, 4).low);
    EXPECT_EQ(scores.untimed.all.rate(), 0);
    EXPECT_TRUE(std::isnan(scores.untimed.real_called_generated.rate()));
    const std::string table = study_table(scores);
    EXPECT_NE(table.find("75.0 %"), std::string::npos);
    EXPECT_EQ(table.find("nan"), std::string::npos);
}

TEST(StudyScore, RejectsAnythingElse) {
    for (const std::string& text :
         {std::string(), std::string("[]"), std::string("{\"format\":\"other\"}"),
          std::string("{\"format\":\"patchforge-study\"}"), std::string("\xff\xfe{"),
          results(trial("timed", "real", "maybe")), results(trial("evening", "real", "real")),
          results("7"), results("{\"arm\":3}")}) {
        EXPECT_THROW(score_study(text), std::runtime_error) << text;
    }
}

} // namespace
} // namespace patchforge
