// patchforge classify: what a classifier says of pictures.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "data/atomic_file.h"
#include "data/class_match.h"
#include "data/escape.h"
#include "data/folder_tree.h"
#include "data/picture.h"
#include "host/cli/json_output.h"
#include "host/cli/verbs.h"
#include "host/model/classifier_members.h"
#include "host/options/device_options.h"
#include "host/page/figure_text.h"
#include "host/page/text_table.h"
#include "host/ranks/shared_rows.h"
#include "host/session/named_file.h"
#include "host/session/open_set.h"

namespace patchforge {

namespace {

struct ClassifyCall {
    DeviceOptions device;
    std::string model;
    ModelReading reading;
    std::vector<std::string> pictures;
    std::string csv;
    std::int64_t show = 20;
};

struct Pictures {
    std::vector<std::string> names;
    std::vector<std::string> labels; // "" where unknown
    std::vector<std::int32_t> truth; // the model's class of the label; -1 where it knows none
    std::vector<std::uint8_t> bytes;
};

void add_picture(Pictures& pictures, const std::string& path, const ClassifierFormat& format) {
    const Image image =
        read_picture_of_size(path, format.channels, format.width, format.height, "the model takes");
    pictures.names.push_back(path);
    pictures.labels.emplace_back();
    pictures.truth.push_back(-1);
    pictures.bytes.insert(pictures.bytes.end(), image.pixels.begin(), image.pixels.end());
}

void add_set(Pictures& pictures, const std::string& path, const ClassifierFormat& format,
             int threads) {
    DataOptions options;
    options.data = path;
    options.usually(Part::test).pack.channels = format.channels;
    const PackedSet set = open_set(options, threads);
    if (extent_of(set) != format.extent()) {
        throw std::runtime_error(
            fmt::format("{}: its patches are {}, the model takes {}; give patches of that size",
                        path, extent_of(set).text(), format.extent().text()));
    }
    const std::vector<std::int32_t> classes = classes_known(set.class_names(), format.class_names);
    for (std::int64_t i = 0; i < set.count(); ++i) {
        pictures.names.emplace_back(set.name(i));
        const std::int32_t label = set.labels()[i];
        pictures.labels.push_back(label < 0 ? "" : set.class_names()[label]);
        pictures.truth.push_back(label < 0 ? -1 : classes[label]);
    }
    pictures.bytes.insert(pictures.bytes.end(), set.pixels(),
                          set.pixels() + set.count() * set.pixels_per_patch());
}

constexpr const char* first_columns = "name,label,called";

void run(ClassifyCall& call, const Tell& tell) {
    check_named_file("--csv", call.csv, first_columns);
    const auto backend = call.device.make();
    const auto members = load_members(*backend, call.model, call.reading);
    call.reading.refuse_unheeded();
    const ClassifierFormat& format = members.front()->format();
    Pictures pictures;
    std::vector<std::string> faults; // one that cannot be read costs the others nothing
    for (const std::string& path : call.pictures) {
        try {
            if (is_picture_name(path)) {
                add_picture(pictures, path, format);
            } else {
                add_set(pictures, path, format, call.device.backend.threads);
            }
        } catch (const std::runtime_error& error) {
            faults.emplace_back(error.what());
        }
    }
    if (pictures.names.empty() && faults.size() == 1) {
        throw std::runtime_error(faults.front());
    }
    const std::vector<float> logits = mean_logits(members, pictures.bytes);
    const std::vector<float> probabilities =
        probabilities_of(logits, format.class_count(), mean_lead(members));
    const std::vector<std::int32_t> called = argmax_of(logits, format.class_count());
    const auto classes = static_cast<std::size_t>(format.class_count());

    std::string csv = first_columns;
    std::vector<std::string> columns = {"name", "label", "called"};
    for (const std::string& name : format.class_names) {
        columns.push_back("p(" + name + ")");
        csv += "," + csv_field(columns.back());
    }
    csv += '\n';
    std::vector<std::int64_t> counts(classes, 0);
    std::vector<std::vector<std::string>> table;
    Json rows = Json::array();
    std::int64_t labelled = 0, known = 0, right = 0;
    for (std::size_t i = 0; i < pictures.names.size(); ++i) {
        const std::string& name = format.class_names[called[i]];
        ++counts[called[i]];
        labelled += !pictures.labels[i].empty();
        known += pictures.truth[i] >= 0;
        right += pictures.truth[i] == called[i];
        rows.push_back({{"name", pictures.names[i]},
                        {"label", pictures.labels[i].empty() ? Json() : Json(pictures.labels[i])},
                        {"called", name}});
        csv += fmt::format("{},{},{}", csv_field(pictures.names[i]), csv_field(pictures.labels[i]),
                           csv_field(name));
        std::vector<std::string> cells = {
            pictures.names[i], pictures.labels[i].empty() ? undefined : pictures.labels[i], name};
        for (std::size_t k = 0; k < classes; ++k) {
            csv += fmt::format(",{:.6f}", probabilities[i * classes + k]);
            rows.back()["probabilities"][format.class_names[k]] = probabilities[i * classes + k];
            cells.push_back(fmt::format("{:.4f}", probabilities[i * classes + k]));
        }
        csv += '\n';
        if (std::ssize(table) < call.show) {
            table.push_back(std::move(cells));
        }
    }
    if (!table.empty()) {
        fmt::print("{}", table_text(columns, table));
    }
    if (table.size() < pictures.names.size()) {
        fmt::print("... and {} more\n", pictures.names.size() - table.size());
    }
    for (std::size_t k = 0; k < classes; ++k) {
        fmt::print("called {}: {} of {}\n", terminal_text(format.class_names[k]), counts[k],
                   pictures.names.size());
    }
    if (known > 0) {
        fmt::print("right: {} of {} labelled ({})\n", right, known, share_text(right, known));
    }
    if (known < labelled) {
        fmt::print("not scored: {} pictures whose classes are none of the model's ({})\n",
                   labelled - known, terminal_list(format.class_names));
    }
    if (!call.csv.empty() && SharedRows::writes()) {
        write_file_atomically(call.csv, csv);
        fmt::print("all of them in {}\n", call.csv);
    }
    Json document = {{"model", call.model},  {"classes", format.class_names},
                     {"count", rows.size()}, {"labelled", labelled},
                     {"scored", known},      {"right", known > 0 ? Json(right) : Json()}};
    for (std::size_t k = 0; k < classes; ++k) {
        document["called"][format.class_names[k]] = counts[k];
    }
    document["pictures"] = std::move(rows);
    tell(document);
    if (!faults.empty()) {
        throw std::runtime_error(fmt::format("{} of {} not classified: {}", faults.size(),
                                             call.pictures.size(), fmt::join(faults, "\n  ")));
    }
}

} // namespace

Verb classify_verb() {
    auto call = std::make_shared<ClassifyCall>();
    Verb verb{.name = "classify", .summary = "ask a classifier about pictures"};
    Options& options = verb.options;
    options.arguments("pictures", call->pictures,
                      "PNG or JPEG files, folders of patches, packed sets");
    options.text("model", call->model, "FOLDER|FILE", "run folder, ensemble or weights")
        .must_be_given();
    describe(options, call->reading);
    options.group("Output");
    options.text("csv", call->csv, "FILE", "file for the whole table");
    options.number("show", call->show, {0, 1000000000}, "rows printed");
    answer_in_json(verb, [call](const Tell& tell) { run(*call, tell); });
    describe(options, call->device);
    verb.examples = {
        "classify patch.png --model runs/classifier",
        "classify fakes other.pfs --model runs/classifier --csv verdicts.csv --show 5"};
    verb.shares_rows = true;
    return verb;
}

} // namespace patchforge
