// absl::Status to and from grpc::Status: the codes are the same numbers in both.
#ifndef HYPERSHIFT_COMMON_GRPC_STATUS_H_
#define HYPERSHIFT_COMMON_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace hypershift {

inline grpc::Status ToGrpcStatus(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

inline absl::Status FromGrpcStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_GRPC_STATUS_H_
