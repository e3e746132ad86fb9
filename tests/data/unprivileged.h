// A scope without root's rights.
#pragma once

#include <unistd.h>

namespace patchforge {

// Root may read and write anywhere; in this scope it is somebody else, where there is one.
class Unprivileged {
  public:
    Unprivileged() { (void)!::seteuid(65534); }
    ~Unprivileged() { (void)!::seteuid(::getuid()); }
    bool still_root() const { return ::geteuid() == 0; }
};

} // namespace patchforge
