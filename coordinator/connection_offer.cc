#include "coordinator/connection_offer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/coordinator_address.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr char kOrBringYourOwn[] = ", or start the worker with its own --source and --target";

bool IsUnixSocket(const Caller& caller) { return absl::StartsWith(caller.peer, "unix:"); }

bool IsOnThisMachine(const Caller& caller) {
  return IsUnixSocket(caller) || absl::StartsWith(caller.peer, "ipv4:127.") ||
         absl::StartsWith(caller.peer, "ipv6:%5B::1%5D:") || absl::StartsWith(caller.peer, "ipv6:[::1]:");
}

// The same words mean another server on another machine.
absl::Status CheckMeansTheSameThere(const ConnectionString& where, const char* what) {
  const std::string host = where.Get("hostaddr").empty() ? where.Get("host") : where.Get("hostaddr");
  if (!host.empty() && host[0] != '/' && !IsLocalHost(host)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the coordinator reaches the ", what, " on its own machine, where this worker is not: name the ",
                   what, " by a host that both can reach in the coordinator's --", what, kOrBringYourOwn));
}

}  // namespace

absl::Status MayGiveConnections(const ConnectionOffer& offer, const Caller& caller) {
  // Who may open a unix socket is decided by its folder.
  if (!IsUnixSocket(caller)) {
    if (!caller.encrypted && !IsOnThisMachine(caller)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "connection strings hold passwords, and this connection is not encrypted: use TLS (--tls-cert, --tls-key)",
          kOrBringYourOwn));
    }
    if (!offer.callers_are_known) {
      return absl::FailedPreconditionError(
          absl::StrCat("connection strings hold passwords, and this coordinator does not ask who calls: give it a "
                       "token (--token-file, "
                       "HYPERSHIFT_TOKEN) or --tls-ca, or let it listen on a unix socket",
                       kOrBringYourOwn));
    }
  }
  if (IsOnThisMachine(caller)) return absl::OkStatus();
  HS_RETURN_IF_ERROR(CheckMeansTheSameThere(offer.source, "source"));
  return CheckMeansTheSameThere(offer.target, "target");
}

}  // namespace hypershift
