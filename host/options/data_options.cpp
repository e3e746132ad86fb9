#include "host/options/data_options.h"

#include <optional>

namespace patchforge {

void describe_reading(Options& options, PackOptions& pack) {
    options.group("Data");
    options
        .choice("part", pack.folder.part, part_choices,
                "of data with train/ and test/, or of MNIST; auto: train to train, test to test")
        .unrecorded();
    options
        .choice<std::optional<Layout>>("layout", pack.folder.layout,
                                       {{"auto", std::nullopt},
                                        {"idc", Layout::idc},
                                        {"patients", Layout::patients},
                                        {"classes", Layout::class_folders},
                                        {"flat", Layout::flat},
                                        {"arrays", Layout::arrays}},
                                       "how the folder lies; auto: told from its files")
        .unrecorded();
    options
        .path("labels", pack.folder.labels, "FILE",
              "table of picture, class and, if known, patient, instead of class folders")
        .unrecorded();
    options
        .text("patient_pattern", pack.folder.patient_pattern, "REGEX",
              "regular expression whose first group is the patient in a picture's path")
        .unrecorded();
    options
        .toggle("follow_links", pack.folder.follow_links, "also links that lead out of the folder")
        .unrecorded();
    options
        .choice<OddSize>(
            "odd_size", pack.odd_size,
            {{"skip", OddSize::skip}, {"pad", OddSize::pad}, {"resize", OddSize::resize}},
            "what becomes of patches of another size")
        .unrecorded();
    options
        .choice<int>("channels", pack.channels, {{"auto", 0}, {"3", 3}, {"1", 1}},
                     "3 is RGB, 1 grey; auto: grey when all pictures are")
        .unrecorded();
    options.toggle("strict", pack.strict, "odd and unreadable files are an error").unrecorded();
}

void describe_data(Options& options, DataOptions& data, DataNeed need) {
    options.group("Data");
    Option& option = options
                         .text("data", data.data, "FOLDER|FILE",
                               "folder of patches or .pfs file; several: a.pfs,b.pfs")
                         .unrecorded();
    option.required = need == DataNeed::required;
    describe_reading(options, data.pack);
}

} // namespace patchforge
