#include "bootstrap/bytes.hpp"

namespace hansa::bootstrap {

void ByteWriter::raw(BytesView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

}  // namespace hansa::bootstrap
