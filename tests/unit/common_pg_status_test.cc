#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>
#include <stdexcept>
#include <string>

#include "common/grpc_status.h"
#include "common/pg_connect.h"
#include "common/pg_session.h"
#include "common/pg_status.h"

namespace hypershift {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PgErrorStatusTest, CodeFollowsSqlState) {
  struct Case {
    const char* sqlstate;
    absl::StatusCode code;
    bool retryable;
  };
  const Case cases[] = {
      {"", absl::StatusCode::kUnavailable, true},
      {"08006", absl::StatusCode::kUnavailable, true},
      {"57P01", absl::StatusCode::kUnavailable, true},
      {"57P03", absl::StatusCode::kUnavailable, true},
      {"25P03", absl::StatusCode::kUnavailable, true},
      {"25006", absl::StatusCode::kUnavailable, true},
      {"53200", absl::StatusCode::kResourceExhausted, true},
      {"53300", absl::StatusCode::kUnavailable, true},
      {"40001", absl::StatusCode::kAborted, true},
      {"40P01", absl::StatusCode::kAborted, true},
      {"55P03", absl::StatusCode::kAborted, true},
      {"57014", absl::StatusCode::kCancelled, true},
      {"28P01", absl::StatusCode::kUnauthenticated, false},
      {"42501", absl::StatusCode::kPermissionDenied, false},
      {"23505", absl::StatusCode::kAlreadyExists, false},
      {"23503", absl::StatusCode::kInvalidArgument, false},
      {"22P02", absl::StatusCode::kInvalidArgument, false},
      {"53100", absl::StatusCode::kResourceExhausted, false},
      {"42P01", absl::StatusCode::kNotFound, false},
      {"42703", absl::StatusCode::kNotFound, false},
      {"3D000", absl::StatusCode::kNotFound, false},
      {"3F000", absl::StatusCode::kNotFound, false},
      {"XX000", absl::StatusCode::kInternal, false},
      {"42601", absl::StatusCode::kInternal, false},
  };
  for (const Case& test : cases) {
    const absl::Status status = PgErrorStatus("ERROR:  words", test.sqlstate);
    EXPECT_EQ(status.code(), test.code) << test.sqlstate;
    EXPECT_EQ(SqlState(status), test.sqlstate);
    EXPECT_EQ(IsRetryable(status), test.retryable) << test.sqlstate;
    EXPECT_EQ(status.message(), "words");
  }
}

TEST(PgErrorStatusTest, SaysItInOneLineWithoutTheStatement) {
  const absl::Status status = PgErrorStatus(
      "ERROR:  relation \"x\" does not exist\nLINE 1: SELECT canary FROM x\n                          ^\n"
      "DETAIL:  first\nHINT:  second\nCONTEXT:  COPY x, line 3\n",
      "42P01");
  EXPECT_EQ(status.message(), "relation \"x\" does not exist; DETAIL:  first; HINT:  second; CONTEXT:  COPY x, line 3");
  EXPECT_EQ(PgErrorStatus("", "").message(), "the connection was lost");
  EXPECT_FALSE(PgErrorStatus("\n", "XX000").message().empty());
}

TEST(WithContextTest, KeepsCodeAndSqlState) {
  const absl::Status status = WithContext(PgErrorStatus("deadlock", "40P01"), "task 7");
  EXPECT_EQ(status.message(), "task 7: deadlock");
  EXPECT_EQ(SqlState(status), "40P01");
  EXPECT_TRUE(IsRetryable(status));
  EXPECT_TRUE(WithContext(absl::OkStatus(), "x").ok());
}

// A stale lease (ABORTED by gRPC) must not be tried again, a serialization failure must.
TEST(IsRetryableTest, AbortedWithoutSqlStateIsNot) {
  EXPECT_FALSE(IsRetryable(absl::AbortedError("stale")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
  EXPECT_FALSE(IsRetryable(absl::UnknownError("in doubt")));
}

// Whatever libpqxx throws ends here, with the SQLSTATE that libpqxx 6 keeps in some exceptions' type only.
TEST(CatchPqxxTest, MapsEveryException) {
  const auto state = [](auto error) {
    const absl::Status status = CatchPqxx([&]() -> absl::Status { throw error; });
    return absl::StatusCodeToString(status.code()) + " " + SqlState(status);
  };
  EXPECT_EQ(state(pqxx::sql_error("m", "q", "42P01")), "NOT_FOUND 42P01");
  EXPECT_EQ(state(pqxx::unique_violation("m", "q", "23505")), "ALREADY_EXISTS 23505");
  EXPECT_EQ(state(pqxx::serialization_failure("m")), "ABORTED 40001");
  EXPECT_EQ(state(pqxx::deadlock_detected("m")), "ABORTED 40P01");
  EXPECT_EQ(state(pqxx::broken_connection("m")), "UNAVAILABLE ");
  EXPECT_EQ(state(pqxx::too_many_connections("m")), "UNAVAILABLE 53300");
  EXPECT_EQ(state(pqxx::in_doubt_error("m")), "UNKNOWN ");
  EXPECT_EQ(state(std::runtime_error("m")), "INTERNAL ");
  EXPECT_TRUE(CatchPqxx([] { return absl::OkStatus(); }).ok());
  EXPECT_EQ(CatchPqxx([] { return absl::AbortedError("a"); }), absl::AbortedError("a"));
}

// The class of a refused connection does not depend on the language of the server's messages.
TEST(ParseConnectFailureTest, FindsTheSqlState) {
  const absl::Status german = ParseConnectFailure(
      "connection to server at \"db\" (10.0.0.1), port 5432 failed: FATAL:  28P01: Passwort-Authentifizierung für "
      "Benutzer »me« fehlgeschlagen\nLOCATION:  auth_failed, auth.c:338\n");
  EXPECT_TRUE(absl::IsUnauthenticated(german));
  EXPECT_EQ(SqlState(german), "28P01");
  EXPECT_THAT(std::string(german.message()), Not(HasSubstr("28P01: ")));
  EXPECT_THAT(std::string(german.message()), Not(HasSubstr("LOCATION")));
  const absl::Status refused = ParseConnectFailure(
      "connection to server at \"db\", port 1 failed: Connection refused\n\tIs the server running on that host and "
      "accepting TCP/IP connections?\n");
  EXPECT_TRUE(absl::IsUnavailable(refused));
  EXPECT_EQ(refused.message(), "connection to server at \"db\", port 1 failed: Connection refused");
}

TEST(SessionSettingsTest, DependOnTheRole) {
  SessionOptions options;
  EXPECT_THAT(SessionSettingsSql(options), HasSubstr("SET row_security = off"));
  EXPECT_THAT(SessionSettingsSql(options), HasSubstr("SET lock_timeout = 0;"));
  EXPECT_THAT(SessionSettingsSql(options), HasSubstr("SET tcp_keepalives_idle = 10;"));
  options.role = ServerRole::kTarget;
  options.lock_timeout = absl::Milliseconds(2500);
  EXPECT_THAT(SessionSettingsSql(options), Not(HasSubstr("row_security")));
  EXPECT_THAT(SessionSettingsSql(options), HasSubstr("SET lock_timeout = 2500;"));
}

TEST(GrpcStatusTest, KeepsCodeAndMessage) {
  const absl::Status status = absl::FailedPreconditionError("no");
  EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

}  // namespace
}  // namespace hypershift
