#include "tests/integration/database.h"

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>

namespace hypershift::test {
namespace {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

void Ignore(void*, const char*) {}

}  // namespace

Database::Database(const std::string& uri) : connection_(PQconnectdb(uri.c_str())) {
  if (PQstatus(connection_) != CONNECTION_OK) {
    const std::string message = PQerrorMessage(connection_);
    PQfinish(connection_);
    throw std::runtime_error(uri + ": " + message);
  }
  PQsetNoticeProcessor(connection_, Ignore, nullptr);
  for (const char* setting : {"TimeZone = 'UTC'", "DateStyle = 'ISO, YMD'", "IntervalStyle = 'postgres'",
                              "extra_float_digits = 1", "bytea_output = 'hex'", "client_encoding = 'UTF8'"}) {
    Run(std::string("SET ") + setting);
  }
}

Database::~Database() { PQfinish(connection_); }

std::vector<Row> Database::Query(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
    throw std::runtime_error(std::string(PQerrorMessage(connection_)) + "in: " + sql);
  }
  std::vector<Row> rows(PQntuples(result.get()));
  for (size_t row = 0; row < rows.size(); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      const int index = static_cast<int>(row);
      const bool null = PQgetisnull(result.get(), index, column) != 0;
      rows[row].emplace_back(null ? "∅" : PQgetvalue(result.get(), index, column));
    }
  }
  return rows;
}

std::string Database::Value(const std::string& sql) {
  const std::vector<Row> rows = Query(sql);
  return rows.empty() || rows[0].empty() ? "" : rows[0][0];
}

std::vector<std::string> Database::Column(const std::string& sql) {
  std::vector<std::string> values;
  for (const Row& row : Query(sql)) values.push_back(row.at(0));
  return values;
}

std::string Database::ErrorOf(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()));
  return PQresultErrorMessage(result.get());
}

std::string QuoteName(const std::string& name) {
  std::string quoted = "\"";
  for (char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string WithDatabase(const std::string& uri, const std::string& database) {
  const size_t authority = uri.find("://") + 3;
  const size_t path = std::min(uri.find('/', authority), uri.size());
  const size_t query = std::min(uri.find('?', authority), uri.size());
  return uri.substr(0, std::min(path, query)) + "/" + database + uri.substr(query);
}

std::string WithUser(const std::string& uri, const std::string& user_and_password) {
  const size_t authority = uri.find("://") + 3;
  const size_t at = uri.find('@', authority);
  return uri.substr(0, authority) + user_and_password + uri.substr(at == std::string::npos ? authority - 1 : at);
}

}  // namespace hypershift::test
