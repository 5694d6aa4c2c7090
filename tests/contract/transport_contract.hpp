// What every transport promises, as tests. A transport joins with a few lines:
//
//   struct MyTransport {
//     static constexpr RunAs kRunAs = RunAs::kThreads;
//     static Result<std::unique_ptr<Transport>> open(const TransportOptions& options);
//     static std::unique_ptr<Memory> memory();   // may return null
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Mine, TransportContract, MyTransport);
//
// The tests never look at which transport they run over, only at its capabilities.
#pragma once

#include "tests/contract/direct_contract.hpp"
#include "tests/contract/message_contract.hpp"

namespace hansa::test {

REGISTER_TYPED_TEST_SUITE_P(TransportContract, CapabilitiesAreSaneAndShared,
                            CarriesEverySizeInOrderBothWaysAtOnce, ReserveAndPeekRepeatAndLookAhead,
                            CreditsEndAFloodAndComeBackOneByOne, WhatAnIdleTransportSentNeedsItNoMore,
                            AFullLaneDoesNotHoldUpAnother, WrapsRoundManyTimes,
                            EveryRankTalksToEveryRankOnEveryLane, ARankReachesItself,
                            TwoCommunicatorsDoNotMix, EitherEndMayGoFirst, ConnectRefusesMalformedAddresses,
                            GetsAndPutsByPieces, MapsWhatItCan, RefusesPiecesOutsideTheDescription,
                            QuiesceEndsAccess);

}  // namespace hansa::test
