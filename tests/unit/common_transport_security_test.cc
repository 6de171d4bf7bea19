// Promise: off this machine nothing is said without TLS unless the operator insists, and nobody is let in unknown;
// whoever insists is told what it exposes. A token is compared whole, and never shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "common/bearer_token.h"
#include "common/certificate_files.h"
#include "common/coordinator_address.h"
#include "common/security_flags.h"
#include "common/transport_security.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const char* const kHere[] = {"localhost:1", "127.0.0.1:7433", "127.9.9.9:65535", "[::1]:80", "unix:/run/h.sock"};
const char* const kElsewhere[] = {"db.example.com:1", "10.0.0.1:1",    "0.0.0.0:1",    "[::]:1",
                                  "[fe80::1]:1",      "127.0.0.1.x:1", "localhost.x:1"};
const char kToken[] = "canary-0123456789";

TEST(CoordinatorAddressTest, IsOfTwoForms) {
  for (const char* good : kHere) EXPECT_TRUE(CheckCoordinatorAddress(good).ok()) << good;
  for (const char* good : kElsewhere) EXPECT_TRUE(CheckCoordinatorAddress(good).ok()) << good;
  for (const char* bad : {"", "localhost", "localhost:", ":1", "localhost:0", "localhost:65536", "localhost:x",
                          "unix:", "http://x:1", "dns:///x:1", "a b:1", "x,y:1", "u@h:1", "[::1:1", "[]:1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckCoordinatorAddress(bad))) << bad;
  }
  EXPECT_TRUE(CheckListenAddress("127.0.0.1:0").ok());
}

TEST(CoordinatorAddressTest, OnThisMachineBySpelling) {
  for (const char* here : kHere) EXPECT_TRUE(IsLocalAddress(here)) << here;
  for (const char* elsewhere : kElsewhere) EXPECT_FALSE(IsLocalAddress(elsewhere)) << elsewhere;
}

TEST(CoordinatorAddressTest, NobodyIsSentToEveryInterface) {
  EXPECT_EQ(AdvertisedAddress("0.0.0.0:7433", "c1"), "c1:7433");
  EXPECT_EQ(AdvertisedAddress("[::]:7433", "c1"), "c1:7433");
  EXPECT_EQ(AdvertisedAddress("0.0.0.0:7433", ""), "0.0.0.0:7433");
  EXPECT_EQ(AdvertisedAddress("10.0.0.1:7433", "c1"), "10.0.0.1:7433");
  EXPECT_EQ(AdvertisedAddress("unix:/x:1", "c1"), "unix:/x:1");
}

TEST(ListeningTest, OnThisMachineNothingIsNeeded) {
  for (const char* here : kHere) {
    EXPECT_TRUE(CheckListening(here, {}).ok()) << here;
    EXPECT_EQ(ExposureOf(here, {}), "") << here;
  }
}

TEST(ListeningTest, ElsewhereTlsAndKnownCallersAreNeeded) {
  for (const char* elsewhere : kElsewhere) {
    TransportSecurity security;
    absl::Status status = CheckListening(elsewhere, security);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << elsewhere;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--tls-cert"));
    security.token = Secret(kToken);
    EXPECT_THAT(std::string(CheckListening(elsewhere, security).message()), HasSubstr("--tls-cert")) << elsewhere;
    security.token = Secret();
    security.certificate_file = security.key_file = "/nowhere";
    EXPECT_THAT(std::string(CheckListening(elsewhere, security).message()), HasSubstr("--token-file")) << elsewhere;
    // With either, the files are looked at.
    security.token = Secret(kToken);
    EXPECT_TRUE(absl::IsNotFound(CheckListening(elsewhere, security))) << elsewhere;
    EXPECT_EQ(ExposureOf(elsewhere, security), "");
    security.token = Secret();
    security.authorities_file = "/nowhere";
    EXPECT_TRUE(absl::IsNotFound(CheckListening(elsewhere, security))) << elsewhere;
    EXPECT_EQ(ExposureOf(elsewhere, security), "");
  }
}

TEST(ListeningTest, WhoInsistsIsToldWhatItExposes) {
  TransportSecurity security;
  security.insecure = true;
  EXPECT_TRUE(CheckListening("0.0.0.0:1", security).ok());
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), HasSubstr("everybody can stop"));
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), HasSubstr("on the way"));
  security.token = Secret(kToken);
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), Not(HasSubstr("everybody can stop")));
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), HasSubstr("the token included"));
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), Not(HasSubstr(kToken)));
  security.token = Secret();
  security.certificate_file = security.key_file = "x";
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), HasSubstr("everybody can stop"));
  EXPECT_THAT(ExposureOf("0.0.0.0:1", security), Not(HasSubstr("on the way")));
  EXPECT_EQ(ExposureOf("127.0.0.1:1", security), "");
}

TEST(ListeningTest, HalfAPairIsRefused) {
  TransportSecurity security;
  security.certificate_file = "x";
  EXPECT_THAT(std::string(CheckListening("127.0.0.1:1", security).message()), HasSubstr("--tls-key"));
  EXPECT_THAT(std::string(CheckClientFiles(security).message()), HasSubstr("--tls-key"));
  security = TransportSecurity();
  security.authorities_file = "x";
  EXPECT_THAT(std::string(CheckListening("127.0.0.1:1", security).message()), HasSubstr("--tls-cert"));
}

TEST(ConnectingTest, ElsewhereTlsIsNeeded) {
  for (const char* here : kHere) EXPECT_TRUE(CheckConnecting(here, {}).ok()) << here;
  for (const char* elsewhere : kElsewhere) {
    TransportSecurity security;
    security.token = Secret(kToken);
    EXPECT_TRUE(absl::IsInvalidArgument(CheckConnecting(elsewhere, security))) << elsewhere;
    security.insecure = true;
    EXPECT_TRUE(CheckConnecting(elsewhere, security).ok()) << elsewhere;
    security.insecure = false;
    security.authorities_file = "x";
    EXPECT_TRUE(CheckConnecting(elsewhere, security).ok()) << elsewhere;
    security.authorities_file = "";
    security.system_authorities = true;
    EXPECT_TRUE(CheckConnecting(elsewhere, security).ok()) << elsewhere;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(CheckConnecting("nowhere", {})));
}

TEST(BearerTokenTest, OnlyTheWholeTokenAuthorizes) {
  const Secret token{std::string(kToken)};
  EXPECT_TRUE(Authorizes(AuthorizationOf(token).Reveal(), token));
  EXPECT_TRUE(Authorizes("bearer canary-0123456789", token));
  for (const char* wrong : {"", "Bearer ", "Bearer canary-012345678", "Bearer canary-01234567890", "canary-0123456789",
                            "Bearer  canary-0123456789", "Bearer canary-0123456789 ", "Basic canary-0123456789",
                            "Bearer Canary-0123456789"}) {
    EXPECT_FALSE(Authorizes(wrong, token)) << wrong;
  }
  EXPECT_FALSE(Authorizes("Bearer ", Secret()));
}

TEST(BearerTokenTest, ShortAndUnprintableOnesAreRefusedWithoutRepeatingThem) {
  EXPECT_TRUE(CheckToken(Secret(kToken)).ok());
  for (const std::string& bad : {std::string("canary"), std::string("canary 0123456789"), std::string(600, 'x'),
                                 std::string("canary-0123456\n789"), std::string("canary-01234567\xc3\xa9")}) {
    const absl::Status status = CheckToken(Secret(bad));
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("canary")));
  }
}

class TokenFileTest : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("HYPERSHIFT_TOKEN"); }
  void TearDown() override { unsetenv("HYPERSHIFT_TOKEN"); }

  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = ::testing::TempDir() + "/hypershift_token_test";
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    flags_.token_file = path;
    return path;
  }

  SecurityFlags flags_;
};

TEST_F(TokenFileTest, TheFileWinsOverTheVariable) {
  setenv("HYPERSHIFT_TOKEN", "canary-of-the-variable", 1);
  EXPECT_EQ(ReadSecurity(flags_)->token.Reveal(), "canary-of-the-variable");
  Write("  canary-0123456789\n", 0600);
  EXPECT_EQ(ReadSecurity(flags_)->token.Reveal(), kToken);
}

TEST_F(TokenFileTest, WhatIsNotRightIsNamed) {
  const std::string path = Write("canary-0123456789\n", 0604);
  EXPECT_THAT(std::string(ReadSecurity(flags_).status().message()), HasSubstr("chmod 600 " + path));
  Write("canary\n", 0600);
  EXPECT_THAT(std::string(ReadSecurity(flags_).status().message()), HasSubstr(path));
  EXPECT_THAT(std::string(ReadSecurity(flags_).status().message()), Not(HasSubstr("canary\n")));
  flags_.token_file = "/nowhere/token";
  EXPECT_TRUE(absl::IsNotFound(ReadSecurity(flags_).status()));
  flags_.token_file = "";
  setenv("HYPERSHIFT_TOKEN", "short", 1);
  EXPECT_THAT(std::string(ReadSecurity(flags_).status().message()), HasSubstr("HYPERSHIFT_TOKEN"));
}

}  // namespace
}  // namespace hypershift
