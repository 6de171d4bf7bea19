// What every test that drives the program has: a source database of its own, an empty target, and the program.
//
// Environment, set by with-servers: HYPERSHIFT_TEST_SOURCE_URI, HYPERSHIFT_TEST_TARGET_URI, HYPERSHIFT_TEST_TARGET_KIND,
// HYPERSHIFT_TEST_CANARY (the password of `secretuser` on the source). HYPERSHIFT_PROGRAM names another program than the
// one built beside the tests.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_MIGRATION_TEST_H_
#define HYPERSHIFT_TESTS_INTEGRATION_MIGRATION_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/database.h"
#include "tests/integration/oracle.h"
#include "tests/integration/program.h"

namespace hypershift::test {

using Words = std::vector<std::string>;

std::string EnvironmentVariable(const char* name);
std::string ProgramPath();
bool TargetIsEmbedded();

// Tries until it holds; false when it did not in time.
bool Eventually(const std::function<bool()>& condition, std::chrono::seconds limit = std::chrono::seconds(60));

// A database on the source server, dropped at the end.
class ThrowAwayDatabase {
 public:
  // `like`: a database to copy, else an empty one.
  explicit ThrowAwayDatabase(const std::string& server_uri, const std::string& like = "");
  ~ThrowAwayDatabase();
  const std::string& uri() const { return uri_; }
  const std::string& name() const { return name_; }

 private:
  std::string server_uri_;
  std::string name_;
  std::string uri_;
};

// A source and a target. The embedded target has one database, which is emptied; elsewhere each gets its own.
class Servers {
 public:
  // `source_like`: the database that the source is a copy of.
  explicit Servers(const std::string& source_like = "");
  ~Servers();

  const std::string& source_uri() const { return source_database_->uri(); }
  const std::string& target_uri() const { return target_uri_; }
  Database& source() { return *source_; }
  Database& target() { return *target_; }

  // A database without TimescaleDB as the target instead: quicker where hypertables don't matter.
  void UsePlainTarget();

  // The text of a configuration, in a file.
  std::string WriteConfig(const std::string& yaml);
  // What is appended to `hypershift`: clone, both URIs and short leases.
  Words CloneWords(const Words& more = {}) const;
  Outcome Clone(const std::string& yaml, const Words& more = {}, const Environment& environment = {});
  std::unique_ptr<Program> StartClone(const std::string& yaml, const Words& more = {},
                                      const Environment& environment = {});
  Outcome Hypershift(const Words& words, const Environment& environment = {});

 private:
  std::unique_ptr<ThrowAwayDatabase> source_database_;
  std::unique_ptr<ThrowAwayDatabase> target_database_;
  std::string target_uri_;
  std::unique_ptr<Database> source_;
  std::unique_ptr<Database> target_;
  std::vector<std::string> files_;
};

// The name of a database with the demo's data, loaded once.
const std::string& DemoDatabase();
std::string DemoConfig();

class MigrationTest : public testing::Test {
 protected:
  MigrationTest() : servers_(std::make_unique<Servers>()) {}
  explicit MigrationTest(const std::string& source_like) : servers_(std::make_unique<Servers>(source_like)) {}

  Servers& servers() { return *servers_; }
  Database& source() { return servers_->source(); }
  Database& target() { return servers_->target(); }
  Outcome Clone(const std::string& yaml, const Words& more = {}, const Environment& environment = {}) {
    return servers_->Clone(yaml, more, environment);
  }

  std::unique_ptr<Servers> servers_;
};

}  // namespace hypershift::test

#endif  // HYPERSHIFT_TESTS_INTEGRATION_MIGRATION_TEST_H_
