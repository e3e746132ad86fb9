#include "bench/kernel_cases.h"

namespace patchforge::bench {

// Maps of 12 channels of 25 x 25, as many numbers as a patch has, and what makes them of others.
std::vector<Case> map_cases(Backend& backend, const Inputs& in, std::int64_t batch) {
    const Extent maps = {.channels = 12, .height = 25, .width = 25};
    const Extent patch = {.channels = 3, .height = 50, .width = 50};
    const double x = static_cast<double>(batch * pixels);
    const double planes = static_cast<double>(batch * maps.channels);
    const Epilogue relu = {.activation = Activation::relu};
    const MapSets batchwise = {maps, batch, 1}, instances = {maps, 1, 1};
    const auto resample = [=, &backend, &in](const char* name, const Resample& rule) {
        return Case{name, 4 * static_cast<double>(batch * (rule.in.size() + rule.out().size())), 0,
                    [=, &backend, &in](std::int64_t i) {
                        backend.resample(in.wide_out.matrix(i, batch, rule.out().size()),
                                         in.wide.matrix(i, batch, rule.in.size()), rule);
                    }};
    };
    const auto resample_gradient = [=, &backend, &in](const char* name, const Resample& rule) {
        return Case{name, 4 * static_cast<double>(batch * (rule.in.size() + rule.out().size())), 0,
                    [=, &backend, &in](std::int64_t i) {
                        backend.resample_gradient(in.wide_out.matrix(i, batch, rule.in.size()),
                                                  in.wide.matrix(i, batch, rule.out().size()), {},
                                                  rule, {});
                    }};
    };
    const auto pool = [=, &backend, &in](const char* name, const Pool& rule) {
        const double read = static_cast<double>(batch * maps.channels) * rule.vertical().covered() *
                            rule.horizontal().covered();
        return Case{name, 4 * (read + static_cast<double>(batch * rule.out().size())), 0,
                    [=, &backend, &in](std::int64_t i) {
                        backend.pool(in.wide_out.matrix(i, batch, rule.out().size()),
                                     in.wide.matrix(i, batch, pixels), rule);
                    }};
    };
    const auto pool_gradient = [=, &backend, &in](const char* name, const Pool& rule) {
        const double read = rule.kind == PoolKind::maximum
                                ? static_cast<double>(batch * maps.channels) *
                                      rule.vertical().covered() * rule.horizontal().covered()
                                : 0;
        return Case{name, 4 * (x + read + static_cast<double>(batch * rule.out().size())), 0,
                    [=, &backend, &in](std::int64_t i) {
                        backend.pool_gradient(in.wide_out.matrix(i, batch, pixels),
                                              in.wide.matrix(i + 1, batch, rule.out().size()),
                                              in.wide.matrix(i, batch, pixels), rule, {});
                    }};
    };
    const auto normalise = [=, &backend, &in](const char* name, const MapSets& sets) {
        return Case{name, 12 * x + 32 * planes, 0, [=, &backend, &in](std::int64_t i) {
                        backend.normalise_maps(in.wide_out.matrix(i, batch, pixels),
                                               {in.narrow_out.at(i), 2, sets.count(batch)}, {},
                                               {in.sums.data(), sets.sums(batch)},
                                               in.wide.matrix(i, batch, pixels), sets,
                                               in.bias.vector(0, maps.channels),
                                               {in.bias.at(0) + pixels, maps.channels}, relu);
                    }};
    };
    const auto normalise_gradient = [=, &backend, &in](const char* name, const MapSets& sets) {
        return Case{name, 20 * x + 32 * planes, 0, [=, &backend, &in](std::int64_t i) {
                        backend.normalise_maps_gradient(
                            in.wide_out.matrix(i, batch, pixels), in.narrow_out.vector(i, 12),
                            in.narrow_out.vector(i + 1, 12), {in.sums.data(), sets.sums(batch)},
                            in.wide.matrix(i, batch, pixels), in.wide.matrix(i + 1, batch, pixels),
                            {in.statistics_of_maps.data(), 2, sets.count(batch)}, sets,
                            in.bias.vector(0, maps.channels), {}, false);
                    }};
    };
    const auto curvature = [=, &backend, &in](const char* name, const MapSets& sets) {
        return Case{name, 32 * x + 104 * planes, 0, [=, &backend, &in](std::int64_t i) {
                        backend.normalise_maps_curvature(
                            in.wide_out.matrix(i, batch, pixels), in.narrow_out.vector(i, 12),
                            {in.sums.data(), sets.curvature_sums(batch)},
                            in.wide.matrix(i, batch, pixels), in.wide.matrix(i + 1, batch, pixels),
                            in.wide.matrix(i + 2, batch, pixels),
                            {in.statistics_of_maps.data(), 2, sets.count(batch)}, sets,
                            in.bias.vector(0, maps.channels));
                    }};
    };
    const RandomStream random = {.seed = 3, .purpose = 161, .draw = {}};
    const auto modulation = [=, &in](std::int64_t i) {
        return Modulation{in.narrow.matrix(i, batch, 2 * maps.channels),
                          in.bias.vector(0, maps.channels), random};
    };
    const double wider = static_cast<double>(batch * (pixels + maps.plane()));
    const double layer = static_cast<double>(pixels * hidden);
    const SpectralMatrix matrix = {1, hidden, pixels};
    return {
        normalise("normalise_maps, batch", batchwise),
        normalise("normalise_maps, instance", instances),
        normalise_gradient("normalise_maps_gradient, batch", batchwise),
        normalise_gradient("normalise_maps_gradient, instance", instances),
        {"normalise_maps_tangent, instance", 20 * x + 32 * planes, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.normalise_maps_tangent(
                 in.wide_out.matrix(i, batch, pixels), {in.sums.data(), instances.sums(batch)},
                 in.wide.matrix(i, batch, pixels), in.wide.matrix(i + 1, batch, pixels),
                 {in.statistics_of_maps.data(), 2, instances.count(batch)}, instances,
                 in.bias.vector(0, maps.channels));
         }},
        curvature("normalise_maps_curvature, batch", batchwise),
        curvature("normalise_maps_curvature, instance", instances),
        {"normalise_maps_by", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.normalise_maps_by(
                 in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                 {in.statistics_of_maps.data(), 2, maps.channels}, batchwise,
                 in.bias.vector(0, maps.channels), {in.bias.at(0) + pixels, maps.channels}, relu);
         }},
        {"activate_sum relu", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.activate_sum(in.wide_out.matrix(i, batch, pixels),
                                  in.wide.matrix(i, batch, pixels),
                                  in.wide.matrix(i + 1, batch, pixels), relu);
         }},
        pool("pool, maximum 2/2", {.in = maps}),
        pool("pool, maximum 3/2", {.in = maps, .kernel = 3, .padding = 1}),
        pool("pool, average 2/2", {.kind = PoolKind::average, .in = maps}),
        pool("pool, global average", {.kind = PoolKind::adaptive_average, .in = maps}),
        pool_gradient("pool_gradient, maximum 2/2", {.in = maps}),
        pool_gradient("pool_gradient, global average",
                      {.kind = PoolKind::adaptive_average, .in = maps}),
        resample("resample, reflection 1", {ResampleKind::reflection_padding, patch, 1, 1, 1, 1}),
        resample("resample, nearest x2", {ResampleKind::nearest, {3, 50, 25}}),
        resample("resample, bilinear x2", {ResampleKind::bilinear, {3, 50, 25}}),
        resample("resample, shuffle 2", {ResampleKind::shuffle, {12, 25, 25}}),
        resample_gradient("resample_gradient, reflection 1",
                          {ResampleKind::reflection_padding, patch, 1, 1, 1, 1}),
        resample_gradient("resample_gradient, nearest x2", {ResampleKind::nearest, {3, 50, 25}}),
        resample_gradient("resample_gradient, bilinear x2", {ResampleKind::bilinear, {3, 50, 25}}),
        {"modulate, FiLM and noise", 8 * x + 8 * planes, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.modulate(in.wide_out.matrix(i, batch, pixels),
                              in.wide.matrix(i, batch, pixels), maps, modulation(i), relu);
         }},
        {"modulate_gradient, FiLM and noise", 16 * x + 28 * planes, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.modulate_gradient(
                 in.wide_out.matrix(i, batch, pixels),
                 in.narrow_out.matrix(i, batch, 2 * maps.channels),
                 in.narrow_out.vector(i + 1, maps.channels),
                 {in.sums.data(), batch * maps.channels}, in.wide.matrix(i + 1, batch, pixels),
                 in.wide.matrix(i, batch, pixels), maps, modulation(i), {}, false);
         }},
        {"append_deviation, groups of 4", 4 * (x + wider), 0,
         [=, &backend, &in](std::int64_t i) {
             backend.append_deviation(in.wide_out.matrix(i, batch, pixels + maps.plane()),
                                      in.wide.matrix(i, batch, pixels), maps, 4);
         }},
        {"append_deviation_gradient, groups of 4", 4 * (2 * x + wider), 0,
         [=, &backend, &in](std::int64_t i) {
             backend.append_deviation_gradient(in.wide_out.matrix(i, batch, pixels),
                                               in.wide.matrix(i + 1, batch, pixels + maps.plane()),
                                               in.wide.matrix(i, batch, pixels), maps, 4);
         }},
        {"spectral_normalise, 256 x 7500", 16 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.spectral_normalise(in.first_moment.vector(i, pixels * hidden),
                                        in.statistics.view().part(0, 1), in.bias.vector(0, hidden),
                                        {in.bias.at(0) + pixels, pixels},
                                        in.weight.vector(i, pixels * hidden), matrix, 1);
         }},
        {"spectral_gradient, 256 x 7500", 16 * layer, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.spectral_gradient(
                 in.first_moment.vector(i + 1, pixels * hidden),
                 in.weight.vector(i + 1, pixels * hidden), in.weight.vector(i, pixels * hidden),
                 in.statistics_of_maps.view().part(0, 1), in.bias.vector(0, hidden),
                 {in.bias.at(0) + pixels, pixels}, matrix, false);
         }},
        {"jitter_stain", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.jitter_stain(in.wide_out.matrix(i, batch, pixels),
                                  in.wide.matrix(i, batch, pixels),
                                  {.range = PixelRange::signed_unit, .random = random});
         }},
        {"jitter_stain_gradient", 12 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.jitter_stain_gradient(in.wide_out.matrix(i, batch, pixels),
                                           in.wide.matrix(i + 1, batch, pixels),
                                           in.wide.matrix(i, batch, pixels),
                                           {.range = PixelRange::signed_unit, .random = random});
         }},
        {"translate, 6 lines", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.translate(in.wide_out.matrix(i, batch, pixels),
                               in.wide.matrix(i, batch, pixels), patch, 6, random);
         }},
        {"cutout, 25 lines", 8 * x, 0,
         [=, &backend, &in](std::int64_t i) {
             backend.cutout(in.wide_out.matrix(i, batch, pixels), in.wide.matrix(i, batch, pixels),
                            patch, 25, random);
         }},
    };
}

} // namespace patchforge::bench
