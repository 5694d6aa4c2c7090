// Named places of the protocol where a test lets this process die, stop or run out of something, through
// HANSA_FAULT. tests/fault sweeps the list below, so a place that is listed is tried.
//
// A place costs a load and a compare while nothing is armed. They stand where a call is set up or a message
// of more than one slot moves, never on the path of a small message.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "hansa/status.hpp"

namespace hansa {

enum class Point : std::uint8_t {
  kNone,
  kInitBegin,
  kInitJoined,
  kInitOpened,
  kInitAddressed,
  kInitConnected,
  kInitAgreed,
  kInitReady,
  kSeatOpen,
  kHubGathered,
  kHubSpread,
  kRootEntered,
  kRootAssigned,
  kSplitBegin,
  kSplitPlaced,
  kSplitAnew,
  kShrinkBegin,
  kShrinkPlaced,
  kDestroyBegin,
  kDestroyLeave,
  kAbortBegin,
  kAbortRaised,
  kMessageReserved,
  kMessageHalf,
  kMessageSent,
  kMessageArrived,
  kMessageRead,
  kOfferBegin,
  kOfferSent,
  kAcceptBegin,
  kAcceptSent,
  kCopyBegin,
  kCopyHalf,
  kCopySingle,
  kCopyDone,
  kFerryAsk,
  kFerryAnswer,
  kFerryGot,
  kFerryBring,
  kFerryBrought,
  kMemoryOffer,
  kMemoryFetch,
  kMemoryMapped,
  kCellSealed,
  kEnd
};

struct PointName {
  Point point;
  const char* name;
  bool can_fail = false;  // its caller heeds fault_point()
};

inline constexpr PointName kPoints[] = {
    {Point::kNone, ""},
    {Point::kInitBegin, "init.begin", true},        // nobody knows of this rank
    {Point::kInitJoined, "init.joined", true},      // all ranks have come
    {Point::kInitOpened, "init.opened", true},      // a transport is open, its address not told
    {Point::kInitAddressed, "init.addressed"},      // the addresses are known, none is reached
    {Point::kInitConnected, "init.connected"},      // reached, but nobody knows
    {Point::kInitAgreed, "init.agreed", true},      // before what all ranks can is compared
    {Point::kInitReady, "init.ready"},              // after it
    {Point::kSeatOpen, "seat.open"},                // a rank reaches its host's hub
    {Point::kHubGathered, "hub.gathered"},          // a hub has heard all its ranks
    {Point::kHubSpread, "hub.spread"},              // it has answered one of them
    {Point::kRootEntered, "root.entered"},          // the root has heard of all ranks
    {Point::kRootAssigned, "root.assigned"},        // all hubs have their places
    {Point::kSplitBegin, "split.begin", true},      // before the colors are exchanged
    {Point::kSplitPlaced, "split.placed", true},    // a rank knows its place in the child
    {Point::kSplitAnew, "split.anew", true},        // the ranks of a failed parent meet again
    {Point::kShrinkBegin, "shrink.begin", true},    // before the new place is known
    {Point::kShrinkPlaced, "shrink.placed", true},  // after it
    {Point::kDestroyBegin, "destroy.begin"},        // what is pending may still run
    {Point::kDestroyLeave, "destroy.leave"},        // before the word that this rank leaves
    {Point::kAbortBegin, "abort.begin"},            // before anybody hears of it
    {Point::kAbortRaised, "abort.raised"},          // after the word is given out
    {Point::kMessageReserved, "message.reserved"},  // a message of several cells, none sent
    {Point::kMessageHalf, "message.half"},          // its first cell sent
    {Point::kMessageSent, "message.sent"},          // its last cell sent
    {Point::kMessageArrived, "message.arrived"},    // such a message arrived, unread
    {Point::kMessageRead, "message.read"},          // read, its cells not given back
    {Point::kOfferBegin, "offer.begin"},            // before memory is offered to a reader
    {Point::kOfferSent, "offer.sent"},              // offered, not read
    {Point::kAcceptBegin, "accept.begin"},          // before memory is opened to a writer
    {Point::kAcceptSent, "accept.sent"},            // opened, not written
    {Point::kCopyBegin, "copy.begin"},              // before a peer's memory is touched
    {Point::kCopyHalf, "copy.half"},                // between two pieces of it
    {Point::kCopySingle, "copy.single", true},      // before the kernel copies a piece of it
    {Point::kCopyDone, "copy.done"},                // all moved, the peer does not know
    {Point::kFerryAsk, "ferry.ask", true},          // before a peer is asked; to fail is to ask amiss
    {Point::kFerryAnswer, "ferry.answer"},          // between two cells that a peer asked for
    {Point::kFerryGot, "ferry.got"},                // between two that this rank asked for
    {Point::kFerryBring, "ferry.bring"},            // between two that are brought unasked
    {Point::kFerryBrought, "ferry.brought"},        // one of those is read, its room not given back
    {Point::kMemoryOffer, "memory.offer", true},    // before memory of ncclMemAlloc is shown to peers
    {Point::kMemoryFetch, "memory.fetch", true},    // before a peer's is asked for
    {Point::kMemoryMapped, "memory.mapped"},        // after it is mapped
    {Point::kCellSealed, "cell.sealed", true},      // has its checksum; to fail is to be damaged now
};

enum class FaultKind : std::uint8_t {
  kKill,         // SIGKILL
  kStop,         // SIGSTOP
  kExit,         // ends without a word
  kDescriptors,  // closes every descriptor but the standard ones
  kMemory,       // no more address space
  kFiles,        // no file or shared memory may grow
  kFail          // the place fails, where it can
};

inline constexpr std::string_view kFaultKinds[] = {"kill",   "stop",  "exit", "descriptors",
                                                   "memory", "files", "fail"};

// "copy.half:3=kill": at the third time.
struct Fault {
  Point point = Point::kNone;
  std::uint32_t nth = 1;
  FaultKind kind = FaultKind::kKill;
};

bool parse_fault(std::string_view text, Fault& into);
// Once, before any place is reached.
void arm(const Fault& fault) noexcept;

namespace fault {
inline constinit std::atomic<Point> armed{Point::kNone};
inline constinit std::atomic<void (*)()> witness{
    nullptr};  // called first where something strikes; may be null
bool strike() noexcept;
}  // namespace fault

// True if what happens here is to fail.
inline bool fault_point(Point point) noexcept {
  return fault::armed.load(std::memory_order_relaxed) == point && fault::strike();
}
// How it fails where nothing of its own suggests itself.
inline Status made_to_fail() { return Status(Code::kSystem, "HANSA_FAULT lets it fail"); }

}  // namespace hansa
