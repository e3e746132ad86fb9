#include "host/trial/evasion_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "host/page/bar_chart.h"
#include "host/page/chart.h"
#include "host/page/figure_text.h"
#include "host/page/report.h"

namespace patchforge {

namespace {

constexpr std::size_t most_models = 4;  // bars side by side that an eye can follow
constexpr std::size_t most_classes = 4; // sentences
constexpr std::size_t most_curves = 4;  // colours that differ

const EvasionRow* find_row(const EvasionFindings& findings, const std::string& group,
                           const std::string& model) {
    const auto found = std::ranges::find_if(findings.rows, [&](const EvasionRow& row) {
        return row.group == group && row.model == model;
    });
    return found == findings.rows.end() ? nullptr : &*found;
}

std::vector<std::string> groups_of(const EvasionFindings& findings) {
    std::vector<std::string> groups;
    for (const EvasionRow& row : findings.rows) {
        if (std::ranges::count(groups, row.group) == 0) {
            groups.push_back(row.group);
        }
    }
    return groups;
}

double share_called(const EvasionRow* row, std::size_t of_class) {
    return row ? share_of(row->called[of_class], row->count)
               : std::numeric_limits<double>::quiet_NaN();
}

double share_sure(const EvasionRow* row) {
    return row ? share_of(row->above_90, row->count) : std::numeric_limits<double>::quiet_NaN();
}

// "c1 97 %, c2 1 %"
template <class F>
std::string of_each_model(const EvasionFindings& findings, const std::string& group, F share) {
    std::vector<std::string> parts;
    for (const std::string& model : findings.models) {
        parts.push_back(
            fmt::format("{} {}", model, percent_text(share(find_row(findings, group, model)))));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string called_by_each(const EvasionFindings& findings, const std::string& group,
                           std::size_t of_class) {
    return of_each_model(findings, group,
                         [&](const EvasionRow* row) { return share_called(row, of_class); });
}

bool known(const EvasionFindings& findings, const std::string& group) {
    return find_row(findings, group, findings.models.front()) != nullptr;
}

// Mean over the classes that are known, so that shares of classes do not matter.
double right_about_real(const EvasionFindings& findings, const std::string& model) {
    double sum = 0;
    int known_classes = 0;
    for (const std::string& name : findings.classes) {
        if (const EvasionRow* row = find_row(findings, real_of(name), model)) {
            sum += share_of(row->right, row->count);
            ++known_classes;
        }
    }
    return known_classes > 0 ? sum / known_classes : std::numeric_limits<double>::quiet_NaN();
}

// What a network says that was trained to tell them, and what that makes of the classifiers' answers.
void add_told(std::vector<std::string>& sentences, const RealOrFakeCounts& told) {
    const double fakes = share_of(told.fakes_told, told.fakes);
    const double real = share_of(told.real_called_fake, told.real);
    const double right = (fakes + 1 - real) / 2;
    sentences.push_back(fmt::format(
        "A network trained on others tells {} of {} fakes ({}) from real patches, and takes {} of "
        "{} real patches of other patients for fakes ({}). {}",
        told.fakes_told, told.fakes, percent_text(fakes), told.real_called_fake, told.real,
        percent_text(real),
        right >= 0.75  ? "So they can be told, whatever the classifiers answer: a classifier has a "
                         "class for any picture."
        : right >= 0.6 ? "So it tells more of them than by chance, and many pass."
                       : "So it hardly tells them; one trained for longer may."));
}

void add_fakes(std::vector<std::string>& sentences, const EvasionFindings& findings) {
    const std::size_t last = findings.classes.size() - 1;
    if (!findings.conditional) {
        sentences.push_back(fmt::format("Of the fakes, {} are called {}. They were made without a "
                                        "class, so no answer is wrong, and "
                                        "these shares say nothing of how good they are.",
                                        called_by_each(findings, all_fakes, last),
                                        findings.classes[last]));
        for (std::size_t c = 0; c < std::min(most_classes, findings.classes.size()); ++c) {
            const std::string real = real_of(findings.classes[c]);
            if (known(findings, real)) {
                sentences.push_back(
                    fmt::format("Of the real patches of {}, {} are called {}.", findings.classes[c],
                                called_by_each(findings, real, last), findings.classes[last]));
            }
        }
        return;
    }
    if (known(findings, all_fakes) &&
        find_row(findings, all_fakes, findings.models[0])->right >= 0) {
        std::vector<std::string> real;
        for (const std::string& model : findings.models) {
            real.push_back(
                fmt::format("{} {}", model, percent_text(right_about_real(findings, model))));
        }
        sentences.push_back(fmt::format(
            "Of all fakes {} are called what they were made as; of real patches, mean over the "
            "classes, {} are called what they are.",
            of_each_model(findings, all_fakes,
                          [](const EvasionRow* row) { return share_of(row->right, row->count); }),
            fmt::join(real, ", ")));
    }
    for (std::size_t c = 0; c < std::min(most_classes, findings.classes.size()); ++c) {
        const std::string& name = findings.classes[c];
        if (known(findings, fakes_of(name))) {
            sentences.push_back(
                fmt::format("Fakes made as {} are called so by {}{}.", name,
                            called_by_each(findings, fakes_of(name), c),
                            known(findings, real_of(name))
                                ? fmt::format("; real patches of it by {}",
                                              called_by_each(findings, real_of(name), c))
                                : ""));
        }
    }
}

BarChart shares_chart(const EvasionFindings& findings) {
    const bool two = findings.classes.size() == 2;
    BarChart chart{
        .title = "Answers for each group", .rows = groups_of(findings), .series = {}, .full = 1};
    const std::size_t models = std::min(most_models, findings.models.size());
    for (std::size_t m = 0; m < models; ++m) {
        chart.series.push_back({findings.models[m], {}});
        for (const std::string& group : chart.rows) {
            const EvasionRow* row = find_row(findings, group, findings.models[m]);
            chart.series.back().values.push_back(two ? share_called(row, 1) : share_sure(row));
        }
    }
    return chart;
}

std::string shares_caption(const EvasionFindings& findings) {
    return findings.classes.size() == 2
               ? fmt::format("Share of each group that is called {}.", findings.classes[1])
               : "Share of each group that is answered with a probability above 0.9.";
}

void add_histogram(Report& report, const EvasionFindings& findings, const std::string& model) {
    Histogram histogram{.title = "Answers of " + model,
                        .x_label = "probability of " + findings.classes.back(),
                        .series = {},
                        .low = 0,
                        .high = 1};
    const auto add = [&](const std::string& group) {
        const EvasionRow* row = find_row(findings, group, model);
        if (row && histogram.series.size() < most_curves) {
            histogram.series.push_back({group, {}, row->last_class});
        }
    };
    if (findings.conditional && findings.classes.size() == 2) {
        add(fakes_of(findings.classes[0]));
        add(fakes_of(findings.classes[1]));
    } else {
        add(all_fakes);
    }
    add(all_real);
    for (const std::string& name : findings.classes) {
        add(real_of(name));
    }
    report.chart(histogram_svg(histogram), "What " + model + " thinks of fakes and real patches.");
}

} // namespace

std::string fakes_of(const std::string& class_name) {
    return std::string(all_fakes) + ": " + class_name;
}

std::string real_of(const std::string& class_name) {
    return std::string(all_real) + ": " + class_name;
}

std::string searched_for(const std::string& class_name, const std::string& model) {
    return fmt::format("searched: {} for {}", class_name, model);
}

std::vector<std::string> evasion_sentences(const EvasionFindings& findings) {
    std::vector<std::string> sentences;
    if (findings.told) {
        add_told(sentences, *findings.told);
    }
    add_fakes(sentences, findings);
    if (findings.searched >= 0) {
        const auto target = static_cast<std::size_t>(findings.searched);
        const std::string& name = findings.classes[target];
        sentences.push_back(fmt::format(
            "Codes searched until {} says {} are called so by {}; before, by {}.", findings.against,
            name, called_by_each(findings, searched_for(name, findings.against), target),
            called_by_each(findings, before_search, target)));
        const EvasionRow* before = find_row(findings, before_search, findings.models.front());
        const EvasionRow* after =
            find_row(findings, searched_for(name, findings.against), findings.models.front());
        if (before && after && before->frechet_to_fakes >= 0) {
            sentences.push_back(fmt::format(
                "The searched pictures are at a Fréchet distance of {:.4g} from as many other "
                "fakes of the generator (pixels); those of the same codes before the search at "
                "{:.4g}. The mean square of a code's numbers went from {:.3f} to {:.3f}.",
                after->frechet_to_fakes, before->frechet_to_fakes, before->code_mean_square,
                after->code_mean_square));
        }
    }
    sentences.push_back(
        fmt::format("Noise, which is of no class, gets a probability above 0.9 from {} "
                    "of the time: confidence alone shows nothing.",
                    of_each_model(findings, noise_group, share_sure)));
    const EvasionRow* fakes = find_row(findings, all_fakes, findings.models.front());
    if (fakes && fakes->detector_stops >= 0) {
        sentences.push_back(
            fmt::format("The detector stops {} of the fakes.",
                        percent_text(share_of(fakes->detector_stops, fakes->count))));
    }
    return sentences;
}

void add_evasion_sections(Report& report, const EvasionFindings& findings) {
    for (const std::string& sentence : evasion_sentences(findings)) {
        report.lead(sentence);
    }
    report.section("What the classifiers say");
    report.sheet(findings.groups, "Some of each group, the first ones.");
    report.chart(bars_svg(shares_chart(findings)), shares_caption(findings));
    for (const std::string& model : findings.models) {
        add_histogram(report, findings, model);
    }
    report.table("Shares of each group; confidence is the largest probability",
                 findings.table_columns, findings.table);
    if (!findings.together.empty()) {
        report.table("Classifiers together, and the detector", findings.together_columns,
                     findings.together);
    }
    if (!findings.search.rows.empty()) {
        report.section("Search in the latent space");
        report.sheet(findings.search, "The same codes before and after the search.");
    }
}

} // namespace patchforge
