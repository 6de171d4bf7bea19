// What the product is linked with: no failpoint ever does anything.
#include "common/failpoint.h"

namespace hypershift {

absl::Status HitFailpoint(Failpoint, FailpointSide, absl::string_view) { return absl::OkStatus(); }

}  // namespace hypershift
