// patchforge latent neighbours: what lies around a code.
#include <fmt/format.h>

#include <algorithm>

#include "host/cli/latent_sheet.h"
#include "host/cli/verbs.h"

namespace patchforge {

namespace {

struct LatentNeighboursCall {
    LatentSheetOptions sheet;
    double radius = 1.0;
};

void run(const LatentNeighboursCall& call) {
    LatentSheet sheet(call.sheet);
    const std::int64_t steps = call.sheet.steps;
    const std::vector<LatentCode> centres = sheet.draw(call.sheet.rows, call.sheet.seed);
    const std::vector<LatentCode> directions =
        sheet.draw(call.sheet.rows * steps, call.sheet.seed + 1);
    std::vector<std::vector<LatentCode>> rows(centres.size());
    std::vector<std::string> columns;
    for (std::int64_t s = 0; s < steps; ++s) {
        const double distance = sheet.at_column(s, call.radius);
        columns.push_back(fmt::format("{:.2f}", distance));
        for (std::size_t r = 0; r < rows.size(); ++r) {
            const LatentCode& direction =
                directions[r * static_cast<std::size_t>(steps) + static_cast<std::size_t>(s)];
            // Rotated towards a random direction, so that the neighbour is as long as the centre.
            rows[r].push_back(
                interpolate_spherically(centres[r], direction, std::min(1.0, distance)));
        }
    }
    sheet.write(rows, columns);
}

} // namespace

Verb latent_neighbours_verb() {
    auto call = std::make_shared<LatentNeighboursCall>();
    Verb verb{.name = "latent neighbours", .summary = "what lies around a code, near to far"};
    verb.options.number("radius", call->radius, {0, 1},
                        "of the last column, as a share of the way to an unrelated code");
    describe(verb.options, call->sheet);
    verb.examples = {"latent neighbours --run runs/gan --out near.png",
                     "latent neighbours --run runs/gan --radius 0.3 --rows 4 --steps 6 --seed 3 "
                     "--out nearer.png"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
