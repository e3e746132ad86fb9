#include "host/study/study_score.h"

#include <fmt/format.h>

#include <limits>
#include <stdexcept>

#include "host/files/json_file.h"
#include "host/page/figure_text.h"

namespace patchforge {
namespace {

[[noreturn]] void reject(const std::string& name, const std::string& what) {
    throw std::runtime_error(
        fmt::format("{}: {}; give the JSON file that the study page saved", name, what));
}

// true for `yes`, false for `no`, and nothing else.
bool one_of(const std::string& name, const Json& trial, const char* field, const char* yes,
            const char* no) {
    const std::string& value = trial.at(field).string();
    if (value != yes && value != no) {
        reject(name, fmt::format("{} is \"{}\", neither {} nor {}", field, value, yes, no));
    }
    return value == yes;
}

void count(ErrorRate& rate, bool error) {
    rate.errors += error;
    ++rate.answers;
}

void close(ArmScores& arm) {
    for (ErrorRate* rate : {&arm.all, &arm.generated_called_real, &arm.real_called_generated}) {
        rate->interval = wilson_interval(rate->errors, rate->answers);
    }
}

} // namespace

double ErrorRate::rate() const {
    return answers == 0 ? std::numeric_limits<double>::quiet_NaN()
                        : static_cast<double>(errors) / static_cast<double>(answers);
}

StudyScores score_study(std::string_view results, const std::string& name) {
    StudyScores scores;
    const Json file = parse_json(results, name);
    reading_json(name, [&] {
        if (file.at("format").string() != "patchforge-study") {
            reject(name, "this is not a study");
        }
        scores.title = file.at("title").string();
        scores.rater = file.at("rater").string();
        for (const Json& trial : file.at("trials").items()) {
            ArmScores& arm =
                one_of(name, trial, "arm", "timed", "untimed") ? scores.timed : scores.untimed;
            const bool generated = one_of(name, trial, "truth", "generated", "real");
            const bool error = one_of(name, trial, "answer", "generated", "real") != generated;
            count(arm.all, error);
            count(generated ? arm.generated_called_real : arm.real_called_generated, error);
        }
    });
    close(scores.timed);
    close(scores.untimed);
    return scores;
}

std::string study_table(const StudyScores& scores) {
    std::string table = scores.title;
    if (!scores.rater.empty()) {
        table += fmt::format(", rater {}", scores.rater);
    }
    table += fmt::format("\n{:<9} {:<22} {:>6} {:>8} {:>7}  {:>17}\n", "part", "error", "errors",
                         "answers", "rate", "Wilson 95 %");
    const auto line = [&](const char* part, const char* what, const ErrorRate& rate) {
        const std::string share =
            rate.answers == 0 ? undefined : fmt::format("{:.1f} %", 100 * rate.rate());
        table += fmt::format("{:<9} {:<22} {:>6} {:>8} {:>7}  {:>5.1f} % to {:>5.1f} %\n", part,
                             what, rate.errors, rate.answers, share, 100 * rate.interval.low,
                             100 * rate.interval.high);
    };
    const auto arm = [&](const char* part, const ArmScores& rates) {
        line(part, "all", rates.all);
        line(part, "generated called real", rates.generated_called_real);
        line(part, "real called generated", rates.real_called_generated);
    };
    arm("timed", scores.timed);
    arm("untimed", scores.untimed);
    return table + "A rater who cannot tell is wrong half of the time.\n";
}

} // namespace patchforge
