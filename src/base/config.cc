// From the environment and files to a Config.
#include "base/config.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/config_file.hpp"
#include "base/lists.hpp"
#include "base/nccl_names.hpp"
#include "base/trusted_file.hpp"

namespace hansa {
namespace {

using Fate = Finding::Fate;
using Trait = Setting::Trait;

constexpr const char* kSystemFile = "/etc/nccl.conf";
constexpr const char* kEnvironment = "environment";
constexpr const char* kHidden = "(hidden)";
constexpr std::size_t kMostFile = 1 << 20;

const Variable* find(const Layer& layer, std::string_view name) {
  const auto found =
      std::find_if(layer.begin(), layer.end(), [&](const Variable& one) { return one.name == name; });
  return found == layer.end() ? nullptr : &*found;
}

std::string why_unknown(const Variable& variable) {
  const std::string theirs = "NCCL_" + variable.name.substr(std::string_view("HANSA_").size());
  if (find_setting(theirs) != nullptr) return fmt::format("there is no such setting; is {} meant?", theirs);
  std::vector<std::string_view> names;
  for (const Setting& setting : settings())
    if (!setting.foreign()) names.emplace_back(setting.name);
  const std::string_view meant = nearest(variable.name, names);
  return meant.empty() ? "there is no such setting; `hansa config` lists those that there are"
                       : fmt::format("there is no such setting; is {} meant?", meant);
}

// Goes through the layers, lowest first, and keeps who has set what.
class Reader {
 public:
  explicit Reader(std::span<const Layer> layers) : layers_(layers) {
    for (const Setting& setting : settings())
      reading_.values.push_back({setting.name, setting.standard, "default"});
    holders_.resize(settings().size());
  }

  Reading read() && {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      for (const Setting& setting : settings())
        if (const Variable* variable = find(layers_[layer], setting.name)) apply(layer, setting, *variable);
      for (const Variable& variable : layers_[layer])
        if (find_setting(variable.name) == nullptr) look_at_stranger(variable);
    }
    return std::move(reading_);
  }

 private:
  static std::size_t row_of(const Setting& setting) {
    return static_cast<std::size_t>(&setting - settings().data());
  }

  void apply(std::size_t layer, const Setting& setting, const Variable& variable) {
    Finding finding{variable, Fate::kTaken, {}};
    if (setting.trait == Trait::kHidden) finding.variable.value = kHidden;
    const Variable shown = finding.variable;
    std::string remark;
    if (variable.value.empty()) {
      finding.fate = Fate::kIgnored;
      finding.why = "an empty value is as good as none";
    } else if (const Variable* emptied = emptied_above(layer, variable.name)) {
      finding.fate = Fate::kOverruled;
      finding.why = fmt::format("emptied by {}", emptied->origin);
    } else if (!setting.parse(variable.value, reading_.config, remark)) {
      finding.fate = Fate::kRefused;
      finding.why = fmt::format("must be {}", setting.accepts);
      complain(fmt::format("{}={} ({}) is ignored: it must be {}; using {}", shown.name, shown.value,
                           shown.origin, setting.accepts,
                           *setting.standard ? setting.standard : "the default"));
    } else {
      finding.why = remark;
      if (!remark.empty())
        complain(fmt::format("{}={} ({}): {}", shown.name, shown.value, shown.origin, remark));
      hold(setting, shown);
    }
    reading_.findings.push_back(std::move(finding));
  }

  const Variable* emptied_above(std::size_t layer, std::string_view name) const {
    for (std::size_t above = layer + 1; above < layers_.size(); ++above)
      if (const Variable* one = find(layers_[above], name); one != nullptr && one->value.empty()) return one;
    return nullptr;
  }

  // The finding to come holds the setting now; who held it before is overruled.
  void hold(const Setting& setting, const Variable& variable) {
    const Setting* ours = *setting.ours ? find_setting(setting.ours) : &setting;
    std::optional<std::size_t>& holder = holders_[row_of(*ours)];
    if (holder) {
      Finding& before = reading_.findings[*holder];
      before.fate = Fate::kOverruled;
      before.why = fmt::format("{} ({}) wins", variable.name, variable.origin);
      if (const Setting* lost = find_setting(before.variable.name))
        reading_.values[row_of(*lost)] = {lost->name, lost->standard, "default"};
    }
    holder = reading_.findings.size();
    reading_.values[row_of(setting)] = {setting.name, variable.value, variable.origin};
    if (ours != &setting)
      reading_.values[row_of(*ours)] = {ours->name, variable.value,
                                        fmt::format("{}, as {}", variable.origin, variable.name)};
  }

  void look_at_stranger(const Variable& variable) {
    Finding finding{variable, Fate::kIgnored, {}};
    if (variable.name.starts_with("HANSA_")) {
      finding.why = why_unknown(variable);
      complain(fmt::format("{} ({}) is ignored: {}", variable.name, variable.origin, finding.why));
    } else if (variable.name.starts_with("NCCL_")) {
      const IgnoredName* known = find_ignored(variable.name);
      finding.why = known == nullptr ? "NCCL documents no such variable" : known->why;
      if (known != nullptr && known->grave) {
        finding.variable.value = kHidden;
        complain(fmt::format("{} ({}) is ignored: {}", variable.name, variable.origin, finding.why));
      }
    } else {
      finding.why = "this library sets no environment variables for others: export it";
      complain(fmt::format("{} ({}) is ignored: {}", variable.name, variable.origin, finding.why));
    }
    reading_.findings.push_back(std::move(finding));
  }

  void complain(const std::string& what) { reading_.complaints.push_back("hansa: " + what); }

  std::span<const Layer> layers_;
  Reading reading_;
  std::vector<std::optional<std::size_t>> holders_;  // by row of our own names: whose value holds
};

Layer environment() {
  Layer layer;
  for_each_variable([&](std::string_view name, std::string_view value) {
    const bool known = name.starts_with("HANSA_") || name.starts_with("NCCL_");
    if (known && find(layer, name) == nullptr)
      layer.push_back({std::string(name), std::string(value), kEnvironment});
  });
  return layer;
}

std::string home() {
  if (const char* set = process_environment()("HOME"); set != nullptr && *set != '\0') return set;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) != 0 || found == nullptr) return {};
  return found->pw_dir;
}

Reading read_all() {
  std::vector<std::string> complaints;
  const auto layers = layers_of(environment(), kSystemFile, home(), complaints);
  Reading result = read_config(layers);
  result.complaints.insert(result.complaints.begin(), complaints.begin(), complaints.end());
  // Not through the log, which is configured from here.
  for (const std::string& complaint : result.complaints) {
    const std::string line = complaint + "\n";
    if (result.config.debug >= LogLevel::kWarn && ::write(STDERR_FILENO, line.data(), line.size()) < 0) break;
  }
  arm(result.config.fault);
  return result;
}

}  // namespace

Reading read_config(std::span<const Layer> layers) { return Reader(layers).read(); }

std::vector<Layer> layers_of(const Layer& environment, const std::string& system_file,
                             const std::string& home, std::vector<std::string>& complaints) {
  std::vector<Layer> layers;
  const auto add = [&](const std::string& path, bool must_be) {
    const auto text = read_trusted_file(path, kMostFile);
    if (!text.ok())
      complaints.push_back(fmt::format("hansa: configuration file left out: {}", text.status().message()));
    else if (text.value())
      layers.push_back(parse_config_file(*text.value(), path, complaints));
    else if (must_be && path != "/dev/null")
      complaints.push_back(fmt::format("hansa: NCCL_CONF_FILE names {}, which does not exist", path));
  };
  add(system_file, false);
  const Variable* named = find(environment, "NCCL_CONF_FILE");
  if (named != nullptr && !named->value.empty())
    add(named->value, true);
  else if (!home.empty())
    add(home + "/.nccl.conf", false);
  layers.push_back(environment);
  return layers;
}

std::chrono::milliseconds Config::init_patience() const {
  const double seconds = init_timeout > 0 ? init_timeout : 1e9;
  return std::chrono::milliseconds(std::max<std::int64_t>(static_cast<std::int64_t>(seconds * 1000), 1));
}

const Reading& reading() {
  static const Reading instance = read_all();
  return instance;
}

}  // namespace hansa
