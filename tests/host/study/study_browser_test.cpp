// Raters that are scripts go through the real page in headless Chromium.
#include "host/files/json.h"
#include "host/study/study_score.h"
#include "tests/host/study/study_pictures.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace patchforge {
namespace {

// Stands in the head of a copy of the page. Time in the page is virtual: it leaps to the next timer
// as soon as nothing is left to do. Frames, which come by the clock on the wall, have to be timers.
const char* const virtual_frames = R"js(<script>
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
</script></head>)js";

// Stands at the end. `rate()` looks at the picture and `by` says how to answer.
const char* const rater_script = R"js(<script>
const pressed = { real: "ArrowLeft", generated: "F" };
const patience = setInterval(() => {
  const visible = (id) => !document.getElementById(id).hidden;
  if (visible("results")) {
    clearInterval(patience);
  } else if (visible("intro")) {
    document.getElementById("rater").value = "script & co";
    document.getElementById("begin").click();
  } else if (visible("pause")) {
    document.getElementById("continue").click();
  } else if (visible("trial") && !document.getElementById("real").disabled) {
    const choice = rate();
    if (by === "keys") {
      document.dispatchEvent(new KeyboardEvent("keydown", { key: pressed[choice], bubbles: true }));
    } else {
      document.getElementById(choice === "real" ? "real" : "fake").click();
    }
  }
}, 100);
</script></body>)js";

// Looks at the picture itself, not at the key: generated ones are blue.
const char* const knowing_rater = R"js(<script>
const by = "keys";
function rate() {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  context.drawImage(document.getElementById("picture"), 0, 0);
  const [red, , blue] = context.getImageData(25, 25, 1, 1).data;
  return blue > red ? "generated" : "real";
}
</script>)js";

const char* const guessing_rater = R"js(<script>
const by = "buttons";
let state = 12345;
function rate() {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state >>> 30 & 1 ? "generated" : "real";
}
</script>)js";

std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            decoded +=
                static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            decoded += text[i];
        }
    }
    return decoded;
}

class StudyBrowserTest : public testing::Test {
  protected:
    void SetUp() override {
        if (std::system("command -v chromium > /dev/null 2>&1") != 0) {
            GTEST_SKIP() << "chromium is not installed";
        }
        folder_ = std::filesystem::path(testing::TempDir()) /
                  ("study_browser_" + std::to_string(getpid()));
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // The page's DOM after the rater went through `count` pictures a part.
    std::string rated(const char* rater, int count) {
        std::string page = study_page(tinted_pictures(count, false), tinted_pictures(count, true),
                                      {.count = count, .seed = 3, .title = "Tints"});
        page.replace(page.find("</head>"), 7, virtual_frames);
        page.replace(page.rfind("</body>"), 7, std::string(rater) + rater_script);
        std::ofstream(folder_ / "study.html") << page;
        const std::string where = folder_.string();
        const std::string command =
            "cd '" + where +
            "' && timeout 120 chromium --headless=new --no-sandbox --disable-gpu " +
            "--disable-dev-shm-usage --no-first-run --user-data-dir='" + where +
            "/profile' --virtual-time-budget=10000000 --dump-dom 'file://" + where +
            "/study.html' > dom.html 2> log.txt";
        if (std::system(command.c_str()) != 0) {
            return {};
        }
        std::ifstream file(folder_ / "dom.html");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    static std::string saved(const std::string& dom, const std::string& type) {
        const std::string opening = "href=\"data:" + type + ";charset=utf-8,";
        const auto begin = dom.find(opening);
        if (begin == std::string::npos) {
            return {};
        }
        const auto text = std::string_view(dom).substr(begin + opening.size());
        return percent_decoded(text.substr(0, text.find('"')));
    }

    std::filesystem::path folder_;
};

TEST_F(StudyBrowserTest, ARaterWhoKnowsMakesNoErrors) {
    const std::string dom = rated(knowing_rater, 8);
    ASSERT_FALSE(dom.empty());
    const std::string json = saved(dom, "application/json");
    const StudyScores scores = score_study(json);
    EXPECT_EQ(scores.title, "Tints");
    EXPECT_EQ(scores.rater, "script & co");
    for (const ArmScores* arm : {&scores.timed, &scores.untimed}) {
        EXPECT_EQ(arm->all.answers, 8);
        EXPECT_EQ(arm->all.errors, 0);
        EXPECT_EQ(arm->generated_called_real.answers, 4);
        EXPECT_EQ(arm->real_called_generated.answers, 4);
    }
    EXPECT_NE(dom.find("better than by guessing"), std::string::npos);
    const Json results = Json::parse(json);
    for (const Json& trial : results.at("trials").items()) {
        if (trial.at("arm").string() ==
            "timed") { // seen for 250 ms, up to two frames of 60 Hz either way
            EXPECT_NEAR(trial.at("exposure").number(), 250, 34);
        } else {
            EXPECT_TRUE(trial.at("exposure").is_null());
        }
    }
}

TEST_F(StudyBrowserTest, ARaterWhoGuessesIsWrongHalfOfTheTime) {
    const std::string dom = rated(guessing_rater, 40);
    ASSERT_FALSE(dom.empty());
    const StudyScores scores = score_study(saved(dom, "application/json"));
    for (const ArmScores* arm : {&scores.timed, &scores.untimed}) {
        EXPECT_EQ(arm->all.answers, 40);
        EXPECT_LT(arm->all.interval.low, .5);
        EXPECT_GT(arm->all.interval.high, .5);
        EXPECT_GT(arm->generated_called_real.errors, 0);
        EXPECT_GT(arm->real_called_generated.errors, 0);
    }
    EXPECT_NE(dom.find("cannot be told from guesses"), std::string::npos);
    const std::string csv = saved(dom, "text/csv");
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 81);
    EXPECT_EQ(csv.rfind("arm,index,truth,answer,milliseconds,exposure\n", 0), 0u);
    // The page's own table says what the scorer says.
    for (const ArmScores* arm : {&scores.timed, &scores.untimed}) {
        const std::string row =
            "<td class=\"number\">" + std::to_string(arm->all.errors) + " of 40</td>";
        EXPECT_NE(dom.find(row), std::string::npos);
    }
}

} // namespace
} // namespace patchforge
