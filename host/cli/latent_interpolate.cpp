// patchforge latent interpolate: paths between pairs of codes.
#include <fmt/format.h>

#include "host/cli/latent_sheet.h"
#include "host/cli/verbs.h"

namespace patchforge {

namespace {

enum class Path { sphere, straight };

struct LatentInterpolateCall {
    LatentSheetOptions sheet;
    Path path = Path::sphere;
};

void run(const LatentInterpolateCall& call) {
    LatentSheet sheet(call.sheet);
    const std::vector<LatentCode> ends = sheet.draw(2 * call.sheet.rows, call.sheet.seed);
    std::vector<std::vector<LatentCode>> rows(static_cast<std::size_t>(call.sheet.rows));
    std::vector<std::string> columns;
    for (std::int64_t s = 0; s < call.sheet.steps; ++s) {
        const double t = sheet.at_column(s, 1);
        columns.push_back(fmt::format("{:.2f}", t));
        for (std::size_t r = 0; r < rows.size(); ++r) {
            const LatentCode& a = ends[2 * r];
            const LatentCode& b = ends[2 * r + 1];
            rows[r].push_back(call.path == Path::sphere ? interpolate_spherically(a, b, t)
                                                        : interpolate_linearly(a, b, t));
        }
    }
    sheet.write(rows, columns);
}

} // namespace

Verb latent_interpolate_verb() {
    auto call = std::make_shared<LatentInterpolateCall>();
    Verb verb{.name = "latent interpolate", .summary = "paths between pairs of codes"};
    verb.options.choice<Path>("path", call->path,
                              {{"slerp", Path::sphere}, {"lerp", Path::straight}},
                              "on the sphere, or straight");
    describe(verb.options, call->sheet);
    verb.examples = {"latent interpolate --run runs/gan --out paths.png",
                     "latent interpolate --run runs/gan --model runs/classifier --path lerp "
                     "--rows 3 --out straight.png"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
