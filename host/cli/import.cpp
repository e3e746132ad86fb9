// patchforge import: weights of another program, written as those that are trained here.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>

#include "data/atomic_file.h"
#include "data/read_bytes.h"
#include "host/cli/verbs.h"
#include "host/files/safetensors.h"
#include "host/model/classifier_model.h"
#include "host/model/load_generator.h"
#include "host/run/progress.h"

namespace patchforge {

namespace {

struct ImportCall {
    std::string weights;
    std::string out;
    bool generator = false;
    ModelReading reading;
};

TensorFile generator_of(Backend& backend, const ImportCall& call) {
    LoadedGenerator loaded(backend, call.weights, CheckpointChoice::latest, call.reading);
    const Activation last = loaded.network().shape().layers.back().activation;
    if (last != Activation::tanh) {
        throw std::invalid_argument(
            fmt::format("--network: the generator ends in {}; pictures are made from numbers in "
                        "[-1, 1], as tanh gives them",
                        activation_name(last)));
    }
    TensorFile file = loaded.network().weights();
    loaded.images().format().write(file);
    return file;
}

void run(const ImportCall& call) {
    if (call.generator && !(call.reading.mean.empty() && call.reading.class_names.empty())) {
        throw std::invalid_argument(
            "--mean, --std, --class-names: are of classifiers; leave them out with --generator");
    }
    const auto backend = make_cpu_backend();
    const TensorFile file =
        call.generator ? generator_of(*backend, call)
                       : ClassifierModel::load(*backend, call.weights, call.reading)->weights();
    call.reading.refuse_unheeded();
    const std::vector<std::byte> bytes = encode_safetensors(file.tensors, file.metadata);
    const std::span<const std::uint8_t> plain(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                              bytes.size());
    // The same call once more, after one that was killed, finds what it would write.
    if (std::filesystem::exists(call.out)) {
        if (!std::ranges::equal(read_bytes(call.out, std::uint64_t{1} << 36), plain)) {
            throw std::invalid_argument(
                fmt::format("--out {}: exists; name a file that does not", call.out));
        }
    } else {
        write_file_atomically(call.out, plain);
    }
    print_line(fmt::format("{}: {}", call.out, file.metadata.at("network")));
}

} // namespace

Verb import_verb() {
    auto call = std::make_shared<ImportCall>();
    Verb verb{.name = "import",
              .summary = "write the weights of another program as those that are trained here"};
    Options& options = verb.options;
    options.argument("weights", call->weights, "a .safetensors file");
    options.text("out", call->out, "FILE", "a .safetensors file that every verb takes")
        .must_be_given();
    options.toggle("generator", call->generator, "they are a generator's, not a classifier's");
    describe(options, call->reading);
    verb.examples = {
        "import resnet.safetensors --network '3x50x50; conv 3>16 k3 p1 relu; pool "
        "global; linear 16>2' --mean 0.7,0.5,0.6 --std 0.2 --out resnet-here.safetensors"};
    verb.run = [call] { run(*call); };
    return verb;
}

} // namespace patchforge
