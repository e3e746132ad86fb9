#include "data/tissue_painter.h"

#include <algorithm>
#include <cmath>

namespace patchforge {

namespace {

constexpr int table_side = 64; // a power of two: the table wraps around
constexpr float pi = 3.14159265f;

float fade(float t) {
    return t * t * (3.0f - 2.0f * t);
}

/// 0 below low, 1 above high, smooth between.
float step_between(float low, float high, float value) {
    return fade(std::clamp((value - low) / (high - low), 0.0f, 1.0f));
}

/// The noise is bell-shaped about 0.5; above this threshold lies about `share` of it.
float threshold_for(float share) {
    return 0.5f + 0.44f * (0.5f - share);
}

int floor_to_int(float value) {
    const int truncated = static_cast<int>(value);
    return truncated - (value < static_cast<float>(truncated));
}

} // namespace

TissueStyle TissueStyle::draw(RandomSequence& random) {
    // Optical densities measured by eye on public H&E patches: nuclei near (80, 60, 120), stroma
    // near (222, 145, 185). Each patient's laboratory stains a little differently.
    const auto near = [&](std::array<float, 3> colour, float spread) {
        for (float& density : colour) {
            density *= random.uniform(1.0f - spread, 1.0f + spread);
        }
        return colour;
    };
    TissueStyle style;
    style.haematoxylin = near({0.64f, 0.72f, 0.36f}, 0.10f);
    style.eosin = near({0.11f, 0.52f, 0.31f}, 0.18f);
    const float light = random.uniform(236.0f, 249.0f);
    style.white = {light, light - random.uniform(0.0f, 5.0f), light - random.uniform(0.0f, 3.0f)};
    style.haematoxylin_strength = random.uniform(0.75f, 1.3f);
    style.eosin_strength = random.uniform(0.55f, 1.3f);
    style.blur = random.uniform(0.0f, 0.12f);
    style.fat = random.uniform(0.1f, 0.7f);
    style.fat_cell = random.uniform(8.0f, 13.0f);
    style.grade = random.uniform(0.0f, 1.0f);
    style.fibre_direction = random.uniform(0.0f, pi);
    style.fibre_contrast = random.uniform(0.6f, 1.2f);
    return style;
}

/// What is in one patch. Offsets place each noise field at its own spot of the table.
struct TissuePainter::Scene {
    float offset;
    float cosine; // of the fibres' direction
    float sine;
    float nest_share; // of the area; 0: none
    float nest_length;
    float nest_edge;
    bool tumour; // nests of tumour, else of lymphocytes
    float fat_share;
    float cleft;    // 0..1: how readily tissue tears
    float cellular; // density of stromal nuclei
    float density;  // of nuclei in nests, 0..1
    float gland_x;  // centre of a gland, with radius 0 where there is none
    float gland_y;
    float gland_radius;
    float gland_flat; // ratio of its axes
};

struct TissuePainter::Nucleus {
    float x;
    float y;
    float long_radius; // pixels
    float short_radius;
    float cosine;
    float sine;
    float irregularity;
    float strength;
    float offset;
};

TissuePainter::TissuePainter(int size, std::uint64_t noise_seed)
    : size_(size), noise_table_(table_side * table_side) {
    RandomSequence random(noise_seed);
    for (float& value : noise_table_) {
        value = random.uniform();
    }
    const std::size_t area = static_cast<std::size_t>(size) * size;
    for (auto* field : {&haematoxylin_, &eosin_, &nest_, &hollow_, &fat_, &scratch_}) {
        field->resize(area);
    }
}

/// Value noise in [0, 1]: the table's values at whole (u, v), blended between.
float TissuePainter::noise(float u, float v) const {
    const int u0 = floor_to_int(u);
    const int v0 = floor_to_int(v);
    const float fu = fade(u - static_cast<float>(u0));
    const float fv = fade(v - static_cast<float>(v0));
    constexpr int mask = table_side - 1;
    const float* row = noise_table_.data() + (v0 & mask) * table_side;
    const float* next = noise_table_.data() + ((v0 + 1) & mask) * table_side;
    const int left = u0 & mask;
    const int right = (u0 + 1) & mask;
    const float above = row[left] + fu * (row[right] - row[left]);
    const float below = next[left] + fu * (next[right] - next[left]);
    return above + fv * (below - above);
}

/// Stroma, nests and clefts: everything that has no hard outline.
void TissuePainter::paint_ground(const TissueStyle& style, const Scene& scene) {
    const float o = scene.offset;
    const float nest_threshold = threshold_for(scene.nest_share);
    const float fat_threshold = threshold_for(scene.fat_share);
    for (int y = 0; y < size_; ++y) {
        for (int x = 0; x < size_; ++x) {
            const std::size_t i = static_cast<std::size_t>(y) * size_ + x;
            const auto px = static_cast<float>(x);
            const auto py = static_cast<float>(y);
            // Fibres: noise stretched along a direction that bends slowly over the patch.
            const float bend = 14.0f * (noise(px * 0.045f + o, py * 0.045f) - 0.5f);
            const float along = scene.cosine * px + scene.sine * py;
            const float across = -scene.sine * px + scene.cosine * py + bend;
            const float coarse = noise(along * 0.07f + o, across * 0.38f + 11.0f);
            const float fine = noise(along * 0.2f + 23.0f, across * 0.95f + o);
            const float grain = noise(px * 0.8f + o, py * 0.8f + 37.0f);
            const float fibre = 0.42f * coarse + 0.33f * fine + 0.25f * grain;
            float eosin = 0.78f + style.fibre_contrast * (fibre - 0.5f);
            float haematoxylin = 0.07f + 0.05f * grain;

            float nest = 0.0f;
            if (scene.nest_share > 0.0f) {
                const float field =
                    0.7f * noise(along * scene.nest_length + 3.0f, across * 0.11f + o) +
                    0.3f * noise(px * 0.27f + o, py * 0.27f + 51.0f);
                nest = step_between(nest_threshold - scene.nest_edge,
                                    nest_threshold + scene.nest_edge, field);
                // Tissue shrinks away from the rim of a nest when it is prepared.
                const float rim = 1.0f - std::abs(field - nest_threshold + 0.03f) / 0.045f;
                if (rim > 0.0f && noise(px * 0.12f + 7.0f, py * 0.12f + o) < scene.cleft) {
                    nest = std::min(nest, 1.0f - rim);
                    eosin *= 1.0f - 0.9f * std::min(1.0f, 2.0f * rim);
                }
            }
            const float cell_body = scene.tumour ? 0.3f : 0.22f;
            haematoxylin += nest * (cell_body + 0.14f * (fine - 0.5f));
            eosin = eosin * (1.0f - nest) + nest * (0.62f + 0.3f * (grain - 0.5f));

            // Tears along the fibres.
            const float tear = noise(along * 0.06f + 29.0f, across * 0.3f + o + 5.0f);
            float hollow =
                step_between(0.93f - 0.2f * scene.cleft, 1.0f - 0.17f * scene.cleft, tear);
            float fat = 0.0f;
            if (scene.fat_share > 0.0f) {
                const float field = 0.8f * noise(px * 0.055f + o, py * 0.055f + 19.0f) +
                                    0.2f * noise(px * 0.2f + o, py * 0.2f + 43.0f);
                fat = step_between(fat_threshold - 0.01f, fat_threshold + 0.01f, field);
            }
            if (scene.gland_radius > 0.0f) {
                const float dx = px - scene.gland_x;
                const float dy = (py - scene.gland_y) * scene.gland_flat;
                const float radius =
                    std::sqrt(dx * dx + dy * dy) + 4.0f * (grain - 0.5f) - scene.gland_radius;
                hollow = std::max(hollow, 1.0f - step_between(-1.2f, 0.4f, radius));
                const float wall = 1.0f - step_between(2.5f, 4.5f, std::abs(radius - 2.0f));
                nest = std::max(nest, wall);
                haematoxylin += 0.3f * wall;
                fat *= step_between(5.0f, 7.0f, radius);
            }
            const float solid = 1.0f - hollow;
            haematoxylin_[i] = haematoxylin * solid;
            eosin_[i] = eosin * solid;
            nest_[i] = nest * solid * (1.0f - fat);
            hollow_[i] = hollow;
            fat_[i] = fat;
        }
    }
}

/// Fat: Voronoi cells about the points of a jittered grid, empty inside, thin walls between.
void TissuePainter::paint_fat(const TissueStyle& style, const Scene& scene) {
    const float pitch = 1.0f / style.fat_cell;
    const auto seed = static_cast<std::uint32_t>(scene.offset * 4096.0f);
    const auto point = [&](int column, int row, float& x, float& y) {
        const std::uint64_t bits =
            mix_bits(seed ^ (std::uint64_t{static_cast<std::uint32_t>(column)} << 32 |
                             static_cast<std::uint32_t>(row)) *
                                0x9e3779b97f4a7c15);
        x = static_cast<float>(column) + 0.12f + 0.76f * static_cast<float>(bits >> 48) * 0x1p-16f;
        y = static_cast<float>(row) + 0.12f +
            0.76f * static_cast<float>((bits >> 32) & 0xffff) * 0x1p-16f;
    };
    // The grid's points once, with a margin of one cell around the patch.
    const int side = static_cast<int>(static_cast<float>(size_) * pitch) + 4;
    std::vector<float> points(static_cast<std::size_t>(side) * side * 2);
    for (int row = 0; row < side; ++row) {
        for (int column = 0; column < side; ++column) {
            float* p = &points[(static_cast<std::size_t>(row) * side + column) * 2];
            point(column - 1, row - 1, p[0], p[1]);
        }
    }
    for (int y = 0; y < size_; ++y) {
        for (int x = 0; x < size_; ++x) {
            const std::size_t i = static_cast<std::size_t>(y) * size_ + x;
            if (fat_[i] == 0.0f) {
                continue;
            }
            const float u = static_cast<float>(x) * pitch;
            const float v = static_cast<float>(y) * pitch;
            float nearest = 1e9f;
            float second = 1e9f;
            for (int row = static_cast<int>(v); row <= static_cast<int>(v) + 2; ++row) {
                for (int column = static_cast<int>(u); column <= static_cast<int>(u) + 2;
                     ++column) {
                    const float* p = &points[(static_cast<std::size_t>(row) * side + column) * 2];
                    const float du = p[0] - u;
                    const float dv = p[1] - v;
                    const float distance = du * du + dv * dv;
                    second = std::min(second, std::max(nearest, distance));
                    nearest = std::min(nearest, distance);
                }
            }
            // Half the difference of distances is about the distance to the wall.
            const float wall = 0.5f * (std::sqrt(second) - std::sqrt(nearest)) * style.fat_cell;
            const float membrane = 1.0f - step_between(0.05f, 0.7f, wall);
            const float fat = fat_[i];
            eosin_[i] = eosin_[i] * (1.0f - fat) + fat * (0.02f + 0.5f * membrane);
            haematoxylin_[i] = haematoxylin_[i] * (1.0f - fat) + fat * 0.1f * membrane;
            hollow_[i] = std::max(hollow_[i], fat * (1.0f - membrane));
        }
    }
}

/// Adds one irregular ellipse with a granular inside to the haematoxylin, and takes eosin away.
void TissuePainter::paint_nucleus(const Nucleus& nucleus) {
    const float reach = nucleus.long_radius * 1.3f + 1.0f;
    const int x0 = std::max(0, static_cast<int>(nucleus.x - reach));
    const int x1 = std::min(size_ - 1, static_cast<int>(nucleus.x + reach) + 1);
    const int y0 = std::max(0, static_cast<int>(nucleus.y - reach));
    const int y1 = std::min(size_ - 1, static_cast<int>(nucleus.y + reach) + 1);
    const float edge = nucleus.short_radius; // so that the outline fades over one pixel
    for (int y = y0; y <= y1; ++y) {
        for (int x = x0; x <= x1; ++x) {
            const auto px = static_cast<float>(x);
            const auto py = static_cast<float>(y);
            const float dx = px - nucleus.x;
            const float dy = py - nucleus.y;
            const float a = (nucleus.cosine * dx + nucleus.sine * dy) / nucleus.long_radius;
            const float b = (-nucleus.sine * dx + nucleus.cosine * dy) / nucleus.short_radius;
            const float squared = a * a + b * b;
            if (squared > 2.6f) {
                continue;
            }
            const float texture = noise(px * 0.7f + nucleus.offset, py * 0.7f) - 0.5f;
            const float radius = std::sqrt(squared) + nucleus.irregularity * texture;
            const float cover = std::clamp((1.0f - radius) * edge + 0.5f, 0.0f, 1.0f);
            if (cover > 0.0f) {
                const std::size_t i = static_cast<std::size_t>(y) * size_ + x;
                const float density = nucleus.strength * (1.0f + 0.7f * texture);
                haematoxylin_[i] += cover * std::max(0.0f, density - 0.4f * haematoxylin_[i]);
                eosin_[i] *= 1.0f - 0.35f * cover;
            }
        }
    }
}

/// One candidate in each cell of a 3-pixel grid; the tissue under it decides whether there is a
/// nucleus and of what kind.
void TissuePainter::paint_nuclei(const TissueStyle& style, const Scene& scene,
                                 RandomSequence& random) {
    constexpr float cell = 3.0f;
    const int cells = static_cast<int>(static_cast<float>(size_) / cell) + 2;
    for (int row = 0; row < cells; ++row) {
        for (int column = 0; column < cells; ++column) {
            // Drawn for every cell, used or not, to keep the sequence simple.
            const float x = cell * (static_cast<float>(column) - 0.5f + random.uniform());
            const float y = cell * (static_cast<float>(row) - 0.5f + random.uniform());
            const float lot = random.uniform();
            const float variation = random.uniform(-1.0f, 1.0f);
            const float turn = random.uniform(0.0f, pi);
            const int at_x = std::clamp(static_cast<int>(x), 0, size_ - 1);
            const int at_y = std::clamp(static_cast<int>(y), 0, size_ - 1);
            const std::size_t i = static_cast<std::size_t>(at_y) * size_ + at_x;
            if (hollow_[i] > 0.5f) {
                continue;
            }
            Nucleus nucleus{};
            nucleus.x = x;
            nucleus.y = y;
            nucleus.offset = 64.0f * lot + scene.offset;
            if (nest_[i] > 0.45f) {
                if (lot > scene.density) {
                    continue;
                }
                const float grade = scene.tumour ? style.grade : 0.0f;
                const float size = scene.tumour ? 1.2f + 0.45f * grade : 1.0f;
                const float spread = scene.tumour ? 0.15f + 0.2f * grade : 0.1f;
                nucleus.long_radius = size * (1.0f + spread * variation);
                nucleus.short_radius = nucleus.long_radius * (scene.tumour ? 0.75f : 0.92f);
                nucleus.irregularity = scene.tumour ? 0.5f + 0.6f * grade : 0.25f;
                nucleus.strength = (scene.tumour ? 0.85f : 1.15f) * (1.0f + 0.2f * variation);
                nucleus.cosine = std::cos(turn);
                nucleus.sine = std::sin(turn);
            } else {
                const float likely = fat_[i] > 0.5f ? 0.05f : scene.cellular;
                if (lot > likely) {
                    continue;
                }
                const float lean = 0.35f * variation; // spindle cells lie along the fibres
                nucleus.long_radius = 1.7f + 0.5f * variation;
                nucleus.short_radius = 0.65f;
                nucleus.irregularity = 0.3f;
                nucleus.strength = 0.85f;
                nucleus.cosine = scene.cosine - lean * scene.sine;
                nucleus.sine = scene.sine + lean * scene.cosine;
            }
            paint_nucleus(nucleus);
        }
    }
}

void TissuePainter::blur(std::vector<float>& field, float share) {
    const int n = size_;
    const float centre = 1.0f - 2.0f * share;
    for (int y = 0; y < n; ++y) {
        const float* row = field.data() + static_cast<std::size_t>(y) * n;
        float* out = scratch_.data() + static_cast<std::size_t>(y) * n;
        for (int x = 0; x < n; ++x) {
            out[x] =
                centre * row[x] + share * (row[std::max(x - 1, 0)] + row[std::min(x + 1, n - 1)]);
        }
    }
    for (int y = 0; y < n; ++y) {
        const float* row = scratch_.data() + static_cast<std::size_t>(y) * n;
        const float* above = scratch_.data() + static_cast<std::size_t>(std::max(y - 1, 0)) * n;
        const float* below = scratch_.data() + static_cast<std::size_t>(std::min(y + 1, n - 1)) * n;
        float* out = field.data() + static_cast<std::size_t>(y) * n;
        for (int x = 0; x < n; ++x) {
            out[x] = centre * row[x] + share * (above[x] + below[x]);
        }
    }
}

/// Beer-Lambert, plus two grey levels of camera noise.
Image TissuePainter::develop(const TissueStyle& style, RandomSequence& random) const {
    Image image{size_, size_, 3, {}};
    const std::size_t area = haematoxylin_.size();
    image.pixels.resize(3 * area);
    for (std::size_t i = 0; i < area; ++i) {
        const float h = haematoxylin_[i] * style.haematoxylin_strength;
        const float e = eosin_[i] * style.eosin_strength;
        const std::uint64_t bits = random.bits();
        for (int c = 0; c < 3; ++c) {
            const float density = h * style.haematoxylin[c] + e * style.eosin[c];
            const float grain =
                (static_cast<float>(bits >> (16 * c) & 0xffff) * 0x1p-15f - 1.0f) * 2.0f;
            const float value = style.white[c] * std::exp(-density) + grain;
            image.pixels[c * area + i] =
                static_cast<std::uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
        }
    }
    return image;
}

Image TissuePainter::paint(const TissueStyle& style, bool cancer, RandomSequence random) {
    Scene scene{};
    scene.offset = random.uniform(0.0f, 64.0f);
    const float direction = style.fibre_direction + random.uniform(-0.9f, 0.9f);
    scene.cosine = std::cos(direction);
    scene.sine = std::sin(direction);
    scene.tumour = cancer;
    scene.cleft = random.uniform();
    scene.cleft *= scene.cleft;
    const float share = random.uniform();
    const float fat_lot = random.uniform();
    const float fat_share = random.uniform();
    const float gland_lot = random.uniform();
    if (cancer) {
        scene.nest_share = 0.25f + 0.75f * share;
        scene.nest_edge = 0.03f;
        scene.nest_length = 0.07f;
        scene.density = random.uniform(0.55f, 0.95f);
        scene.cellular = random.uniform(0.06f, 0.22f);
        scene.fat_share = fat_lot < 0.35f * style.fat ? 0.1f + 0.4f * fat_share : 0.0f;
    } else {
        scene.nest_share = share > 0.7f ? 0.1f + 1.8f * (share - 0.7f) : 0.0f;
        scene.nest_edge = 0.06f;
        scene.nest_length = 0.1f;
        scene.density = random.uniform(0.5f, 0.95f);
        scene.cellular = random.uniform(0.02f, 0.18f);
        scene.fat_share = fat_lot < style.fat ? 0.15f + 0.85f * fat_share : 0.0f;
        if (gland_lot < 0.15f) {
            const auto side = static_cast<float>(size_);
            scene.gland_x = random.uniform(0.1f, 0.9f) * side;
            scene.gland_y = random.uniform(0.1f, 0.9f) * side;
            scene.gland_radius = random.uniform(2.0f, 9.0f);
            scene.gland_flat = random.uniform(0.6f, 1.6f);
        }
    }
    paint_ground(style, scene);
    if (scene.fat_share > 0.0f) {
        paint_fat(style, scene);
    }
    paint_nuclei(style, scene, random);
    blur(haematoxylin_, style.blur);
    blur(eosin_, style.blur);
    return develop(style, random);
}

} // namespace patchforge
