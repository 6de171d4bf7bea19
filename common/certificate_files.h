// Looks at certificates before a server or a client begins to use them: what is wrong with a file should be said at the
// start, and not by every connection that fails.
//
// Single-threaded, at the start of a program. Errors are one line for the user: kInvalidArgument, kNotFound.
#ifndef HYPERSHIFT_COMMON_CERTIFICATE_FILES_H_
#define HYPERSHIFT_COMMON_CERTIFICATE_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace hypershift {

// A PEM certificate, the first of its chain, that is valid at `now` and belongs to the PEM key. Others may not be able
// to read the key.
absl::Status CheckCertificate(const std::string& certificate_file, const std::string& key_file, absl::Time now);

// PEM certificates, one at least.
absl::Status CheckAuthorities(const std::string& file);

// kInvalidArgument: everybody on this machine can read it. kNotFound: nobody can.
absl::Status CheckIsPrivate(const std::string& file);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CERTIFICATE_FILES_H_
