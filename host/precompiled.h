// What most sources of host/, data/ and kernels/ include of other libraries: compiled once (precompiled.mk). Every source still
// names what it uses, since it may be compiled without this.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>
