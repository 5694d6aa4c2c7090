// The C ABI of settings: NCCL's parameter functions over our own table.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "base/config.hpp"
#include "capi/translate.hpp"
#include "capi/twin.hpp"
#include "core/factory.hpp"

using namespace hansa;  // NOLINT: this file is nothing but the library seen from C

namespace {

const Setting* setting_of(ncclParamHandle_t handle) {
  for (const Setting& setting : settings())
    if (reinterpret_cast<ncclParamHandle_t>(const_cast<Setting*>(&setting)) == handle) return &setting;
  return nullptr;
}

// What holds, as text; what nobody may see is not shown.
std::string text_of(const Setting& setting) {
  if (setting.trait == Setting::Trait::kHidden) return {};
  return reading().values[static_cast<std::size_t>(&setting - settings().data())].value;
}

Result<const Setting*> bound(ncclParamHandle_t handle) {
  if (const Setting* setting = setting_of(handle)) return setting;
  return Status(Code::kInvalidArgument, "not a handle of ncclParamBind");
}

Result<const Setting*> named(const char* key) {
  if (key == nullptr) return null_argument("key");
  if (const Setting* setting = find_setting(key)) return setting;
  return Status(
      Code::kInvalidArgument,
      fmt::format("there is no setting {}: see docs/environment.md, or ncclParamGetAllParameterKeys", key));
}

template <class Number>
Status read_number(ncclParamHandle_t handle, Number* out) {
  if (out == nullptr) return null_argument("out");
  HANSA_ASSIGN_OR_RETURN(const Setting* setting, bound(handle));
  const std::string text = text_of(*setting);
  const char* const end = text.data() + text.size();
  Number number{};
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end)
    return Status(Code::kInvalidUsage,
                  fmt::format("{} is \"{}\": no whole number from {} to {}", setting->name, text,
                              std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max()));
  *out = number;
  return {};
}

template <class Number>
ncclResult_t get(ncclParamHandle_t handle, Number* out) {
  return guarded([&] { return report(read_number(handle, out)); });
}

// Until the thread asks again.
const std::string& keep(std::string text) { return last_setting() = std::move(text); }

}  // namespace

ncclResult_t pncclParamBind(ncclParamHandle_t* out, const char* key) {
  if (out == nullptr) return report(null_argument("out"));
  *out = nullptr;
  return guarded([&] {
    const auto setting = named(key);
    if (setting.ok()) *out = reinterpret_cast<ncclParamHandle_t>(const_cast<Setting*>(setting.value()));
    return report(setting.status());
  });
}
TWIN(ParamBind);

ncclResult_t pncclParamGetI8(ncclParamHandle_t h, int8_t* out) { return get(h, out); }
TWIN(ParamGetI8);
ncclResult_t pncclParamGetI16(ncclParamHandle_t h, int16_t* out) { return get(h, out); }
TWIN(ParamGetI16);
ncclResult_t pncclParamGetI32(ncclParamHandle_t h, int32_t* out) { return get(h, out); }
TWIN(ParamGetI32);
ncclResult_t pncclParamGetI64(ncclParamHandle_t h, int64_t* out) { return get(h, out); }
TWIN(ParamGetI64);
ncclResult_t pncclParamGetU8(ncclParamHandle_t h, uint8_t* out) { return get(h, out); }
TWIN(ParamGetU8);
ncclResult_t pncclParamGetU16(ncclParamHandle_t h, uint16_t* out) { return get(h, out); }
TWIN(ParamGetU16);
ncclResult_t pncclParamGetU32(ncclParamHandle_t h, uint32_t* out) { return get(h, out); }
TWIN(ParamGetU32);
ncclResult_t pncclParamGetU64(ncclParamHandle_t h, uint64_t* out) { return get(h, out); }
TWIN(ParamGetU64);

ncclResult_t pncclParamGetStr(ncclParamHandle_t h, const char** out) {
  if (out == nullptr) return report(null_argument("out"));
  return guarded([&] {
    const auto setting = bound(h);
    if (setting.ok()) *out = keep(text_of(*setting.value())).c_str();
    return report(setting.status());
  });
}
TWIN(ParamGetStr);

ncclResult_t pncclParamGet(ncclParamHandle_t h, void* out, int maxLen, int* len) {
  if (out == nullptr || len == nullptr) return report(null_argument(out == nullptr ? "out" : "len"));
  return guarded([&] {
    const auto setting = bound(h);
    if (!setting.ok()) return report(setting.status());
    const std::string text = text_of(*setting.value());
    *len = static_cast<int>(text.size());
    if (maxLen < *len)
      return report(Status(Code::kInvalidUsage,
                           fmt::format("the value has {} bytes, more than maxLen, {}", *len, maxLen)));
    std::memcpy(out, text.data(), text.size());
    return ncclSuccess;
  });
}
TWIN(ParamGet);

ncclResult_t pncclParamGetParameter(const char* key, const char** value, int* valueLen) {
  if (value == nullptr) return report(null_argument("value"));
  return guarded([&] {
    const auto setting = named(key);
    if (!setting.ok()) return report(setting.status());
    const std::string& text = keep(text_of(*setting.value()));
    *value = text.c_str();
    if (valueLen != nullptr) *valueLen = static_cast<int>(text.size());
    return ncclSuccess;
  });
}
TWIN(ParamGetParameter);

ncclResult_t pncclParamGetAllParameterKeys(const char*** table, int* tableLen) {
  if (table == nullptr || tableLen == nullptr)
    return report(null_argument(table == nullptr ? "table" : "tableLen"));
  return guarded([&] {
    static std::vector<const char*> names = [] {
      std::vector<const char*> all;
      for (const Setting& setting : settings()) all.push_back(setting.name);
      return all;
    }();
    *table = names.data();
    *tableLen = static_cast<int>(names.size());
    return ncclSuccess;
  });
}
TWIN(ParamGetAllParameterKeys);

void pncclParamDumpAll(void) {
  (void)guarded([] {
    for (const Setting& setting : settings()) std::printf("%s=%s\n", setting.name, text_of(setting).c_str());
    std::fflush(stdout);
    return ncclSuccess;
  });
}
TWIN(ParamDumpAll);
