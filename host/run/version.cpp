#include "host/run/version.h"

#ifndef PATCHFORGE_COMMIT // passed by the Makefile to this file alone
#define PATCHFORGE_COMMIT "unknown"
#endif

namespace patchforge {

std::string version() {
    return "0.2.0";
}

std::string commit() {
    return PATCHFORGE_COMMIT;
}

std::string version_text() {
    return "patchforge " + version() + " (" + commit() + ")";
}

} // namespace patchforge
