// A connection for tests: libpq, and an exception for whatever fails. No product code.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_DATABASE_H_
#define HYPERSHIFT_TESTS_INTEGRATION_DATABASE_H_

#include <string>
#include <vector>

typedef struct pg_conn PGconn;

namespace hypershift::test {

using Row = std::vector<std::string>;  // NULL reads as "∅".

// One session; not for several threads at once. Sessions print values alike on every server.
class Database {
 public:
  explicit Database(const std::string& uri);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One or more statements; the rows of the last.
  std::vector<Row> Query(const std::string& sql);
  void Run(const std::string& sql) { Query(sql); }
  // The first column of the first row; "" without rows.
  std::string Value(const std::string& sql);
  long long Number(const std::string& sql) { return std::stoll(Value(sql)); }
  // The first column of every row.
  std::vector<std::string> Column(const std::string& sql);
  // "" or the server's words.
  std::string ErrorOf(const std::string& sql);

 private:
  PGconn* connection_;
};

std::string QuoteName(const std::string& name);

// The same server, another database.
std::string WithDatabase(const std::string& uri, const std::string& database);
// The same database, another user.
std::string WithUser(const std::string& uri, const std::string& user_and_password);

}  // namespace hypershift::test

#endif  // HYPERSHIFT_TESTS_INTEGRATION_DATABASE_H_
