// What happens to a forged picture on its way to the classifier when it is printed and photographed:
// size, place, sharpness, brightness and a file format's rounding, drawn anew every time.
#pragma once

#include <string>

#include "kernels/backend.h"

namespace patchforge {

// kernels/operations/photograph.h has the formulas.
struct PhysicalChange {
    double scale = 0;      // of the size, 1 -+ scale
    double shift = 0;      // in pixels, each way
    double blur = 0;       // by what a tent's radius of one pixel grows
    double brightness = 0; // 1 -+ brightness
    int jpeg = 0;          // lowest quality of a rounding of 8 x 8 blocks; 0: none

    bool active() const { return !(*this == PhysicalChange()); }
    std::string text() const; // "scale=0.1,shift=2"; "none"
    friend bool operator==(const PhysicalChange&, const PhysicalChange&) = default;
};

// "none", "physical" (a print seen again: scale=0.1,shift=2,blur=1,brightness=0.2,jpeg=50) or parts
// of it with commas. Throws std::invalid_argument: --transform.
PhysicalChange parse_physical_change(const std::string& text);

// Makes the change, row by row.
class Camera {
  public:
    Camera(Backend& backend, Extent extent, std::int64_t capacity, const PhysicalChange& change);

    // Enqueues what becomes of x [B, pixels], in [0, 1]; valid until the next call.
    Matrix<float> see(Matrix<const float> x, const RandomStream& random);
    // dx = the gradient by x, from dy, that by what was seen under the same stream. Rounding and the
    // cut to [0, 1] count as the identity, whose slope they have on the average.
    void gradient(Matrix<float> dx, Matrix<const float> dy, const RandomStream& random);

  private:
    Photograph photograph(const RandomStream& random) const;

    Backend* backend_;
    Extent extent_;
    PhysicalChange change_;
    DeviceArray<float> seen_;
    DeviceArray<float> rounded_; // with a jpeg quality
};

} // namespace patchforge
