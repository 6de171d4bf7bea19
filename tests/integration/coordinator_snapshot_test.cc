// The coordinator's hold on a snapshot, against a real server: HYPERSHIFT_TEST_SOURCE_URI. Without it the tests are
// skipped.
//
// Promise: an id alone is never trusted. What it stands for now must be the migration's snapshot, of the same server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

using ::testing::HasSubstr;

class CoordinatorSnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "no test server";
    const auto source = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *source;
    auto holder = SnapshotHolder::Take(source_);
    ASSERT_TRUE(holder.ok()) << holder.status();
    holder_ = *std::move(holder);
  }

  ConnectionString source_;
  std::unique_ptr<SnapshotHolder> holder_;
};

TEST_F(CoordinatorSnapshotTest, OutlivesItsFirstHolder) {
  auto second = SnapshotHolder::Import(source_, holder_->snapshot());
  ASSERT_TRUE(second.ok()) << second.status();
  holder_.reset();
  auto third = SnapshotHolder::Import(source_, (*second)->snapshot());
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(SameSnapshot((*second)->snapshot(), (*third)->snapshot()));
  EXPECT_NE((*second)->snapshot().id(), (*third)->snapshot().id());
}

TEST_F(CoordinatorSnapshotTest, AnIdThatMeansAnotherSnapshotIsRefused) {
  v1::Snapshot other_rows = holder_->snapshot();
  other_rows.set_current_snapshot("1:1:");
  v1::Snapshot other_server = holder_->snapshot();
  other_server.set_postmaster_start("2020-01-01 00:00:00+00");
  for (const v1::Snapshot& expected : {other_rows, other_server}) {
    const absl::Status status = SnapshotHolder::Import(source_, expected).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("now means another snapshot"));
  }
}

TEST_F(CoordinatorSnapshotTest, AnIdThatIsGoneIsRefused) {
  const v1::Snapshot gone = holder_->snapshot();
  holder_.reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(SnapshotHolder::Import(source_, gone).status()));
}

}  // namespace
}  // namespace hypershift
