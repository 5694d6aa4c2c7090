// Small things with words that users write.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hansa {

// The pieces between separators, empty ones included; one empty piece of an empty text. They point into
// `text`.
std::vector<std::string_view> split(std::string_view text, char separator);

// Without blanks, tabs and line ends around it.
std::string_view trimmed(std::string_view text);

std::string upper(std::string_view text);  // ASCII only
std::string lower(std::string_view text);

// So that a % stands for itself where %h and %p mean something.
std::string escape_percent(std::string_view text);

// `pattern` with %h, %p and %% written out; any other % stays as it is.
std::string expand_percent(std::string_view pattern, std::string_view host, int pid);

// Which of `words` is nearest to `word`: fewest letters to change, add, drop or swap with the next. Empty
// where none is near enough to be a slip (3 of them, and fewer than a third of the letters).
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words);

}  // namespace hansa
