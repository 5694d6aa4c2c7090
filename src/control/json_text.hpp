// Words in JSON and in names of files.
#pragma once

#include <string>
#include <string_view>

namespace hansa::control {

// With quotes around it. What is not UTF-8 becomes question marks.
std::string quoted(std::string_view text);

// Fit to be a part of a file's name: anything but letters, digits, dots and dashes becomes a dash.
std::string file_word(std::string_view text);

}  // namespace hansa::control
