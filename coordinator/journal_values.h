// What the journal's columns hold, as values of the program and back. journal.h has the statements.
//
// Errors: DATA_LOSS for what no version of this program has written. Any thread.
#ifndef HYPERSHIFT_COORDINATOR_JOURNAL_VALUES_H_
#define HYPERSHIFT_COORDINATOR_JOURNAL_VALUES_H_

#include <functional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "coordinator/journal.h"

namespace hypershift {

std::string PhaseName(JournalPhase phase);
absl::StatusOr<JournalPhase> ParsePhase(const std::string& name);

// "" for NULL; so is 0, and the infinite past, below.
std::string Text(const pqxx::field& field);
template <typename T>
T Number(const pqxx::field& field) {
  return field.is_null() ? T{} : field.as<T>();
}
// Of seconds since 1970.
absl::Time TimeOf(const pqxx::field& field);

// bytea in its hexadecimal form.
std::string ByteaText(const std::string& bytes);
std::string BytesOf(const pqxx::field& field);

// A JSON array of texts; what is none reads as an empty list.
std::string JsonList(const std::vector<std::string>& values);
std::vector<std::string> ListOf(const std::string& json);

// An array literal of numbers, or of texts (each quoted as array elements are).
template <typename Numbers>
std::string NumberArray(const Numbers& values) {
  return absl::StrCat("{", absl::StrJoin(values, ","), "}");
}
std::string TextArray(const std::vector<std::string>& values);

// Of the columns that kTaskColumnsSql (journal.cc) names, in their order.
absl::StatusOr<TaskRow> ToTaskRow(const pqxx::row& row);

// The rows of a query, some thousands at a time, through a cursor: the transaction has one at a time. Stops at the
// first error of `visit`, which may write in the same transaction.
absl::Status ForEachRow(pqxx::work& work, const std::string& sql,
                        const std::function<absl::Status(const pqxx::row&)>& visit);

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_JOURNAL_VALUES_H_
