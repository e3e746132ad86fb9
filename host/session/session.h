// The frame around the work of a verb that measures, forges or makes pictures: the folder that it fills and holds the
// lock of, tables beside a page, the page itself, and the words at the end.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "host/page/report.h"
#include "host/run/output_folder.h"

namespace patchforge {

class Json; // host/files/json.h

// Where the results of a verb go.
struct ResultsPlace {
    std::string verb;
    std::filesystem::path out;     // empty: nothing is written
    OutputFolder::Inputs inputs{}; // none of them may lie in `out`
    Earlier earlier = Earlier::kept;
    // A file that the verb always writes: a report.html without it beside is somebody else's, and so is a
    // training's folder. Empty: results may stand in a run's folder.
    std::string mark{};

    // Whether this process writes anything there.
    bool writes() const;
    // Whether results are added to a run's folder, whose list is the run's.
    bool within_run() const;
    // Before anything is loaded. Errors of OutputFolder; std::invalid_argument for somebody else's report,
    // std::runtime_error for a folder that may not be written to.
    void check() const;
};

// Who gets what a job finds beside its folder; null: nobody.
struct JobListeners {
    Report* page = nullptr;   // the report's sections too, behind what it holds
    Json* document = nullptr; // what the job's JSON file holds
};

class Session {
  public:
    // Opens the folder where this process writes, but for a run's: its lock is held as long as the session.
    explicit Session(ResultsPlace place);

    bool writes() const { return place_.writes(); }
    // As OutputFolder.
    void empty(const std::filesystem::path& folder);
    // A file of the folder, if there is one.
    void write(const std::string& name, const std::string& text) const;
    // Of a job: what it found goes into the folder as the file of the place's mark, and to who called the job.
    void complete(const Report& page, const Json& document, const JobListeners& listeners);
    // Writes the page, if there is a folder, says that the result is whole, and where to look; `more` follows.
    void complete(const Report& page, const std::string& name = "report.html",
                  const std::string& more = "");
    void complete(); // without a page

  private:
    ResultsPlace place_;
    std::optional<OutputFolder> folder_;
};

} // namespace patchforge
