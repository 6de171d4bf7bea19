// Promise: the HTTP server listens where it may, is known by its own names alone, and knows its token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http_address.h"
#include "common/http_server.h"
#include "common/metrics_text.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

absl::Status Check(const std::string& address, bool insecure = false) {
  HttpOptions options;
  options.address = address;
  options.insecure = insecure;
  return CheckHttpOptions(options);
}

TEST(HttpAddressTest, OnlyLoopbackWithoutTls) {
  for (const char* address : {"127.0.0.1:0", "127.9.9.9:65535", "localhost:80", "[::1]:8080"}) {
    EXPECT_TRUE(Check(address).ok()) << address;
  }
  for (const char* address : {"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "db.example:80", "127.0.0.1.example:80"}) {
    EXPECT_THAT(std::string(Check(address).message()), HasSubstr("not on loopback")) << address;
    EXPECT_TRUE(Check(address, true).ok()) << address;
  }
  for (const char* address : {"", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80",
                              "[::1:80", "postgres://u:secret@127.0.0.1:80", "unix:/x:1"}) {
    EXPECT_THAT(std::string(Check(address, true).message()), HasSubstr("host:port")) << address;
    EXPECT_THAT(std::string(Check(address, true).message()), Not(HasSubstr("secret")));
  }
}

TEST(HttpHostTest, OnlyOwnNames) {
  for (const char* host : {"127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "10.1.2.3:80", "me.example:80"}) {
    EXPECT_TRUE(HostIsExpected(host, "me.example")) << host;
  }
  for (const char* host : {"", "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example:80",
                           "[evil]", "me.example.evil"}) {
    EXPECT_FALSE(HostIsExpected(host, "me.example")) << host;
  }
}

TEST(MetricsTextTest, LabelsAreEscapedAndValid) {
  class Metrics : public prometheus::Collectable {
   public:
    std::vector<prometheus::MetricFamily> Collect() const override {
      MetricFamilies out;
      out.Gauge("g", "help", 3, {{"table", "a\"b\\c\nd\xff"}});
      out.BeginCounter("empty_total", "Nothing is in it");
      return out.Take();
    }
  };
  EXPECT_EQ(*MetricsResponse(Metrics()).body,
            "# HELP g help\n# TYPE g gauge\ng{table=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\"} 3\n");
}

}  // namespace
}  // namespace hypershift
