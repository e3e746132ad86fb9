// What the verbs of `patchforge latent` share: a generator, perhaps a classifier that looks at its
// patches, and a sheet of pictures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/model/classifier_model.h"
#include "host/model/latent_space.h"
#include "host/model/load_generator.h"
#include "host/options/device_options.h"

namespace patchforge {

struct LatentSheetOptions {
    DeviceOptions device;
    std::string run;
    CheckpointChoice checkpoint = CheckpointChoice::latest;
    std::string model; // a classifier's; may be empty
    std::string out;
    std::string save_codes;
    std::uint64_t seed = 0;
    std::int64_t rows = 6;
    std::int64_t steps = 9; // pictures a row
    int scale = 2;
};

void describe(Options& options, LatentSheetOptions& sheet);

class LatentSheet {
  public:
    explicit LatentSheet(const LatentSheetOptions& options);

    std::vector<LatentCode> draw(std::int64_t count, std::uint64_t seed);
    const ClassifierModel* classifier() const { return classifier_.get(); }
    // Probabilities [codes, classes] of the patches of the codes.
    std::vector<float> probabilities(const std::vector<LatentCode>& codes);

    // From 0 at the first column to `last` at the last one.
    double at_column(std::int64_t column, double last) const;

    // A sheet with a row a list of codes, and the codes where they are wanted. With a classifier
    // each picture says in percent what it gives its last class.
    void write(const std::vector<std::vector<LatentCode>>& rows,
               std::vector<std::string> column_names, std::vector<std::string> row_names = {});

  private:
    LatentSheetOptions options_;
    std::unique_ptr<Backend> backend_;
    LoadedGenerator generator_;
    std::unique_ptr<ClassifierModel> classifier_;
};

} // namespace patchforge
