#include "bootstrap/unique_id.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace hansa::bootstrap {
namespace {

constexpr char kMagic[] = {'H', 'A', 'N', 'S', 'A', 'I', 'D'};
constexpr std::uint8_t kLayout = 1, kMeetingLayout = 2;
constexpr std::size_t kChecked = 80, kChecksumBytes = 16;

Key checksum_of(BytesView bytes) { return derive(Key{}, "unique id", {bytes.first(kChecked)}); }

}  // namespace

Invitation invite(const NetworkAddress& root) {
  Invitation invitation;
  invitation.root = root;
  const Key random = random_key();
  std::memcpy(invitation.communicator.data(), random.data(), invitation.communicator.size());
  invitation.secret = random_key();
  return invitation;
}

Invitation invite_to_meeting(const NetworkAddress& place, std::string_view secret) {
  Invitation invitation;
  invitation.meeting = true;
  invitation.root = place;
  invitation.root.scope = 0;
  ByteWriter address;
  invitation.root.write(&address);
  invitation.secret = derive(Key{}, "meeting point", {address.view(), std::as_bytes(std::span(secret))});
  return invitation;
}

Invitation invite_from_meeting(const Invitation& meeting, const NetworkAddress& root) {
  Invitation invitation = invite(root);
  invitation.secret = meeting.secret;
  return invitation;
}

UniqueId to_unique_id(const Invitation& invitation) {
  ByteWriter writer;
  writer.raw(std::as_bytes(std::span(kMagic)));
  writer.number(invitation.meeting ? kMeetingLayout : kLayout);
  invitation.root.write(&writer);
  writer.raw(invitation.communicator);
  writer.raw(invitation.secret);
  writer.raw(BytesView(checksum_of(writer.view())).first(kChecksumBytes));
  UniqueId id{};
  std::memcpy(id.data(), writer.view().data(), writer.size());
  return id;
}

Result<Invitation> parse_unique_id(BytesView id) {
  const auto wrong = [](std::string_view why) {
    return Status(
        Code::kInvalidArgument,
        fmt::format("this is not a unique id of this library: {}; broadcast all 128 bytes that one rank got",
                    why));
  };
  if (id.size() != sizeof(UniqueId)) return wrong("it does not have 128 bytes");
  ByteReader reader(id);
  if (std::memcmp(reader.raw(sizeof kMagic).data(), kMagic, sizeof kMagic) != 0)
    return wrong("its first bytes differ");
  const auto layout = reader.number<std::uint8_t>();
  if (layout != kLayout && layout != kMeetingLayout)
    return wrong(
        fmt::format("it has layout {}, this version knows {} and {}", layout, kLayout, kMeetingLayout));
  Invitation invitation;
  invitation.meeting = layout == kMeetingLayout;
  invitation.root = NetworkAddress::read(&reader);
  reader.copy(&invitation.communicator);
  reader.copy(&invitation.secret);
  const BytesView checksum = reader.raw(kChecksumBytes);
  if (!reader.ok()) return wrong("its address is not one");
  if (!equal(checksum, BytesView(checksum_of(id)).first(kChecksumBytes)))
    return wrong("its checksum does not match");
  const BytesView rest = reader.raw(reader.left());
  if (std::any_of(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; }))
    return wrong("it does not end in zeros");
  return invitation;
}

}  // namespace hansa::bootstrap
