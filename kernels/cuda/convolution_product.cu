#include "kernels/cuda/convolution_product.h"

#include "kernels/cuda/device.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/instructions.h"

namespace patchforge::cuda {
namespace {

constexpr unsigned block = 256;

// y = epilogue(y + bias): `plane` elements of a channel have one bias.
__global__ void __launch_bounds__(block)
    convolution_epilogue_kernel(Vector<float> y, const float* bias, std::int64_t channels,
                                std::int64_t plane, Epilogue epilogue) {
    begin_kernel();
    const std::int64_t e = std::int64_t{blockIdx.x} * block + threadIdx.x;
    if (e < y.size) {
        const float z = bias != nullptr ? y.data[e] + bias[e / plane % channels] : y.data[e];
        y.data[e] = ElementEpilogue(epilogue).apply(z, e);
    }
}

} // namespace

bool is_linear(const ConvolutionShape& shape, std::int64_t rows, Precision precision) {
    return shape.kind != ConvolutionKind::upsampled && convolution_window(shape).is_product() &&
           (precision == Precision::float32 || shape.rounds(rows) == (rows >= rounded_from_rows));
}

void linear_convolution_forward(CudaBackend& backend, const Stream& stream, Matrix<float> y,
                                Matrix<const float> x, Vector<const float> weight,
                                Vector<const float> bias, const Epilogue& epilogue,
                                const ConvolutionShape& shape) {
    if (shape.kind == ConvolutionKind::convolution) {
        backend.linear_forward(y, x, matrix_of(weight, shape), bias, epilogue);
        return;
    }
    backend.linear_input_gradient(y, x, matrix_of(weight, shape), {}, {});
    if (bias.size > 0 || !epilogue.is_identity()) {
        launch(convolution_epilogue_kernel,
               {.grid = blocks_for(y.size(), block),
                .stream = stream,
                .name = "convolution_epilogue",
                .work = {8.0 * y.size() + 4.0 * static_cast<double>(bias.size), 2.0 * y.size()}},
               Vector<float>{y.data, y.size()}, bias.data_or_null(),
               std::int64_t{shape.out_channels}, shape.out().plane(), epilogue);
    }
}

void linear_convolution_input_gradient(CudaBackend& backend, Matrix<float> dx,
                                       Matrix<const float> dz, Vector<const float> weight,
                                       Matrix<const float> x, const Epilogue& previous,
                                       const ConvolutionShape& shape) {
    if (shape.kind == ConvolutionKind::convolution) {
        backend.linear_input_gradient(dx, dz, matrix_of(weight, shape), x, previous);
        return;
    }
    backend.linear_forward(dx, dz, matrix_of(weight, shape), {}, {});
    if (!previous.is_identity()) {
        backend.activation_gradient(dx, dx, x, previous);
    }
}

} // namespace patchforge::cuda
