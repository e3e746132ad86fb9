// Every distinct convolution of the convolutional networks that are trained here, forward, input
// gradient and weight gradient each alone: light, DCGAN with 16 and 64 channels, tissue. For
// bench/peers/compare.py, which runs the same in PyTorch; docs/kernels/convolution.md says what each
// of them costs at least.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "bench/measure.h"
#include "host/files/json.h"
#include "host/run/version.h"
#include "kernels/convolution_shape.h"

namespace patchforge::bench {
namespace {

ConvolutionShape convolution(int in, int out, int side, int kernel, int stride, int padding) {
    return {ConvolutionKind::convolution, {in, side, side}, out, kernel, kernel, stride, padding};
}

ConvolutionShape transposed(int in, int out, int side, int kernel, int stride, int padding) {
    return {ConvolutionKind::transposed, {in, side, side}, out, kernel, kernel, stride, padding};
}

// cropped: 7 > 13 instead of 14.
ConvolutionShape upsampled(int in, int out, int side, bool cropped) {
    return {ConvolutionKind::upsampled, {in, side, side}, out, 3, 3, 1, 1, 1, 1, cropped ? -1 : 0};
}

// c: channels of the discriminator's first layer. 50 > 25 > 13 > 7 > 4 > 1 and back.
void add_dcgan(std::vector<ConvolutionShape>& shapes, int c) {
    shapes.push_back(convolution(3, c, 50, 4, 2, 1));
    for (const auto& [side, width] : {std::pair{25, c}, {13, 2 * c}, {7, 4 * c}}) {
        shapes.push_back(convolution(width, 2 * width, side, 3, 2, 1));
    }
    for (const auto& [side, width] : {std::pair{4, 8 * c}, {7, 4 * c}, {13, 2 * c}}) {
        shapes.push_back(transposed(width, width / 2, side, 3, 2, 1));
    }
    shapes.push_back(transposed(c, 3, 25, 4, 2, 1));
}

void add_light(std::vector<ConvolutionShape>& shapes, int c) {
    shapes.push_back(upsampled(4 * c, 2 * c, 7, true));
    shapes.push_back(upsampled(2 * c, c, 13, true));
    shapes.push_back(upsampled(c, 3, 25, false));
}

void add_tissue(std::vector<ConvolutionShape>& shapes) {
    shapes.push_back(upsampled(64, 64, 7, false));
    shapes.push_back(upsampled(64, 32, 14, false));
    shapes.push_back(upsampled(32, 16, 28, false));
    shapes.push_back(convolution(16, 16, 56, 3, 1, 1));
    shapes.push_back(convolution(64, 3, 14, 1, 1, 0));
    shapes.push_back(convolution(32, 3, 28, 1, 1, 0));
    shapes.push_back(convolution(16, 3, 56, 3, 1, 1));
    shapes.push_back(convolution(3, 16, 50, 3, 1, 1));
    shapes.push_back(convolution(16, 32, 50, 4, 2, 1));
    shapes.push_back(convolution(129, 128, 7, 3, 2, 1));
    shapes.push_back(convolution(64, 1, 13, 1, 1, 0));
}

// "conv 3>16 k4 s2 p1 50": the words of docs/formats.md and the side of what comes in.
std::string words(const ConvolutionShape& s) {
    const std::string channels = fmt::format("{}>{}", s.in.channels, s.out_channels);
    if (s.kind == ConvolutionKind::upsampled) {
        return fmt::format("upsampled {}{} {}", channels, s.output_padding < 0 ? " crop" : "",
                           s.in.height);
    }
    return fmt::format("{} {} k{} s{} p{} {}",
                       s.kind == ConvolutionKind::transposed ? "transposed" : "conv", channels,
                       s.kernel_height, s.stride, s.padding, s.in.height);
}

std::string kind_of(const ConvolutionShape& s) {
    if (s.kind == ConvolutionKind::upsampled) {
        return "nearest x2 + 3x3";
    }
    if (s.in.channels <= 3) {
        return "of at most 3 channels";
    }
    if (s.out_channels <= 3) {
        return s.kernel_width == 1 ? "1x1 to at most 3 channels" : "to at most 3 channels";
    }
    return s.kind == ConvolutionKind::transposed ? "transposed, stride 2"
           : s.stride == 2                       ? "stride 2"
                                                 : "stride 1";
}

void run(const Options& options) {
    std::vector<ConvolutionShape> shapes;
    add_dcgan(shapes, 16);
    add_dcgan(shapes, 64);
    add_light(shapes, 16);
    add_tissue(shapes);
    Json texts = Json::array();
    for (const ConvolutionShape& shape : shapes) {
        texts.push_back(words(shape));
    }
    const auto backend = make_backend(options.device, {.threads = options.threads});
    const Machine machine = measure_machine(*backend, options.threads);
    Table table({"convolution", "pass", "batch", "ms", "GFLOP/s", "share of peak"});
    std::vector<std::string> json;
    for (const std::int64_t batch : options.batches) {
        for (const ConvolutionShape& shape : shapes) {
            const DeviceArray<float> x = random_array(*backend, batch * shape.inputs(), 1);
            const DeviceArray<float> dy = random_array(*backend, batch * shape.outputs(), 2);
            const DeviceArray<float> weight = random_array(*backend, shape.weights(), 3);
            DeviceArray<float> y(*backend, batch * shape.outputs());
            DeviceArray<float> dx(*backend, batch * shape.inputs());
            DeviceArray<float> d_weight(*backend, shape.weights());
            const Matrix<const float> inputs = x.matrix(batch, shape.inputs());
            const Matrix<const float> gradients = dy.matrix(batch, shape.outputs());
            const std::pair<const char*, std::function<void()>> passes[] = {
                {"forward",
                 [&] {
                     backend->convolution_forward(y.matrix(batch, shape.outputs()), inputs,
                                                  weight.view(), {}, {}, shape);
                 }},
                {"input gradient",
                 [&] {
                     backend->convolution_input_gradient(dx.matrix(batch, shape.inputs()),
                                                         gradients, weight.view(), inputs, {},
                                                         shape);
                 }},
                {"weight gradient", [&] {
                     backend->convolution_weight_gradient(d_weight.view(), {}, gradients, inputs,
                                                          false, shape);
                 }}};
            for (const auto& [pass, once] : passes) {
                const Timing timing = measure(*backend, options.seconds, [&](std::int64_t repeats) {
                    for (; repeats > 0; --repeats) {
                        once();
                    }
                });
                const double per_second = shape.operations(batch) / (timing.median * 1e-3);
                const double share = machine.operations_per_second > 0
                                         ? per_second / machine.operations_per_second
                                         : 0;
                table.add({words(shape), pass, std::to_string(batch),
                           fmt::format("{:.4f}", timing.median),
                           fmt::format("{:.0f}", per_second * 1e-9),
                           share > 0 ? fmt::format("{:.0f}%", 100 * share) : "unknown"});
                const Json line = {{"bench", "convolutions"},
                                   {"program", "patchforge"},
                                   {"commit", commit()},
                                   {"device", backend->description()},
                                   {"method", words(shape) + ", " + pass},
                                   {"kind", kind_of(shape) + ", " + pass},
                                   {"batch", batch},
                                   {"ms", timing.median},
                                   {"share of peak", share},
                                   {"network", texts}};
                json.push_back(line.dump());
            }
        }
    }
    publish(options,
            "# Convolutions\n\nMilliseconds a pass, median; operations as the shape needs them, "
            "nearest x2 + 3x3 with 4 weights instead of 9.\n\n" +
                circumstances(*backend, machine) + "\n" + table.text(),
            json);
}

} // namespace
} // namespace patchforge::bench

int main(int argc, char** argv) {
    return patchforge::bench::run_bench(argc, argv, {1, 16, 64}, patchforge::bench::run);
}
