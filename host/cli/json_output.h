// --json: results for programs on standard output, all that is said to people on standard error.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "host/options/options.h"

namespace patchforge {

class JsonOutput {
  public:
    JsonOutput() = default;
    ~JsonOutput();
    JsonOutput(const JsonOutput&) = delete;
    JsonOutput& operator=(const JsonOutput&) = delete;

    // Adds --json.
    void describe(Options& options);
    bool wanted() const { return wanted_; }
    // Call it before anything is printed: with --json what is printed from here on goes to standard
    // error.
    void begin();
    // With --json: the document and a line end, on what was standard output. Throws
    // std::runtime_error when it cannot be written.
    void write(const std::string& document);

  private:
    bool wanted_ = false;
    int output_ = -1; // what was standard output
};

// Indented; bytes that are not UTF-8 are replaced.
std::string json_text(const nlohmann::ordered_json& document);

} // namespace patchforge
