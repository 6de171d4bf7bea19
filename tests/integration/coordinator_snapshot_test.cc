// SnapshotHolder against a real server: an exported snapshot's id is never trusted by itself.
//
// HYPERSHIFT_TEST_SOURCE_URI names a PostgreSQL; without it every test is skipped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "common/connection_string.h"
#include "coordinator/snapshot.h"

namespace hypershift {
namespace {

using testing::HasSubstr;

class SnapshotHolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* uri = std::getenv("HYPERSHIFT_TEST_SOURCE_URI");
    if (uri == nullptr) GTEST_SKIP() << "HYPERSHIFT_TEST_SOURCE_URI is not set";
    auto parsed = ConnectionString::Parse(uri, "source");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    source_ = *parsed;
    taken_ = Must(SnapshotHolder::Take(source_));
    ASSERT_NE(taken_, nullptr);
  }

  static std::unique_ptr<SnapshotHolder> Must(absl::StatusOr<std::unique_ptr<SnapshotHolder>> holder) {
    EXPECT_TRUE(holder.ok()) << holder.status();
    return holder.ok() ? *std::move(holder) : nullptr;
  }

  void ExpectRefused(const v1::Snapshot& snapshot, const char* why) {
    const auto imported = SnapshotHolder::Import(source_, snapshot);
    EXPECT_TRUE(absl::IsFailedPrecondition(imported.status())) << imported.status();
    EXPECT_THAT(std::string(imported.status().message()), HasSubstr(why));
  }

  ConnectionString source_;
  std::unique_ptr<SnapshotHolder> taken_;
};

// Promise: a snapshot outlives its first holder as long as anybody has imported it, and is the same rows.
TEST_F(SnapshotHolderTest, OutlivesItsFirstHolder) {
  const v1::Snapshot first = taken_->snapshot();
  const auto second = Must(SnapshotHolder::Import(source_, first));
  ASSERT_NE(second, nullptr);
  taken_.reset();
  EXPECT_TRUE(SameSnapshot(second->snapshot(), first));
  EXPECT_NE(second->snapshot().id(), first.id());
  EXPECT_NE(Must(SnapshotHolder::Import(source_, second->snapshot())), nullptr);
}

// Promise: an id that means other rows than the migration's, or was exported by a server started at another time, is
// refused although the server imports it.
TEST_F(SnapshotHolderTest, RefusesAnIdThatMeansAnotherSnapshot) {
  v1::Snapshot other_rows = taken_->snapshot();
  other_rows.set_current_snapshot("1:1:");
  ExpectRefused(other_rows, "another snapshot");
  v1::Snapshot other_start = taken_->snapshot();
  other_start.set_postmaster_start("2020-01-01 00:00:00+00");
  ExpectRefused(other_start, "another snapshot");
}

// Promise: an id that nobody holds any more is refused.
TEST_F(SnapshotHolderTest, RefusesAnIdThatHasGone) {
  const v1::Snapshot gone = taken_->snapshot();
  taken_.reset();
  ExpectRefused(gone, "can't be imported");
}

}  // namespace
}  // namespace hypershift
