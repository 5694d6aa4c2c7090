// An operation as the logbook keeps it.
#pragma once

#include "control/logbook_layout.hpp"
#include "core/operation.hpp"

namespace hansa {

// Of an operation that has begun.
control::LogEntry log_entry(const Operation& operation, Rank ranks);

}  // namespace hansa
