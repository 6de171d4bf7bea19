// Promise: no call passes without the token but a health check, a runaway caller does not keep out the others, and
// passwords are given only to known callers over connections that nobody else can read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/call_gate.h"
#include "coordinator/connection_offer.h"
#include "coordinator/rate_limiter.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const char kToken[] = "canary-0123456789";

TEST(CallGateTest, OnlyHealthChecksNeedNoToken) {
  std::string logged;
  InitLog({LogFormat::kText, LogLevel::kInfo, [&](absl::string_view line) { absl::StrAppend(&logged, line); }});
  const FakeClock clock(absl::UnixEpoch());
  CallGate gate(Secret(kToken), &clock);
  for (const char* path : {"/hypershift.v1.WorkerService/Register", "/hypershift.v1.MigrationService/Stop",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/no.Such/Method", "",
                           "grpc.health.v1.Health/Check", "/grpc.health.v1.Healthy/Check"}) {
    EXPECT_TRUE(absl::IsUnauthenticated(gate.Admit(path, "", 1))) << path;
    EXPECT_TRUE(absl::IsUnauthenticated(gate.Admit(path, "Bearer canary-0123456780", 1))) << path;
    EXPECT_TRUE(gate.Admit(path, "Bearer canary-0123456789", 1).ok()) << path;
  }
  EXPECT_TRUE(gate.Admit("/grpc.health.v1.Health/Check", "", 1).ok());
  EXPECT_THAT(logged, HasSubstr("without the coordinator's token"));
  EXPECT_THAT(logged, Not(HasSubstr("canary")));
  SetLogSink(nullptr);
}

TEST(CallGateTest, WithoutATokenEverybodyComesIn) {
  CallGate gate{Secret()};
  EXPECT_TRUE(gate.Admit("/hypershift.v1.MigrationService/Stop", "", 1).ok());
}

TEST(CallGateTest, ARunawayCallerIsTurnedAwayAndNobodyElse) {
  FakeClock clock(absl::UnixEpoch());
  CallGate gate(Secret(), &clock);
  int admitted = 0;
  while (gate.Admit("/x", "", 1).ok()) ++admitted;
  // A worker that has a thousand tiny tasks completed at once is no runaway.
  EXPECT_GE(admitted, 2000);
  EXPECT_TRUE(absl::IsResourceExhausted(gate.Admit("/x", "", 1)));
  EXPECT_TRUE(gate.Admit("/x", "", 2).ok());
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(gate.Admit("/x", "", 1).ok());
}

TEST(RateLimiterTest, AllowsABurstAndThenTheRate) {
  RateLimiter limiter(10, 3);
  absl::Time now = absl::UnixEpoch();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Take(1, now));
  EXPECT_FALSE(limiter.Take(1, now));
  now += absl::Milliseconds(100);
  EXPECT_TRUE(limiter.Take(1, now));
  EXPECT_FALSE(limiter.Take(1, now));
  now += absl::Hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Take(1, now));
  EXPECT_FALSE(limiter.Take(1, now));
}

TEST(RateLimiterTest, RemembersABoundedNumberOfCallers) {
  RateLimiter limiter(10, 3);
  absl::Time now = absl::UnixEpoch();
  for (uintptr_t caller = 0; caller < 100000; ++caller) limiter.Take(caller, now);
  EXPECT_LT(limiter.callers(), 10000u);
  now += absl::Seconds(1);
  EXPECT_TRUE(limiter.Take(1000000, now));
  EXPECT_LT(limiter.callers(), 10u);
}

class ConnectionOfferTest : public ::testing::Test {
 protected:
  static ConnectionString Parse(const std::string& text) { return *ConnectionString::Parse(text, "source"); }

  ConnectionOffer offer_{Parse("host=db1 user=u dbname=a"), Parse("host=db2 user=u dbname=b"), true};
};

TEST_F(ConnectionOfferTest, OnlyWhereNobodyElseCanReadIt) {
  EXPECT_TRUE(MayGiveConnections(offer_, {"ipv4:10.0.0.2:4711", true}).ok());
  EXPECT_TRUE(MayGiveConnections(offer_, {"ipv4:127.0.0.1:4711", false}).ok());
  EXPECT_TRUE(MayGiveConnections(offer_, {"ipv6:%5B::1%5D:4711", false}).ok());
  EXPECT_TRUE(MayGiveConnections(offer_, {"unix:", false}).ok());
  for (const char* peer :
       {"ipv4:10.0.0.2:4711", "ipv6:%5Bfe80::1%5D:4711", "ipv6:%5B::1:1%5D:4711", "", "ipv4:12.127.0.1:1"}) {
    const absl::Status status = MayGiveConnections(offer_, {peer, false});
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << peer;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not encrypted")) << peer;
  }
}

// Anybody on this machine can connect to a port of it.
TEST_F(ConnectionOfferTest, OnlyToKnownCallers) {
  offer_.callers_are_known = false;
  for (const Caller& caller : {Caller{"ipv4:10.0.0.2:1", true}, Caller{"ipv4:127.0.0.1:1", false}}) {
    EXPECT_THAT(std::string(MayGiveConnections(offer_, caller).message()), HasSubstr("--token-file")) << caller.peer;
  }
  EXPECT_TRUE(MayGiveConnections(offer_, {"unix:/x", false}).ok());
}

TEST_F(ConnectionOfferTest, NotIfTheyMeanAnotherServerThere) {
  for (const char* here : {"host=localhost user=u dbname=b", "host=/run/postgresql user=u dbname=b", "user=u dbname=b",
                           "host=db2 hostaddr=127.0.0.1 user=u dbname=b"}) {
    offer_.target = Parse(here);
    EXPECT_THAT(std::string(MayGiveConnections(offer_, {"ipv4:10.0.0.2:1", true}).message()), HasSubstr("the target"))
        << here;
    EXPECT_TRUE(MayGiveConnections(offer_, {"ipv4:127.0.0.1:1", true}).ok()) << here;
  }
}

}  // namespace
}  // namespace hypershift
