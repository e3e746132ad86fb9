#include "host/privacy/privacy_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/page/chart.h"
#include "host/page/image_grid.h"
#include "host/page/report.h"
#include "host/page/text_table.h"

namespace patchforge {

namespace {

const std::vector<std::string> columns = {"attacker holds", "attack",       "AUC",
                                          "by chance",      "found at 1 %", "by chance"};

std::vector<std::vector<std::string>> rows_of(const Privacy& privacy) {
    std::vector<std::vector<std::string>> rows;
    for (const PrivacyAttack& attack : privacy.attacks) {
        const MembershipResult& result = attack.result;
        rows.push_back(
            {attack.holds,
             attack.words + (privacy.speaks(attack, Privacy::certain)      ? " ‡"
                             : privacy.speaks(attack, Privacy::suspicious) ? " †"
                             : attack.heard                                ? ""
                                                                           : " *"),
             score_text(result.auc, result.auc_interval), fmt::format("{:.3f}", attack.chance.auc),
             fmt::format("{:.1f} % [{:.1f}, {:.1f}]", 100 * result.found,
                         100 * result.found_interval.low, 100 * result.found_interval.high),
             fmt::format("{:.3f}", attack.chance.found)});
    }
    return rows;
}

std::string caption_of(const Privacy& privacy) {
    return fmt::format(
        "{} patches of {} patients that were trained on against {} of {} that were not. AUC 0.5 "
        "and "
        "1 % found: nothing is given away. In brackets 95 % intervals by bootstrap of patients; "
        "by chance: the share of random divisions of the patients that does as well. †, ‡: at most "
        "{:.2g} and {:.2g}, which are 5 and 1 % over both figures of all attacks that are heard; * "
        "is not: it orders patients by how smooth their patches are, too.",
        privacy.members, privacy.member_patients, privacy.strangers, privacy.stranger_patients,
        privacy.chance_of_one(Privacy::suspicious), privacy.chance_of_one(Privacy::certain));
}

// Levels of 255, root mean square, of a distance of pixels in [-1, 1].
double levels(double distance, const Extent& shape) {
    return 127.5 * distance / std::sqrt(static_cast<double>(shape.size()));
}

// Patch, nearest fake and nearest other real patch, of the suspects from `first` on, the most suspicious first.
PictureSheet nearest_sheet(const Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                           std::size_t first, std::size_t end) {
    constexpr std::size_t shown = 10;
    PictureSheet sheet{{}, {"patch", "fake", "other"}, {}, 2};
    std::vector<std::size_t> order;
    for (std::size_t i = first; i < end; ++i) {
        order.push_back(i);
    }
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return privacy.pixels.relative(i); });
    order.resize(std::min(order.size(), shown));
    for (const std::size_t i : order) {
        const Neighbour &fake = privacy.pixels.fake[i], &real = privacy.pixels.real[i];
        sheet.rows.push_back({image_at(suspects.images, static_cast<std::int64_t>(i)),
                              image_at(fakes, fake.index), image_at(suspects.images, real.index)});
        sheet.row_names.push_back(
            fmt::format("{:.1f} and {:.1f} levels, {:.2f}", levels(fake.distance, fakes.shape),
                        levels(real.distance, fakes.shape), privacy.pixels.relative(i)));
    }
    return sheet;
}

std::string distances_chart(const Privacy& privacy) {
    Series in{"trained on", {}, {}}, out{"held out", {}, {}};
    for (std::size_t i = 0; i < privacy.pixels.fake.size(); ++i) {
        Series& side = static_cast<std::int64_t>(i) < privacy.members ? in : out;
        side.y.push_back(std::min(privacy.pixels.relative(i), 2.0));
    }
    return histogram_svg({.title = "Distance to the nearest fake over that to the nearest patch",
                          .x_label = "nearest fake / nearest other patch, in pixels (2: or more)",
                          .series = {in, out},
                          .low = 0,
                          .high = 2});
}

} // namespace

std::string privacy_table(const Privacy& privacy) {
    std::string text = caption_of(privacy) + "\n" + table_text(columns, rows_of(privacy));
    for (const std::string& sentence : privacy.left_out) {
        text += sentence + "\n";
    }
    if (privacy.taught) {
        text += "\n" + synthetic_training_table(*privacy.taught) + "\n";
    }
    return text + privacy.verdict() + "\n";
}

Report privacy_page(const Privacy& privacy, const Suspects& suspects, const ImageSet& fakes,
                    const std::string& source,
                    const std::vector<std::pair<std::string, std::string>>& settings) {
    Report report("What a released generator gives away",
                  fmt::format("{}, {} fakes.", source, fakes.count()));
    report.lead(privacy.verdict(), privacy.caught() ? Tone::bad
                                   : privacy.enough_patients() && !privacy.suspected()
                                       ? Tone::good
                                       : Tone::neutral);
    report.section("Nearest fakes");
    const auto members = static_cast<std::size_t>(suspects.members);
    report.sheet(nearest_sheet(privacy, suspects, fakes, 0, members),
                 fmt::format("Trained on: the patches whose nearest fake is nearest beside their "
                             "nearest other patch. {} of {} have it below {}: copies.",
                             privacy.member_copies, privacy.members, copy_distance));
    report.sheet(
        nearest_sheet(privacy, suspects, fakes, members, privacy.pixels.fake.size()),
        fmt::format("Held out: the same of patients that the GAN never saw, {} of {} below "
                    "{}. What this side shows as well is no memory.",
                    privacy.stranger_copies, privacy.strangers, copy_distance));
    report.note("Levels of 255, root mean square over the pixels: to the nearest fake and to the "
                "nearest real patch among both sides; then one over the other.");
    report.chart(distances_chart(privacy),
                 "A generator that knows its patches by heart has a hill on the left that held-out "
                 "patches lack.");
    report.section("Membership inference");
    report.table(caption_of(privacy), columns, rows_of(privacy));
    report.note(
        fmt::format("Features: {}. What the attacker holds: the fakes; the generator, which "
                    "makes as many as wanted and shows a way to each; the discriminator "
                    "that it was trained against.",
                    privacy.space));
    for (const std::string& sentence : privacy.left_out) {
        report.paragraph(sentence);
    }
    if (privacy.taught) {
        add_synthetic_training_section(report, *privacy.taught);
    }
    report.settings("privacy", settings);
    return report;
}

} // namespace patchforge
