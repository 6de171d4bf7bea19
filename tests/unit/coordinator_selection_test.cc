#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/selection.h"
#include "tests/unit/catalog_builder.h"

namespace hypershift {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SchemaEntry Entry(int id, const std::string& type, const std::string& name, const std::vector<int>& dependencies = {},
                  Oid catalog_class = 0, Oid oid = 0) {
  SchemaEntry entry;
  entry.dump_id = id;
  entry.type = type;
  entry.schema = "public";
  entry.name = name;
  entry.dependencies = dependencies;
  entry.catalog_class = catalog_class;
  entry.catalog_oid = oid;
  return entry;
}

std::vector<std::string> Names(const std::vector<SchemaEntry>& entries) {
  std::vector<std::string> names;
  for (const SchemaEntry& entry : entries) names.push_back(entry.type + " " + entry.name);
  return names;
}

// Two tables, the second of which refers to the first; the second uses an enum and has a trigger.
class SelectionTest : public ::testing::Test {
 protected:
  SelectionTest() {
    customers_ = builder_.AddTable("public", "customers", {{"id", 23}});
    orders_ = builder_.AddTable("public", "orders", {{"id", 23}, {"state", 25}});
    const Oid key = builder_.AddConstraint(orders_, "orders_customer_fkey", 'f', {"id"}).oid;
    builder_.catalog.triggers[900] = {900, "touched", orders_, false};
    pre_data_ = {Entry(1, "EXTENSION", "citext"),
                 Entry(2, "TYPE", "state", {1}),
                 Entry(3, "TYPE", "unused"),
                 Entry(4, "COMMENT", "TYPE unused", {3}),
                 Entry(5, "FUNCTION", "touch()"),
                 Entry(6, "TABLE", "customers", {}, kPgClassClass, customers_),
                 Entry(7, "TABLE", "orders", {2}, kPgClassClass, orders_),
                 Entry(8, "VIEW", "joined", {6, 7}, kPgClassClass, 901)};
    post_data_ = {Entry(9, "CONSTRAINT", "customers customers_pkey", {6}),
                  Entry(10, "FK CONSTRAINT", "orders orders_customer_fkey", {9, 6, 7}, kPgConstraintClass, key),
                  Entry(11, "TRIGGER", "orders touched", {7, 5}, kPgTriggerClass, 900),
                  Entry(12, "INDEX", "customers_name", {6})};
  }

  SelectedEntries Select(const TableFilter& filter) {
    Config config;
    config.filter = filter;
    return SelectEntries(pre_data_, post_data_, config, builder_.catalog, SelectTables(config, builder_.catalog));
  }

  CatalogBuilder builder_;
  Oid customers_ = 0;
  Oid orders_ = 0;
  std::vector<SchemaEntry> pre_data_;
  std::vector<SchemaEntry> post_data_;
};

// Promise: without filters everything is restored and nothing is reported.
TEST_F(SelectionTest, TakesEverythingWithoutAFilter) {
  const SelectedEntries selected = Select({});
  EXPECT_EQ(selected.pre_data.size(), pre_data_.size());
  EXPECT_EQ(selected.post_data.size(), post_data_.size());
  EXPECT_THAT(selected.left_out, IsEmpty());
}

// Promise: the chosen table gets the types, extensions and functions that it needs, and nothing else; what it loses is
// named with the reason.
TEST_F(SelectionTest, BringsAlongWhatAnIncludedTableNeeds) {
  TableFilter filter;
  filter.include_tables = {{"public", "orders"}};
  const SelectedEntries selected = Select(filter);
  EXPECT_THAT(Names(selected.pre_data),
              ElementsAre("EXTENSION citext", "TYPE state", "FUNCTION touch()", "TABLE orders"));
  EXPECT_THAT(Names(selected.post_data), ElementsAre("TRIGGER orders touched"));
  EXPECT_THAT(selected.left_out, ElementsAre("FK CONSTRAINT public.orders orders_customer_fkey: it needs TABLE "
                                             "public.customers, which is not migrated"));
}

// Promise: what reads or refers to an excluded table is left out and named; the excluded table's own parts are not.
TEST_F(SelectionTest, NamesWhatAnExcludedTableDragsAlong) {
  TableFilter filter;
  filter.exclude_tables = {{"public", "customers"}};
  const SelectedEntries selected = Select(filter);
  EXPECT_THAT(Names(selected.post_data), ElementsAre("TRIGGER orders touched"));
  EXPECT_THAT(
      selected.left_out,
      ElementsAre("VIEW public.joined: it needs TABLE public.customers, which is not migrated",
                  "FK CONSTRAINT public.orders orders_customer_fkey: it needs TABLE public.customers, which is not "
                  "migrated"));
}

}  // namespace
}  // namespace hypershift
