// The types, numbers and functions of PMIx that the launcher declares for itself, against PMIx's own headers.
#include "bootstrap/launchers/pmix_abi.hpp"

#include <gtest/gtest.h>
#include <pmix.h>

#include <cstring>
#include <type_traits>

namespace hansa::bootstrap::pmix {
namespace {

static_assert(sizeof(Process) == sizeof(pmix_proc_t) && alignof(Process) == alignof(pmix_proc_t));
static_assert(sizeof(Process::name_space) == sizeof(pmix_nspace_t));
static_assert(offsetof(Process, rank) == offsetof(pmix_proc_t, rank));
static_assert(sizeof(Value) == sizeof(pmix_value_t) && alignof(Value) == alignof(pmix_value_t));
static_assert(sizeof(Value::type) == sizeof(pmix_value_t::type));
static_assert(offsetof(Value, flag) == offsetof(pmix_value_t, data.flag));
static_assert(offsetof(Value, string) == offsetof(pmix_value_t, data.string));
static_assert(offsetof(Value, uint16) == offsetof(pmix_value_t, data.uint16));
static_assert(offsetof(Value, uint32) == offsetof(pmix_value_t, data.uint32));
static_assert(sizeof(Info) == sizeof(pmix_info_t) && alignof(Info) == alignof(pmix_info_t));
static_assert(sizeof(Info::key) == sizeof(pmix_key_t));
static_assert(offsetof(Info, flags) == offsetof(pmix_info_t, flags));
static_assert(sizeof(Info::flags) == sizeof(pmix_info_t::flags));
static_assert(offsetof(Info, value) == offsetof(pmix_info_t, value));

static_assert(kSuccess == PMIX_SUCCESS && kOperationSucceeded == PMIX_OPERATION_SUCCEEDED);
static_assert(kRankWildcard == PMIX_RANK_WILDCARD && kScopeGlobal == PMIX_GLOBAL);
static_assert(kBool == PMIX_BOOL && kString == PMIX_STRING && kUint16 == PMIX_UINT16 &&
              kUint32 == PMIX_UINT32);

// A function of theirs and ours take and give the same, type by type of equal size and kind.
template <class A, class B>
constexpr bool same_in_registers() {
  return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
         std::is_signed_v<A> == std::is_signed_v<B>;
}
template <class Ours, class Theirs>
struct Same : std::false_type {};
template <class R1, class... A1, class R2, class... A2>
struct Same<R1 (*)(A1...), R2(A2...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(A1) != sizeof...(A2))
      return false;
    else if constexpr (std::is_void_v<R1> || std::is_void_v<R2>)
      return std::is_void_v<R1> && std::is_void_v<R2> && (same_in_registers<A1, A2>() && ...);
    else
      return same_in_registers<R1, R2>() && (same_in_registers<A1, A2>() && ...);
  }();
};
static_assert(Same<Init, decltype(PMIx_Init)>::value);
static_assert(Same<Finalize, decltype(PMIx_Finalize)>::value);
static_assert(Same<Put, decltype(PMIx_Put)>::value);
static_assert(Same<Commit, decltype(PMIx_Commit)>::value);
static_assert(Same<Fence, decltype(PMIx_Fence_nb)>::value);
static_assert(Same<Get, decltype(PMIx_Get_nb)>::value);
static_assert(Same<ErrorString, decltype(PMIx_Error_string)>::value);
static_assert(Same<DoneCallback, std::remove_pointer_t<pmix_op_cbfunc_t>>::value);
static_assert(Same<ValueCallback, std::remove_pointer_t<pmix_value_cbfunc_t>>::value);
static_assert(!Same<Put, decltype(PMIx_Get_nb)>::value);

TEST(PmixAbi, KeysAreTheStandards) {
  EXPECT_STREQ(PMIX_JOB_SIZE, kJobSize);
  EXPECT_STREQ(PMIX_LOCAL_SIZE, kLocalSize);
  EXPECT_STREQ(PMIX_LOCAL_RANK, kLocalRank);
  EXPECT_STREQ(PMIX_COLLECT_DATA, kCollectData);
}

}  // namespace
}  // namespace hansa::bootstrap::pmix
