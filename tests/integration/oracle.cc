#include "tests/integration/oracle.h"

#include <algorithm>
#include <iterator>

namespace hypershift::test {
namespace {

constexpr size_t kMostShown = 5;

constexpr char kTablesSql[] = R"sql(
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema$|_?timescaledb_|_hypershift$)'
 ORDER BY 1
)sql";

// The rows of a hypertable are its children's; other tables are compared one by one.
std::string From(Database* database, const std::string& table) {
  const bool chunks = database->Value("SELECT count(*) > 0 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                                      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = '" +
                                      [&] {
                                        std::string literal;
                                        for (char c : table) literal += c == '\'' ? "''" : std::string(1, c);
                                        return literal;
                                      }() +
                                      "'::regclass AND n.nspname = '_timescaledb_internal'") == "t";
  return (chunks ? " FROM " : " FROM ONLY ") + table + " AS a_row";
}

std::vector<std::string> SortedRows(Database* database, const std::string& table) {
  std::vector<std::string> rows = database->Column("SELECT a_row::text" + From(database, table));
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::string Some(const std::string& title, const std::vector<std::string>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size() && i < kMostShown; ++i) text += "    " + rows[i] + "\n";
  return rows.empty() ? "" : "  " + std::to_string(rows.size()) + " rows " + title + ", such as\n" + text;
}

}  // namespace

std::vector<std::string> TablesOf(Database* database) { return database->Column(kTablesSql); }

std::string SumOf(Database* database, const std::string& table) {
  return database->Value("SELECT count(*) || '/' || coalesce(sum(hashtextextended(a_row::text, 0)), 0)" +
                         From(database, table));
}

std::string TableDifference(Database* source, Database* target, const std::string& table) {
  const std::string wanted = SumOf(source, table);
  if (const std::string error = target->ErrorOf("SELECT 1 FROM " + table + " LIMIT 1"); !error.empty()) return error;
  const std::string found = SumOf(target, table);
  if (wanted == found) return "";
  const std::vector<std::string> source_rows = SortedRows(source, table);
  const std::vector<std::string> target_rows = SortedRows(target, table);
  std::vector<std::string> missing, added;
  std::set_difference(source_rows.begin(), source_rows.end(), target_rows.begin(), target_rows.end(),
                      std::back_inserter(missing));
  std::set_difference(target_rows.begin(), target_rows.end(), source_rows.begin(), source_rows.end(),
                      std::back_inserter(added));
  return table + ": " + wanted + " on the source, " + found + " on the target\n" + Some("only on the source", missing) +
         Some("only on the target", added);
}

std::string Differences(Database* source, Database* target, const std::set<std::string>& except) {
  std::string differences;
  for (const std::string& table : TablesOf(source)) {
    if (except.count(table) == 0) differences += TableDifference(source, target, table);
  }
  return differences;
}

}  // namespace hypershift::test
