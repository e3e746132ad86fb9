// The moving part of the study page, and the styles that only it needs.
#pragma once

namespace patchforge {

extern const char* const study_style;  // CSS, after page_style
extern const char* const study_body;   // HTML of <main>, without the title
extern const char* const study_script; // JavaScript; reads the JSON of #study-data

} // namespace patchforge
