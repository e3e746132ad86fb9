// The rules of kernels/resample.h along one axis: output i of a picture reads input at(i, t) with
// weight(t) for t = 0 ... taps - 1, none where at is negative. Each has its transpose, under which input
// i is read by output at(i, t).
#pragma once

#include "kernels/host_device.h"

namespace patchforge {

// Padding with zeros, cropping and moving: output i reads input i - shift of `size`. The transpose is one
// by -shift, of as many as there are outputs.
struct ShiftedTaps {
    static constexpr int taps = 1;
    int shift, size;

    PATCHFORGE_HOST_DEVICE int at(int i, int) const {
        const int j = i - shift;
        return j >= 0 && j < size ? j : -1;
    }
    PATCHFORGE_HOST_DEVICE static float weight(int) { return 1.0f; }
};

// Padding by reflection of fewer lines than there are.
struct ReflectedTaps {
    static constexpr int taps = 1;
    int before, in;

    PATCHFORGE_HOST_DEVICE int at(int i, int) const {
        const int j = i < before ? before - i : i - before;
        return j < in ? j : 2 * (in - 1) - j;
    }
    PATCHFORGE_HOST_DEVICE static float weight(int) { return 1.0f; }
};

// A line is read in its own place, as a reflection on the near side and as one on the far side. Edges are
// not reflected.
struct ReflectedTranspose {
    static constexpr int taps = 3;
    int before, in, out;

    PATCHFORGE_HOST_DEVICE int at(int i, int t) const {
        if (t == 0) {
            return before + i;
        }
        if (t == 1) {
            return i > 0 ? before - i : -1;
        }
        const int far = before + 2 * (in - 1) - i;
        return i < in - 1 && far < out ? far : -1;
    }
    PATCHFORGE_HOST_DEVICE static float weight(int) { return 1.0f; }
};

struct NearestTaps {
    static constexpr int taps = 1;

    PATCHFORGE_HOST_DEVICE int at(int i, int) const { return i / 2; }
    PATCHFORGE_HOST_DEVICE static float weight(int) { return 1.0f; }
};

struct NearestTranspose {
    static constexpr int taps = 2;
    int out;

    PATCHFORGE_HOST_DEVICE int at(int i, int t) const { return 2 * i + t < out ? 2 * i + t : -1; }
    PATCHFORGE_HOST_DEVICE static float weight(int) { return 1.0f; }
};

struct BilinearTaps {
    static constexpr int taps = 2;
    int in;

    PATCHFORGE_HOST_DEVICE int at(int i, int t) const {
        const int j = t == 0 ? i / 2 : i / 2 + (i % 2 == 0 ? -1 : 1);
        return j < 0 ? 0 : j < in ? j : in - 1;
    }
    PATCHFORGE_HOST_DEVICE static float weight(int t) { return t == 0 ? 0.75f : 0.25f; }
};

// Lines 2 i and 2 i + 1 read input i for the most part, those around them a quarter; at the edges the
// outermost one takes its quarter from there as well.
struct BilinearTranspose {
    static constexpr int taps = 4;
    int in, out;

    PATCHFORGE_HOST_DEVICE int at(int i, int t) const {
        const int j = 2 * i + (t < 2 ? t : t == 2 ? -1 : 2);
        const int edge = j < 0 ? 0 : j < 2 * in ? j : 2 * in - 1;
        return edge < out ? edge : -1;
    }
    PATCHFORGE_HOST_DEVICE static float weight(int t) { return t < 2 ? 0.75f : 0.25f; }
};

} // namespace patchforge
