// The fork guard by the path that the stream's core includes.
#pragma once

#include "base/fork_guard.hpp"
