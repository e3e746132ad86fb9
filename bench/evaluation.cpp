// What the measures of `evaluate` say where the answer is known, and what they cost:
//
//     build/bench/evaluation DATA [OUT.md]
//
// DATA is a folder of patches with patients and two classes, in the IDC layout, or a .pfs file of
// one.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <stdexcept>

#include "bench/measure.h"
#include "data/open_data_set.h"
#include "data/split.h"
#include "host/distance/frechet_distance.h"
#include "host/distance/memorisation.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/random_network.h"
#include "host/numerics/pca.h"
#include "host/numerics/philox_sequence.h"

namespace patchforge::bench {
namespace {

constexpr std::uint64_t seed = 2020;
constexpr std::int64_t components = 64;

// The named rows' pixels in [-1, 1].
Features pixels_of_rows(const PackedSet& set, const std::vector<std::int32_t>& rows) {
    Features pixels{static_cast<std::int64_t>(rows.size()), set.pixels_per_patch(), {}};
    pixels.values.reserve(rows.size() * static_cast<std::size_t>(pixels.dimension));
    for (const std::int32_t row : rows) {
        for (const std::uint8_t value : set.patch(row)) {
            pixels.values.push_back(static_cast<float>(value) * (2.0f / 255.0f) - 1.0f);
        }
    }
    return pixels;
}

Features with_red_and_green_swapped(Features pixels, const Extent& shape) {
    const std::int64_t plane = shape.plane();
    for (std::int64_t i = 0; i < pixels.count; ++i) {
        float* const image = pixels.values.data() + i * pixels.dimension;
        std::swap_ranges(image, image + plane, image + plane);
    }
    return pixels;
}

std::vector<std::int32_t> rows_of_class(const PackedSet& set, std::int32_t label) {
    std::vector<std::int32_t> rows;
    for (std::int64_t i = 0; i < set.count(); ++i) {
        if (set.labels()[static_cast<std::size_t>(i)] == label) {
            rows.push_back(static_cast<std::int32_t>(i));
        }
    }
    return rows;
}

std::string significant(double value) {
    return fmt::format("{:.{}f}", value, std::abs(value) < 0.1 ? 3 : std::abs(value) < 10 ? 2 : 1);
}

// Both ways in which patches become features; the components are fitted to `reference`.
struct Extractors {
    Extent shape;
    PrincipalComponents pca;

    Features random(const Features& pixels) const {
        return random_network_features(pixels, shape, seed);
    }
    Features projected(const Features& pixels) const { return project(pca, pixels); }
};

std::string distances(const PackedSet& set, const Split& split, const Extractors& extractors) {
    const Features first = pixels_of_rows(set, split.train);
    const Features second = pixels_of_rows(set, split.test);
    Table table({"squared Fréchet distance of", "random network", "pixels, 64 components"});
    const auto add = [&](const std::string& what, const Features& a, const Features& b) {
        table.add(
            {what, significant(frechet_distance(extractors.random(a), extractors.random(b))),
             significant(frechet_distance(extractors.projected(a), extractors.projected(b)))});
    };
    const Halves halves = split_in_halves(first, seed);
    add("one set's two halves, neighbouring patches on both sides", halves.first, halves.second);
    add("the two sets, no patient in common: the floor", first, second);
    add("red and green swapped in one", first,
        with_red_and_green_swapped(second, extractors.shape));
    add("the first class against the second", pixels_of_rows(set, rows_of_class(set, 0)),
        pixels_of_rows(set, rows_of_class(set, 1)));
    add("uniform noise", first, noise_images(second.count, second.dimension, seed));

    const auto line_of = [&](const Features& a, const Features& b) {
        const FrechetExtrapolation line = extrapolate_frechet_distance(a, b, seed);
        return fmt::format("{} with R² {:.2f}", significant(line.at_infinity), line.r_squared);
    };
    return fmt::format(
        "## Distances\n\n{} patches of {} x {} x {}; patients dealt into two sets of "
        "{} and {} patches.\n\n{}\nThe floor extrapolated to infinite n: {} in the "
        "random network, {} in the components.\n\n",
        set.count(), set.channels(), set.height(), set.width(), first.count, second.count,
        table.text(), line_of(extractors.random(first), extractors.random(second)),
        line_of(extractors.projected(first), extractors.projected(second)));
}

// The patients of the second set alternately held out and handed in as generated.
std::string copies(const PackedSet& set, const Split& split, const Extractors& extractors) {
    std::vector<std::int32_t> held_out, fresh;
    for (const std::int32_t row : split.test) {
        const auto patient = set.patients()[static_cast<std::size_t>(row)];
        const auto& names = split.test_patients;
        const auto place = std::ranges::lower_bound(
                               names, set.patient_names()[static_cast<std::size_t>(patient)]) -
                           names.begin();
        (place % 2 == 0 ? held_out : fresh).push_back(row);
    }
    Table table({"handed in as generated", "features", "C_T", "ratio"});
    const Features training = pixels_of_rows(set, split.train);
    const Features others = pixels_of_rows(set, held_out);
    const auto add = [&](const std::string& what, const Features& generated) {
        const auto say = [&](const std::string& features, const Memorisation& said) {
            table.add({what, features, fmt::format("{:.1f}", said.c_t),
                       fmt::format("{:.2f}", said.ratio)});
        };
        say("random network",
            memorisation(extractors.random(training), extractors.random(generated),
                         extractors.random(others)));
        say("pixels, 64 components",
            memorisation(extractors.projected(training), extractors.projected(generated),
                         extractors.projected(others)));
    };
    add("half of the training set", split_in_halves(training, seed).first);
    const Features unseen = pixels_of_rows(set, fresh);
    add("patches of patients on neither side", unseen);
    return fmt::format("## Memorisation\n\n{} patches as training, {} held out, {} of further "
                       "patients.\n\n{}\n",
                       training.count, others.count, unseen.count, table.text());
}

// Numbers of a normal distribution: what the measures cost does not depend on them.
Features random_features(std::int64_t count, std::int64_t dimension, std::uint64_t sequence) {
    PhiloxSequence random(sequence);
    Features features{count, dimension,
                      std::vector<float>(static_cast<std::size_t>(count * dimension))};
    for (float& value : features.values) {
        value = static_cast<float>(random.normal());
    }
    return features;
}

std::string cost() {
    constexpr std::int64_t count = 10000;
    Table table({"measure", "seconds"});
    const auto add = [&](const std::string& what, double seconds) {
        table.add({what, fmt::format("{:.1f}", seconds)});
    };
    const auto timed = [&](const std::string& what, const auto& compute) {
        const auto start = std::chrono::steady_clock::now();
        compute();
        add(what, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    };
    const Features real = random_features(count, 256, 1), fake = random_features(count, 256, 2);
    double all = 0;
    for (const MetricResult& line : evaluate_features(real, fake, {})) {
        add(line.metric, line.total_time);
        all += line.total_time;
    }
    add("all of the above", all);
    timed("memorisation, 10,000 training and 10,000 held out",
          [&] { memorisation(real, fake, random_features(count, 256, 3)); });
    const Features images = noise_images(count, 7500, seed);
    timed("64 components of 10,000 x 7500 pixels, fitted and applied",
          [&] { project(fit_principal_components(images, components), images); });
    timed("random network on 10,000 images of 3 x 50 x 50", [&] {
        random_network_features(images, {3, 50, 50});
    });
    return "## Cost\n\n10,000 against 10,000 images in 256 features; Fréchet distance with its "
           "extrapolation (17 fits), kernel distance of 100 subsets of 1000, 1000 directions. Wall "
           "time of one run; where the machine had other work it is an upper bound.\n\n" +
           table.text();
}

void run(const std::string& data, const std::string& out) {
    const PackedSet set = open_data_set(data);
    if (set.class_names().size() != 2) {
        throw std::invalid_argument(data + ": not two classes; give a folder in the IDC layout");
    }
    const Split split = split_by_patient(set, {.test_fraction = 0.5});
    const Extractors extractors{
        {set.channels(), set.height(), set.width()},
        fit_principal_components(pixels_of_rows(set, split.train), components, seed)};
    const auto backend = make_cpu_backend();
    const std::string page =
        "# What the measures say where the answer is known\n\nWritten by bench/evaluation.cpp. " +
        circumstances(*backend, measure_machine(*backend, 0)) + "\n" +
        distances(set, split, extractors) + copies(set, split, extractors) + cost();
    Options options;
    options.out = out;
    publish(options, page, {});
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    if (argc != 2 && argc != 3) {
        fmt::print(stderr, "usage: {} DATA [OUT.md]\n", argv[0]);
        return 2;
    }
    try {
        patchforge::bench::run(argv[1], argc == 3 ? argv[2] : "docs/measured/evaluation.md");
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: error: {}\n", error.what());
        return 1;
    }
}
