#include "coordinator/copy_sql.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/names.h"

namespace hypershift {
namespace {

constexpr char kFromStdin[] = " FROM STDIN";

std::string ColumnList(const Table& table) {
  std::vector<std::string> names;
  for (const Column* column : CopiedColumns(table)) names.push_back(column->name);
  return QuoteIdentifiers(names);
}

std::string FormatClause(const Table& table) {
  return CopyFormatFor(table) == v1::COPY_FORMAT_BINARY ? " (FORMAT binary)" : " (FORMAT text)";
}

// COPY needs a list that isn't empty: a table without columns goes without.
std::string ListOrNothing(const std::string& columns) {
  return columns.empty() ? "" : absl::StrCat(" (", columns, ")");
}

}  // namespace

std::vector<const Column*> CopiedColumns(const Table& table) {
  std::vector<const Column*> columns;
  for (const Column& column : table.columns) {
    if (!column.generated) columns.push_back(&column);
  }
  return columns;
}

v1::CopyFormat CopyFormatFor(const Table& table) {
  const std::vector<const Column*> columns = CopiedColumns(table);
  const bool binary =
      std::all_of(columns.begin(), columns.end(), [](const Column* column) { return column->traits.binary_safe; });
  return binary ? v1::COPY_FORMAT_BINARY : v1::COPY_FORMAT_TEXT;
}

std::string SourceCopySql(const Table& table, const CopyShape& shape) {
  const std::string columns = ColumnList(table);
  if (shape.where.empty() && shape.order_by.empty() && table.kind == 'r') {
    // COPY of a table reads its own rows only, not its children's.
    return absl::StrCat("COPY ", table.name.Quoted(), ListOrNothing(columns), " TO STDOUT", FormatClause(table));
  }
  const bool all = table.kind == 'p' && shape.leaf == nullptr;
  const QualifiedName& name = shape.leaf != nullptr ? shape.leaf->name : table.name;
  return absl::StrCat("COPY (SELECT ", columns, " FROM ", all ? "" : "ONLY ", name.Quoted(),
                      shape.where.empty() ? "" : absl::StrCat(" WHERE ", shape.where),
                      shape.order_by.empty() ? "" : absl::StrCat(" ORDER BY ", shape.order_by), ") TO STDOUT",
                      FormatClause(table));
}

std::string TargetCopySql(const Table& table) {
  return absl::StrCat("COPY ", table.name.Quoted(), ListOrNothing(ColumnList(table)), kFromStdin, FormatClause(table));
}

std::string VerifyCopySql(const std::string& target_copy_sql, bool hypertable, const std::string& where) {
  // "COPY <table> (<columns>) FROM STDIN (FORMAT …)", as TargetCopySql wrote it; names are quoted and may hold
  // anything, so it is taken apart from its ends and by quotes.
  const size_t from = target_copy_sql.rfind(kFromStdin);
  const std::string format = target_copy_sql.substr(from + std::string(kFromStdin).size());
  const std::string head = target_copy_sql.substr(5, from - 5);
  bool quoted = false;
  size_t open = std::string::npos;
  for (size_t i = 0; i < head.size() && open == std::string::npos; ++i) {
    if (head[i] == '"') quoted = !quoted;
    if (head[i] == '(' && !quoted) open = i;
  }
  const std::string table = open == std::string::npos ? head : head.substr(0, open - 1);
  const std::string columns = open == std::string::npos ? "" : head.substr(open + 1, head.size() - open - 2);
  return absl::StrCat("COPY (SELECT ", columns, " FROM ", hypertable ? "" : "ONLY ", table,
                      where.empty() ? "" : absl::StrCat(" WHERE ", where), ") TO STDOUT", format);
}

std::string CompressionOrderBy(const Table& table, const EffectiveCompression& compression) {
  std::vector<std::string> parts;
  const auto collate = [&table](const std::string& name) {
    const Column* column = table.FindColumn(name);
    return column != nullptr && !column->collation.empty() ? " COLLATE \"C\"" : "";
  };
  for (const std::string& segment : compression.segmentby) {
    parts.push_back(absl::StrCat(QuoteIdentifier(segment), collate(segment)));
  }
  for (const EffectiveOrderBy& order : compression.orderby) {
    parts.push_back(absl::StrCat(QuoteIdentifier(order.column), collate(order.column),
                                 order.descending ? " DESC" : " ASC",
                                 order.nulls_first ? " NULLS FIRST" : " NULLS LAST"));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace hypershift
