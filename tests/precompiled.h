// What most tests include of other libraries: compiled once (host/precompiled.mk).

#include "host/precompiled.h"

#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
