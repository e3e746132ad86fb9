#pragma once

#include "data/png.h"
#include "data/random_sequence.h"

#include <array>
#include <cstdint>
#include <vector>

namespace patchforge {

/// What differs from patient to patient: the stain's colours and strengths, focus and anatomy.
struct TissueStyle {
    std::array<float, 3> haematoxylin; // optical density of the stain in red, green, blue
    std::array<float, 3> eosin;
    std::array<float, 3> white; // 0..255, the light without tissue
    float haematoxylin_strength;
    float eosin_strength;
    float blur;            // share of each neighbour in a 3-tap blur, 0 sharp … 0.25
    float fat;             // share of patches with fat, 0..1
    float fat_cell;        // diameter in pixels
    float grade;           // 0..1: how far tumour nuclei are from normal ones
    float fibre_direction; // radians
    float fibre_contrast;

    static TissueStyle draw(RandomSequence& random);
};

/// Paints H&E-like patches at the scale of the real ones: about 2 micrometres a pixel, so that a
/// nucleus is 2 to 4 pixels and a fat cell 8 to 13 pixels wide.
///
/// Two fields, the concentrations of haematoxylin (blue, nuclei) and eosin (pink, everything else),
/// are painted: stroma of curved fibres, nests of tumour or glands and lymphocytes, fat as
/// Voronoi cells, clefts, then nuclei. Light passes through both as Beer and Lambert say:
/// intensity = white * exp(-(H * haematoxylin + E * eosin)) per colour.
///
/// Keeps its buffers from patch to patch; use one for each thread.
class TissuePainter {
  public:
    /// `noise_seed` fixes the table of noise. Patches are size x size pixels.
    TissuePainter(int size, std::uint64_t noise_seed);

    /// `cancer`: the class. The same style and random state give the same bytes.
    Image paint(const TissueStyle& style, bool cancer, RandomSequence random);

  private:
    struct Scene;
    struct Nucleus;

    float noise(float u, float v) const;
    void paint_ground(const TissueStyle& style, const Scene& scene);
    void paint_fat(const TissueStyle& style, const Scene& scene);
    void paint_nuclei(const TissueStyle& style, const Scene& scene, RandomSequence& random);
    void paint_nucleus(const Nucleus& nucleus);
    void blur(std::vector<float>& field, float share);
    Image develop(const TissueStyle& style, RandomSequence& random) const;

    int size_;
    std::vector<float> noise_table_;
    std::vector<float> haematoxylin_; // (size, size) concentrations
    std::vector<float> eosin_;
    std::vector<float> nest_;   // 0..1: inside a nest of cells
    std::vector<float> hollow_; // 0..1: no tissue here
    std::vector<float> fat_;    // 0..1: inside fat
    std::vector<float> scratch_;
};

} // namespace patchforge
