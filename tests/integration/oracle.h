// Whether two databases hold the same rows, found out without the product: per table the number of rows and the sum of a
// 64-bit hash of each row's text, both computed by the servers. The sum is free of order; a lost, doubled or changed row
// changes it.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_ORACLE_H_
#define HYPERSHIFT_TESTS_INTEGRATION_ORACLE_H_

#include <set>
#include <string>
#include <vector>

#include "tests/integration/database.h"

namespace hypershift::test {

// Tables with rows of their own, quoted and with their schema: ordinary ones, partitions, parents of inheritance.
std::vector<std::string> TablesOf(Database* database);

// "COUNT/SUM" of a table's own rows, or those of a hypertable.
std::string SumOf(Database* database, const std::string& table);

// "" when every table of the source has the same rows on the target, else which rows of which tables are too few or too
// many. `except` are left out of it.
std::string Differences(Database* source, Database* target, const std::set<std::string>& except = {});
std::string TableDifference(Database* source, Database* target, const std::string& table);

}  // namespace hypershift::test

#endif  // HYPERSHIFT_TESTS_INTEGRATION_ORACLE_H_
