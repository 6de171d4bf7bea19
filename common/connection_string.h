// Where a database is and as whom to connect, as libpq understands it: a URI or key=value pairs, service and password
// files and PG* variables included (https://www.postgresql.org/docs/15/libpq-connect.html).
//
// The password is kept apart from the rest, so that the rest can be shown. A value type, immutable after Parse.
#ifndef HYPERSHIFT_COMMON_CONNECTION_STRING_H_
#define HYPERSHIFT_COMMON_CONNECTION_STRING_H_

#include <map>
#include <string>
#include "absl/strings/string_view.h"

#include "absl/status/statusor.h"
#include "common/secret.h"

namespace hypershift {

class ConnectionString {
 public:
  ConnectionString() = default;

  // `what` names it in errors ("source"). A password in `text` is taken out of it; `password`, when not empty, wins.
  // kInvalidArgument: libpq can't parse it. The message never repeats the text, which may hold a password.
  static absl::StatusOr<ConnectionString> Parse(absl::string_view text, absl::string_view what, Secret password = {});

  // "host=db.example.com port=5432 user=me dbname=shop": for people and logs.
  std::string Display() const;
  // Every parameter but the password as key='value' pairs, quoted: for child processes and for libpq.
  std::string WithoutPassword() const;
  // Everything: for libpq only.
  Secret WithPassword() const;
  const Secret& password() const { return password_; }
  // A parameter's value as given or found in a service file; empty if unset.
  std::string Get(absl::string_view parameter) const;
  // The same server and user, another database.
  ConnectionString WithDatabase(absl::string_view database) const;
  // Another value for one parameter other than the password.
  ConnectionString With(absl::string_view parameter, absl::string_view value) const;

 private:
  std::map<std::string, std::string> parameters_;
  Secret password_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_CONNECTION_STRING_H_
