// Early returns for absl::Status and absl::StatusOr.
#ifndef HYPERSHIFT_COMMON_STATUS_MACROS_H_
#define HYPERSHIFT_COMMON_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"

#define HS_CONCAT_INNER(a, b) a##b
#define HS_CONCAT(a, b) HS_CONCAT_INNER(a, b)

// Returns from the function when `expression` is not OK.
#define HS_RETURN_IF_ERROR(expression)     \
  do {                                     \
    absl::Status hs_status = (expression); \
    if (!hs_status.ok()) return hs_status; \
  } while (false)

// HS_ASSIGN_OR_RETURN(auto value, Function());
#define HS_ASSIGN_OR_RETURN(target, expression) \
  HS_ASSIGN_OR_RETURN_IMPL(HS_CONCAT(hs_or_, __LINE__), target, expression)
#define HS_ASSIGN_OR_RETURN_IMPL(holder, target, expression) \
  auto holder = (expression);                                \
  if (!holder.ok()) return holder.status();                  \
  target = *std::move(holder)

#endif  // HYPERSHIFT_COMMON_STATUS_MACROS_H_
