#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <type_traits>

#include "common/connection_string.h"
#include "common/pg_session.h"
#include "common/service_file.h"

namespace hypershift {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

// Parse takes in the environment: each test starts without PG* variables and gives them back at the end.
class ConnectionStringTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSERVICE", "PGSERVICEFILE",
                             "PGSSLMODE", "PGAPPNAME", "PGCONNECT_TIMEOUT"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) saved_[name] = value;
      unset_.push_back(name);
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (const char* name : unset_) unsetenv(name);
    for (const auto& [name, value] : saved_) setenv(name.c_str(), value.c_str(), 1);
  }

  static ConnectionString MustParse(absl::string_view text, Secret password = {}) {
    auto parsed = ConnectionString::Parse(text, "source", std::move(password));
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return parsed.ok() ? *parsed : ConnectionString();
  }
  static std::string ErrorOf(absl::string_view text) {
    const auto parsed = ConnectionString::Parse(text, "source");
    EXPECT_TRUE(absl::IsInvalidArgument(parsed.status())) << text;
    return std::string(parsed.status().message());
  }

 private:
  std::map<std::string, std::string> saved_;
  std::vector<const char*> unset_;
};

TEST_F(ConnectionStringTest, ReadsUriAndPairsAlike) {
  for (const char* text : {"postgres://me:s%40crt@db.example.com:6432/shop?sslmode=require",
                           "postgresql://me@db.example.com:6432/shop?sslmode=require&password=s%40crt",
                           "host=db.example.com port=6432 user=me password='s@crt' dbname=shop sslmode=require"}) {
    const ConnectionString where = MustParse(text);
    EXPECT_EQ(where.Display(), "host=db.example.com port=6432 user=me dbname=shop");
    EXPECT_EQ(where.password().Reveal(), "s@crt");
    EXPECT_EQ(where.Get("sslmode"), "require");
    EXPECT_EQ(where.Get("password"), "");
  }
}

// No way of showing a connection string shows a password.
TEST_F(ConnectionStringTest, KeepsSecretsApart) {
  const ConnectionString where = MustParse("host=h user=u dbname=d password=canary1 sslpassword=canary2 sslkey=/k");
  EXPECT_THAT(where.Display() + where.WithoutPassword(), Not(HasSubstr("canary")));
  EXPECT_THAT(where.WithPassword().Reveal(), HasSubstr("password='canary1'"));
  EXPECT_THAT(where.WithPassword().Reveal(), HasSubstr("sslpassword='canary2'"));
  EXPECT_THAT(where.WithoutPassword(), HasSubstr("sslkey='/k'"));
}

TEST_F(ConnectionStringTest, GivenPasswordWins) {
  EXPECT_EQ(MustParse("postgres://u:a@h/d", Secret("b")).password().Reveal(), "b");
  EXPECT_EQ(MustParse("postgres://u:a@h/d").password().Reveal(), "a");
  EXPECT_TRUE(MustParse("postgres://u@h/d").password().empty());
}

TEST_F(ConnectionStringTest, QuotedPairsParseBack) {
  const ConnectionString where = MustParse("host=h user='o\\'brien' dbname=d", Secret("a'b\\c d"));
  const ConnectionString odd = where.WithDatabase("it's a \\ \"base\" =");
  const ConnectionString again = MustParse(odd.WithPassword().Reveal());
  EXPECT_EQ(again.Get("dbname"), "it's a \\ \"base\" =");
  EXPECT_EQ(again.password().Reveal(), "a'b\\c d");
  EXPECT_EQ(again.Get("host"), "h");
  EXPECT_EQ(MustParse(odd.WithoutPassword()).Get("dbname"), odd.Get("dbname"));
}

// Bad input: a hint, never the text itself.
TEST_F(ConnectionStringTest, ErrorsNeverRepeatTheText) {
  struct Case {
    const char* text;
    const char* words;
  };
  const Case cases[] = {
      {"", "is empty"},
      {"canary", "a '=' is missing"},
      {"host=h password=can canary", "a '=' is missing"},
      {"host=h password='canary", "not closed"},
      {"host=h pasword=canary", "did you mean 'password'?"},
      {"password=x canary=1", "an unknown parameter"},
      {"postgres://u:p%zzcanary@h/d", "%25"},
      {"postgres://u:p@canary@h/d", "%40"},
      {"postgres://u:pa/canary@h/d", "%40"},
      {"postgres://u@h/d?canary=1", "an unknown parameter"},
      {"postgres://u@[canary/d", "IPv6"},
      {"host=h dbname=postgres://u:canary@h/d", "is a URI itself"},
      {"host=postgres://u:canary@h/d", "host is a URI itself"},
  };
  for (const Case& test : cases) {
    const std::string error = ErrorOf(test.text);
    EXPECT_THAT(error, HasSubstr(test.words)) << test.text;
    EXPECT_THAT(error, testing::StartsWith("source: "));
    EXPECT_THAT(error, Not(HasSubstr("canary")));
  }
}

TEST_F(ConnectionStringTest, EnvironmentFillsWhatTheTextLeavesOpen) {
  setenv("PGHOST", "envhost", 1);
  setenv("PGUSER", "envuser", 1);
  setenv("PGPASSWORD", "envsecret", 1);
  setenv("PGSSLMODE", "disable", 1);
  const ConnectionString where = MustParse("postgresql:///shop?user=me");
  EXPECT_EQ(where.Display(), "host=envhost user=me dbname=shop");
  EXPECT_EQ(where.password().Reveal(), "envsecret");
  EXPECT_EQ(where.Get("sslmode"), "disable");
  EXPECT_EQ(MustParse("postgresql://").Get("dbname"), "envuser");
}

TEST_F(ConnectionStringTest, ServiceFileComesBetweenTextAndEnvironment) {
  const std::string path = testing::TempDir() + "/hypershift_service_" + std::to_string(getpid());
  std::ofstream(path) << "[other]\nhost=no\n\n# shop\n[shop]\nhost=svchost\nport=7000\npassword=svcsecret\n";
  setenv("PGSERVICEFILE", path.c_str(), 1);
  setenv("PGHOST", "envhost", 1);
  const ConnectionString where = MustParse("service=shop user=me port=1");
  EXPECT_EQ(where.Display(), "host=svchost port=1 user=me dbname=me");
  EXPECT_EQ(where.password().Reveal(), "svcsecret");
  EXPECT_THAT(where.WithPassword().Reveal(), Not(HasSubstr("service=")));  // Another machine has no such file.
  setenv("PGSERVICE", "shop", 1);
  EXPECT_EQ(MustParse("user=me").Get("port"), "7000");
  EXPECT_EQ(MustParse("service=unknown").Get("service"), "unknown");  // libpq says what is wrong.
  std::remove(path.c_str());
}

TEST_F(ConnectionStringTest, WithReplacesAndRemoves) {
  const ConnectionString where = MustParse("host=h user=u dbname=d sslmode=require");
  EXPECT_EQ(where.With("host", "i").Get("host"), "i");
  EXPECT_EQ(where.With("sslmode", "").Get("sslmode"), "");
  EXPECT_EQ(where.WithDatabase("e").Display(), "host=h user=u dbname=e");
  EXPECT_EQ(where.Get("host"), "h");
}

TEST_F(ConnectionStringTest, DisplayStaysOneLine) {
  EXPECT_EQ(MustParse("host=h user=u").WithDatabase("a\nb").Display(), "host=h user=u dbname=a\\x0ab");
  EXPECT_EQ(MustParse("host=h user=u").WithDatabase("a b").Display(), "host=h user=u dbname='a b'");
}

// A silent peer is noticed, unless the user has chosen otherwise.
TEST_F(ConnectionStringTest, LibpqGetsKeepalivesUnlessSet) {
  const std::string plain = LibpqConnectionString(MustParse("host=h user=u password=p"), {}).Reveal();
  for (const char* part : {"keepalives_idle='10'", "tcp_user_timeout='25000'", "connect_timeout='10'",
                           "application_name='hypershift'", "client_encoding='UTF8'", "password='p'"}) {
    EXPECT_THAT(plain, HasSubstr(part));
  }
  const std::string chosen =
      LibpqConnectionString(MustParse("host=h user=u keepalives_idle=60 client_encoding=LATIN1"), {}).Reveal();
  EXPECT_THAT(chosen, HasSubstr("keepalives_idle='60'"));
  EXPECT_THAT(chosen, HasSubstr("client_encoding='UTF8'"));
}

TEST(ServiceFileTest, LeavesToLibpqWhatItDoesNotUnderstand) {
  EXPECT_THAT(*ParseServiceFile("[a]\nhost=x\n[a]\nhost=y\n", "a"), UnorderedElementsAre(Pair("host", "x")));
  EXPECT_THAT(*ParseServiceFile("  [a]  \r\n  host=x=y\r\n", "a"), UnorderedElementsAre(Pair("host", "x=y")));
  EXPECT_FALSE(ParseServiceFile("[a]\nhost=x\n", "b"));
  EXPECT_FALSE(ParseServiceFile("[a]\nldap://h/x?y=z\n", "a"));
  EXPECT_FALSE(ParseServiceFile("[a]\nbroken\n", "a"));
  EXPECT_FALSE(ParseServiceFile("", "a"));
}

template <typename T, typename = void>
struct IsStreamable : std::false_type {};
template <typename T>
struct IsStreamable<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<const T&>())>>
    : std::true_type {};

// Code that would print a password does not compile.
TEST(SecretTest, HasNoWayToBePrinted) {
  EXPECT_FALSE(IsStreamable<Secret>::value);
  EXPECT_FALSE((std::is_convertible_v<Secret, std::string>));
  EXPECT_FALSE((std::is_convertible_v<Secret, absl::string_view>));
}

}  // namespace
}  // namespace hypershift
