// Where a database is and as whom to connect, as libpq understands it: a URI or key=value pairs, service file and PG*
// variables included (https://www.postgresql.org/docs/15/libpq-connect.html).
//
// Parse takes in everything that this machine's environment says (text, then service file, then variables, then the
// name of the operating system's user), so that the result means the same on another machine and in a child process.
// Only the password file stays libpq's business: it is read when a connection is opened.
//
// Passwords are kept apart from the rest, so that the rest can be shown. A value type, immutable after Parse.
#ifndef HYPERSHIFT_COMMON_CONNECTION_STRING_H_
#define HYPERSHIFT_COMMON_CONNECTION_STRING_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/secret.h"

namespace hypershift {

class ConnectionString {
 public:
  ConnectionString() = default;

  // `what` names it in errors ("source"). A password in `text` is taken out of it; `password`, when not empty, wins.
  // kInvalidArgument: libpq can't parse it, or a part of the password would end up in the host or database name for
  // want of percent-encoding. The message never repeats the text, which may hold a password.
  static absl::StatusOr<ConnectionString> Parse(absl::string_view text, absl::string_view what, Secret password = {});

  // "host=db.example.com port=5432 user=me dbname=shop": for people and logs.
  std::string Display() const;
  // Every parameter that is not a secret as key='value' pairs, quoted: for child processes and for libpq. Left out are
  // `password` (hand it over as PGPASSWORD or in a password file) and `sslpassword` (a child can't use such a key).
  std::string WithoutPassword() const;
  // Everything: for libpq only.
  Secret WithPassword() const;
  // Empty when it comes from a password file, or none is needed.
  const Secret& password() const { return password_; }
  // Default-constructed: no database was named.
  bool empty() const { return parameters_.empty(); }
  // A parameter's value as given or found in a service file or variable; empty if unset, and for secrets.
  std::string Get(absl::string_view parameter) const;
  // The same server and user, another database.
  ConnectionString WithDatabase(absl::string_view database) const;
  // Another value for one parameter that is not a secret; an empty value unsets it.
  ConnectionString With(absl::string_view parameter, absl::string_view value) const;

 private:
  std::map<std::string, std::string> parameters_;
  Secret password_;
  std::map<std::string, Secret> other_secrets_;  // What libpq marks as a password beside `password`.
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CONNECTION_STRING_H_
