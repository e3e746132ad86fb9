#include "tests/fuzz/host_targets.h"

#include <zlib.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>

#include "data/atomic_file.h"
#include "host/cli/config_file.h"
#include "host/evaluate/metric_lines.h"
#include "host/files/checksum.h"
#include "host/files/json_file.h"
#include "host/files/tensor_facts.h"
#include "host/model/image_generator.h"
#include "host/network/network_shape.h"
#include "host/run/output_folder.h"
#include "host/run/parameters_file.h"
#include "host/run/run_folder.h"
#include "host/run/timing_file.h"
#include "host/run/whole_checkpoint.h"
#include "host/study/study_score.h"
#include "host/sweep/sweep_figures.h"
#include "host/sweep/sweep_file.h"

namespace patchforge {

namespace {

namespace fs = std::filesystem;

std::string text_of(const FuzzBytes& bytes) {
    return {bytes.begin(), bytes.end()};
}

FuzzBytes file_of(const std::vector<Tensor>& tensors,
                  const std::map<std::string, std::string>& metadata) {
    const std::vector<std::byte> bytes = encode_safetensors(tensors, metadata);
    const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
    return {first, first + bytes.size()};
}

/// A file in memory where the system has a disk for that, in a folder that goes with the target.
class FuzzFile {
  public:
    explicit FuzzFile(const std::string& name) {
        std::string pattern =
            std::string(fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") + "/patchforge-fuzz-XXXXXX";
        if (!::mkdtemp(pattern.data())) {
            throw std::logic_error("mkdtemp failed");
        }
        folder_ = pattern;
        path_ = folder_ / name;
        fs::create_directories(path_.parent_path());
    }
    ~FuzzFile() {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    FuzzFile(const FuzzFile&) = delete;
    FuzzFile& operator=(const FuzzFile&) = delete;

    const fs::path& folder() const { return folder_; }
    const fs::path& path() const { return path_; }
    void fill(const FuzzBytes& bytes) const {
        std::ofstream file(path_, std::ios::binary | std::ios::trunc);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }

  private:
    fs::path folder_, path_;
};

/// Gives the header's length to what is there, and the checksum to that, so that damage reaches what lies behind.
void mend_safetensors(FuzzBytes& bytes) {
    if (bytes.size() < 8) {
        return;
    }
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    if (length > bytes.size() - 8) {
        length = bytes.size() - 8;
        while (length > 0 && bytes[8 + length - 1] != '}') {
            --length;
        }
        std::memcpy(bytes.data(), &length, sizeof length);
    }
    try {
        seal(std::as_writable_bytes(std::span(bytes)), 8 + length);
    } catch (const std::bad_optional_access&) { // the entry is gone
    }
}

FuzzTarget safetensors_target() {
    FuzzTarget target;
    target.name = "safetensors";
    const float values[12] = {1, -2, 3.5F, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const std::uint64_t step = 77;
    target.corpus = {file_of({make_f32("0.weight", {3, 4}, values), make_f32("0.bias", {3}, values),
                              make_u64("step", {}, &step)},
                             {{"shape", "4 3"}, {"note", "\"quoted\" \xC3\xA9"}}),
                     file_of({make_f32("empty", {0, 5}, values),
                              {"bytes", "U8", {3}, std::vector<std::byte>(3)},
                              {"half", "F16", {2}, std::vector<std::byte>(4)},
                              {"double", "F64", {1}, std::vector<std::byte>(8)},
                              {"brain", "BF16", {1}, std::vector<std::byte>(2)}},
                             {}),
                     file_of({}, {})};
    const auto file = std::make_shared<FuzzFile>("a.safetensors");
    // What is accepted must encode again, to something that reads as the same.
    target.read = [file](const FuzzBytes& bytes) {
        file->fill(bytes);
        const TensorFile read = read_safetensors(file->path());
        const TensorFile again =
            decode_safetensors(encode_safetensors(read.tensors, read.metadata), "encoded again");
        if (again.tensors.size() != read.tensors.size() || again.metadata != read.metadata) {
            throw std::logic_error("encoding again changed the file");
        }
        for (const Tensor& tensor : read.tensors) {
            if (tensor.dtype == "F32" && !f32(tensor).empty() && tensor.size() == 0) {
                throw std::logic_error("values without elements");
            }
        }
    };
    target.mend = mend_safetensors;
    return target;
}

/// The files of a generator and of a checkpoint: facts, sizes, names and networks behind the format.
FuzzTarget model_target() {
    FuzzTarget target;
    target.name = "models";
    const std::vector<float> values(48, 0.5F);
    const std::uint64_t step = 7;
    const std::vector<Tensor> tensors = {
        make_f32("0.weight", {4, 3}, values.data()), make_f32("0.bias", {4}, values.data()),
        make_f32("2.weight", {12, 4}, values.data()), make_f32("2.bias", {12}, values.data()),
        make_u64("step", {}, &step)};
    target.corpus = {
        file_of(tensors, {{"channels", "3"},
                          {"height", "2"},
                          {"width", "2"},
                          {"latent", "normal"},
                          {"classes", "[\"a\",\"b\"]"},
                          {"network", "3>4 relu @0; 4>12 tanh @2"}}),
        file_of(tensors, {{"channels", "1"}, {"height", "4"}, {"width", "3"}, {"classes", "a\nb"}}),
        file_of({make_f32("0.weight", {784, 0}, values.data()), make_u64("step", {}, &step)}, {}),
        file_of({tensors[4]}, {})};
    const std::uint64_t steps[2] = {7, 8};
    const auto described = [&](const char* key, const char* value) {
        std::map<std::string, std::string> facts = {{"channels", "3"},
                                                    {"height", "2"},
                                                    {"width", "2"},
                                                    {"network", "3>4 relu @0; 4>12 tanh @2"}};
        facts[key] = value;
        return file_of(tensors, facts);
    };
    target.damaged = {file_of({make_u64("step", {2}, steps)}, {}),
                      described("classes", "[1]"),
                      described("classes", "[\"a\""),
                      described("channels", "x"),
                      described("height", "0"),
                      described("latent", "other")};
    const auto file = std::make_shared<FuzzFile>("checkpoints/step_7/state.safetensors");
    std::ofstream(file->path().parent_path() / "log.txt") << "not read";
    target.read = [file](const FuzzBytes& bytes) {
        file->fill(bytes);
        const Checkpoint checkpoint{7, file->path().parent_path()};
        accepted([&] { newest_whole_checkpoint(file->folder()); });
        if (const std::string fault = fault_of(checkpoint); !fault.empty()) {
            throw std::runtime_error(fault);
        }
        const TensorFile read = read_safetensors(file->path());
        names_of(read, "classes");
        if (const auto text = read.metadata.find("network"); text != read.metadata.end()) {
            const NetworkShape shape = network_shape_from_description(text->second);
            GeneratorFormat::read(read, shape.outputs(), read.name);
        }
    };
    target.mend = mend_safetensors;
    return target;
}

FuzzTarget network_target() {
    FuzzTarget target;
    target.name = "networks";
    for (const char* text :
         {"64>256 relu @0; 256>7500 tanh @2",
          "100>256 leaky_relu slope=0.2 dropout=0.3 norm=batch @0; 256>1 sigmoid @4",
          "21>19 leaky_relu slope=0.1 norm=virtual:4 closeness=6x3 fixed @0; 25>1 identity @4",
          "3x49x49; conv 3>8 k4 s2 p1 d1; transposed 8>8 k4 s2 p1 o1; conv 8>8 k3 d2 as=a; "
          "pool average k3 s2 p1 ceil; pool global; 8>2",
          "3x48x48; depthwise k3 s2 p1 norm=instance leaky_relu; pool adaptive n6; pool sum; 3>4",
          "1x28x28; reflect 3; conv 1>4 k7 norm=group:2 sigmoid; bilinear; crop 50; nearest crop; "
          "shuffle 2; 39204>1",
          "3x32x32; conv 3>8 k3 p1 relu as=skip; conv 8>8 k3 p1 nobias; add skip relu; concat "
          "skip; "
          "conv 16>1 k32",
          "3x96x96; pad 2; conv 3>4 k5 s2 as=half; transposed 4>3 k4 s2 p1; add input; concat "
          "input; "
          "conv 6>4 k4 s2 p1; concat half; conv 8>4 k1 as=a; conv 4>4 k1 as=b; add half from=a; "
          "add b",
          "16x1x1; conv 16>8 k1 relu; view 2x2x2; upsampled 2>3 crop; pool max k2; linear 3>2",
          "4x8x8; conv 4>4 k3 p1 nobias norm=batch noaffine as=maps; pool global; 4>8 as=style; "
          "film style from=maps noise 0.1 leaky_relu; noise relu; noise 0.2 tanh; deviation 2; "
          "conv 5>2 k8 spectral init=0.02 as=x; 2>1 head spectral from=x; 2>3 from=x",
          "7x1x1; channels 5 2; linear 2>6 as=condition; channels 1 3 from=input tanh; augment "
          "condition leaky_relu as=code; channels 0 3 from=input; concat code; linear 6>2",
          "5x8x8; channels 0 3; conv 3>8 k4 s2 p1; pool sum as=features; linear 8>1 as=judged; "
          "channels 3 2 from=input; pool global; linear 2>8 nobias as=class; dot class "
          "from=features; add judged",
          "3x4x4; deviation 2", "3x4x4; noise", "3x4x4; pool global; 3>6 as=s; film s from=input",
          "2x4x4; pool max k3 s1 p1; pool average k2 s1; pool adaptive n2; nearest; bilinear; "
          "reflect 1; "
          "pad 1; crop 4; 32>2 fixed"}) {
        target.corpus.push_back(fuzz_bytes(text));
    }
    for (const char* text : {"3>4; ; 4>2",
                             "3>4 swish",
                             "conv 3>8 k3",
                             "3x8x8; conv 3>8 k99999999999999999999",
                             "3>4 as=input; 4>2",
                             "3>4 as=a; 4>4 as=a",
                             "3>4 as=a; 4>2; add b",
                             "3>4 relu tanh",
                             "3x8x8; conv 3>8 k3 norm=virtual:4",
                             "3>4 norm=instance",
                             "3>4 norm=group:3",
                             "3>4 norm=group:4",
                             "3x8x8; conv 3>8 k3 closeness=2x2",
                             "3>4 @1; 4>5 @1",
                             "9999x9999x9999; pool global",
                             "65536>65536; 65536>65536 closeness=65536x65536",
                             "3x8x8; pool global fixed",
                             "3>4 as=a; 3>4 from=input; 4>2",
                             "3x4x4; channels",
                             "3x4x4; channels 2 2",
                             "3x4x4; augment",
                             "3>4 as=a; 4>3; augment a",
                             "3>2; dot",
                             "3>2 as=a; 2>3; dot a",
                             "3x8x8; view 3x8x9",
                             "3x8x8; add input; concat nobody",
                             "3x2x2; reflect 2",
                             "3x4x4; film",
                             "3x4x4; pool global as=s; film s from=input",
                             "3x4x4; pool global; 3>6 as=s; film s from=input; concat s",
                             "3x4x4; concat",
                             "3x4x4; pool max k2 as=a; concat input",
                             "3x4x4; view",
                             "3x4x4; transposed 3>2 k2 s2 o9",
                             "3x4x4; deviation 0",
                             "3x4x4; noise 1e9",
                             "3x4x4; pool",
                             "3x4x4; pool max k9",
                             "3x4x4; pool adaptive n0",
                             "3x4x4; shuffle 2",
                             "3x4x4; crop 0",
                             "3x4x4; nearest 99999",
                             "3x4x4; conv 4>4 k3",
                             "3x4x4; conv",
                             "conv",
                             "3>",
                             "3x4x4; pool global noaffine",
                             "3x4x4; pool global spectral",
                             "3x4x4; conv 3>2 k1 fixed spectral; 32>1",
                             "3x4x4; pool global init=0.1",
                             "3>2 head relu as=a; 2>2 from=input",
                             "3>2 head",
                             "3>2 as=a; 2>2; 2>2 from=a; add a",
                             "3>2; 2>2 dropout=2",
                             "3>2 closeness=2x2 as=a; 4>2; 4>2 from=a",
                             "3x2x2; crop 9"}) {
        target.damaged.push_back(fuzz_bytes(text));
    }
    target.read = [](const FuzzBytes& bytes) {
        const NetworkShape shape = network_shape_from_description(text_of(bytes));
        shape.parameter_count();
        if (describe(network_shape_from_description(describe(shape))) != describe(shape)) {
            throw std::logic_error("describing again changed the network");
        }
    };
    return target;
}

/// Every reader of JSON and tables that stands in a folder under a name of its own.
FuzzTarget text_target(const std::string& name, const std::string& file_name,
                       const std::vector<std::string>& corpus,
                       const std::function<void(const FuzzFile&)>& read,
                       const std::vector<std::string>& damaged = {}) {
    FuzzTarget target;
    target.name = name;
    target.takes_most = true;
    for (const std::string& text : corpus) {
        target.corpus.push_back(fuzz_bytes(text));
    }
    for (const std::string& text : damaged) {
        target.damaged.push_back(fuzz_bytes(text));
    }
    const auto file = std::make_shared<FuzzFile>(file_name);
    target.read = [file, read](const FuzzBytes& bytes) {
        file->fill(bytes);
        read(*file);
    };
    return target;
}

FuzzTarget config_target() {
    struct Settings {
        double rate = 1;
        std::int64_t count = 1;
        std::string text;
        bool flag = false;
        std::vector<std::string> list;
    };
    const auto settings = std::make_shared<Settings>();
    const auto options = std::make_shared<Options>();
    options->number("rate", settings->rate, {0, 1}, "a rate");
    options->number("count", settings->count, {1, 100}, "a count");
    options->text("text", settings->text, "TEXT", "a text");
    options->toggle("flag", settings->flag, "a switch");
    options->list("list", settings->list, "LIST", "a list");
    return text_target(
        "config", "a.toml",
        {"rate = 0.5\ncount = 7\n# told\ntext = \"a b\"\nflag = true\nlist = [1, 2]\n",
         "{\"run\": \"train gan\", \"parameters\": {\"rate\": 0.5, \"count\": 3, \"text\": \"a\", "
         "\"other\": 1, \"flag\": false, \"big\": 18446744073709551615}}"},
        [settings, options](const FuzzFile& file) {
            const FileOptions found = read_config(file.path(), *options, Options());
            options->apply(found.given);
        },
        {"--rate 1\n", "[section]\nrate = 1\n", "text = 'a'\nTEXT = 'b'\ntext = 'b'\n",
         "raet = 1\n"});
}

FuzzTarget output_list_target() {
    const auto outside = std::make_shared<FuzzFile>("precious");
    return text_target(
        "output lists", "out/.patchforge",
        {"patchforge tour\nfile a\nfile b/c\ncomplete\nfile d\n",
         "patchforge generate\nfile ../x\n",
         "patchforge tour\nfile /dev/shm/x\nfile b\\nc\\\\\ncomplete\n"},
        [outside](const FuzzFile& file) {
            outside->fill({1});
            const fs::path folder = file.path().parent_path();
            for (const char* name : {"a", "d"}) {
                std::ofstream(folder / name) << "made";
            }
            fs::create_directories(folder / "b");
            std::ofstream(folder / "b/c") << "made";
            const auto call = [&](Earlier earlier) {
                accepted([&] {
                    OutputFolder out(folder, "tour", {}, earlier);
                    write_file_atomically(folder / "new", std::string_view("made"));
                    out.complete();
                });
            };
            accepted([&] { OutputFolder::check(folder, "tour", {}, Earlier::removed); });
            for (const auto& [path, input] :
                 {std::pair(folder, folder / "a"), std::pair(file.path(), fs::path())}) {
                accepted([&] {
                    OutputFolder::check(path, "tour", {{"--data", input}}, Earlier::kept);
                });
            }
            holds_other_files(folder);
            call(Earlier::kept);
            call(Earlier::aside);
            fs::remove_all(file.folder() / "out.earlier");
            { OutputFolder out(folder, "tour", {}, Earlier::removed); }
            if (!fs::exists(outside->path()) || !fs::exists(folder)) {
                throw std::logic_error("a list reached beyond its folder");
            }
        });
}

} // namespace

std::vector<FuzzTarget> host_fuzz_targets() {
    std::vector<FuzzTarget> targets = {safetensors_target(), model_target(), network_target(),
                                       config_target(), output_list_target()};
    targets.push_back(text_target("parameters", "params.json",
                                  {"{\"run\": \"train gan\", \"parameters\": {\"a\": 1, \"b\": "
                                   "0.5, \"c\": \"x\", \"d\": true, "
                                   "\"e\": 18446744073709551615, \"f\": -3}}",
                                   "{\"run\": \"tour\", \"parameters\": {}}"},
                                  [](const FuzzFile& file) {
                                      const Parameters read = read_parameters(file.folder());
                                      encode_parameters(read_run_kind(file.folder()), read);
                                      parameter_difference(read,
                                                           {{"a", std::int64_t{2}}, {"new", true}},
                                                           {{"b"}, {{"c", "x"}, {"new", "false"}}});
                                      write_parameters(file.folder(), read_text(file.path()));
                                  }));
    targets.push_back(
        text_target("metrics", "metrics.csv",
                    {"step,a,b\n1,2,3\n2,0.5,-1e9\n3,nan,inf\n", "a,step\n1,1\n", "step,a\n1,2"},
                    [](const FuzzFile& file) {
                        const Metrics metrics = read_metrics(file.path());
                        metrics.column("step");
                        metrics.column("a");
                    }));
    targets.push_back(text_target(
        "metric lines", "metric-m.jsonl",
        {"{\"step\": 3, \"results\": {\"m\": 1.5, \"n\": null}, \"extractor\": {\"name\": \"p\", "
         "\"hash\": \"h\"}, \"total_time\": 1, \"n_generated\": 4, \"n_reference\": 5, \"seed\": "
         "6, "
         "\"timestamp\": \"t\"}\n{\"results\": {}}\n{\"step\": 9}\n{\"half"},
        [](const FuzzFile& file) {
            for (MetricResult& line : read_metric_steps(file.folder(), "m")) {
                metric_line(line);
            }
            drop_metric_steps(file.folder(), "m", 3);
        }));
    targets.push_back(text_target("timing", "timing.json",
                                  {"{\"training_seconds\": 1.5, \"steps\": 10}"},
                                  [](const FuzzFile& file) { read_timing(file.folder()); }));
    targets.push_back(text_target(
        "study", "results.json",
        // Long words, in which most damage is none.
        {"{\"format\": \"patchforge-study\", \"title\": \"" + std::string(400, 't') +
         "\", \"rater\": \"" + std::string(400, 'r') +
         "\", \"trials\": "
         "[{\"arm\": \"timed\", \"truth\": \"real\", \"answer\": \"generated\"}, {\"arm\": "
         "\"untimed\", \"truth\": \"generated\", \"answer\": \"generated\"}]}"},
        [](const FuzzFile& file) {
            study_table(score_study(read_text(file.path()), file.path().string()));
        },
        {"{\"format\": \"other\"}", "{\"format\": \"patchforge-study\", \"title\": \"t\", "
                                    "\"rater\": \"\", \"trials\": [{\"arm\": \"x\"}]}"}));
    targets.push_back(text_target(
        "sweep", "s.json",
        {"{\"title\": \"t\", \"settings\": {\"data\": \"d\"}, \"prepare\": {\"p\": \"pack "
         "{data}\"}, "
         "\"commands\": [\"train gan --data {data} \\\"a b\\\"\", \"generate --run {out}\"], "
         "\"variants\": {\"x\": \"--a 1\", \"y\": {\"options\": \"--b\", \"seeds\": [1]}}, "
         "\"seeds\": [0, 1], \"figures\": {\"l\": \"metrics.csv g\"}}",
         "{\"commands\": \"train gan\", \"grid\": {\"--loss\": [\"a\", \"b\"], \"z\": [1]}, // "
         "told\n"
         "\"figures\": {\"m\": {\"file\": \"a.json\", \"value\": \"v\", \"of_largest\": \"w\", "
         "\"where\": {\"k\": 1, \"n\": null}}}}"},
        [](const FuzzFile& file) {
            read_sweep({file.path(), file.folder() / "out", {{"data", "x"}}, {}});
        },
        {"[]",
         "{\"commands\": \"a\", \"grid\": {\"--\": [1]}, \"figures\": {\"l\": \"metrics.csv g\"}}",
         "{\"figures\": 1}", "{\"what\": 1}", "{\"commands\": [\"a {b}\"]}",
         "{\"commands\": [\"a \\\"b\"], \"figures\": {\"l\": \"metrics.csv\"}}",
         "{\"commands\": \"a\", \"figures\": {\"l\": \"a.txt g\"}}",
         "{\"commands\": \"a\", \"variants\": {\"!\": \"\", \"x\": \"\", \"X\": \"\"}}",
         "{\"commands\": {}, \"variants\": {\"x\": {\"options\": 1, \"what\": 2}}}"}));
    const auto figures = [](const char* name, const std::vector<std::string>& corpus) {
        return text_target(std::string("figures ") + name, name, corpus,
                           [name](const FuzzFile& file) {
                               Figure figure;
                               figure.file = name;
                               figure.value = "v";
                               read_figure(figure, file.folder());
                               figure.of_largest = "a";
                               figure.where = {{"k", "1"}, {"gone", std::nullopt}};
                               read_figure(figure, file.folder());
                           });
    };
    targets.push_back(figures("f.json", {"{\"v\": 1, \"a\": {\"b\": [1, 2]}, \"k\": \"1\"}", "7"}));
    targets.push_back(figures("f.jsonl", {"{\"v\": 1, \"a\": 2, \"k\": 1}\n{\"v\": \"x\"}\n"}));
    targets.push_back(figures("f.csv", {"v,a,k\n1,2,1\n\"3,4\",5,1\n", "k\r\n1\r\n"}));
    return targets;
}

} // namespace patchforge
