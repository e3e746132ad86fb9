#include "host/options/data_options.h"

#include <stdexcept>

namespace patchforge {

void describe_reading(Options& options, PackOptions& pack) {
    options.group("Data");
    options
        .choice("part", pack.part, part_choices, "of a folder with train/ and test/, or of MNIST")
        .unrecorded();
    options
        .choice<OddSize>(
            "odd_size", pack.odd_size,
            {{"skip", OddSize::skip}, {"pad", OddSize::pad}, {"resize", OddSize::resize}},
            "what becomes of patches of another size")
        .unrecorded();
    options
        .custom(
            "channels", "3|1", "3 is RGB, 1 grey",
            [&pack](const std::string& text) {
                if (text != "1" && text != "3") {
                    throw std::invalid_argument("--channels: " + text +
                                                " is not possible; give 3 (RGB) or 1 (grey)");
                }
                pack.channels = text == "3" ? 3 : 1;
            },
            [&pack]() -> ParameterValue { return std::int64_t{pack.channels}; })
        .unrecorded();
    options.toggle("strict", pack.strict, "odd and unreadable files are an error").unrecorded();
}

void describe_data(Options& options, DataOptions& data, DataNeed need) {
    options.group("Data");
    Option& option =
        options.text("data", data.data, "FOLDER|FILE", "folder of patches or .pfs file")
            .unrecorded();
    option.required = need == DataNeed::required;
    describe_reading(options, data.pack);
}

} // namespace patchforge
