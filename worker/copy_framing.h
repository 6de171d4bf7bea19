// The framing of a COPY stream in binary and text format: which bytes of a message are one row, and where its fields
// are (https://www.postgresql.org/docs/15/sql-copy.html, "File Formats").
//
// The source is untrusted: every length is checked against what is there before a byte is read, and anything unexpected
// is an error, never a guess. Errors are kDataLoss, and kUnimplemented for a header flag nobody has defined yet.
// Value types and pure functions; not thread-safe beyond that.
#ifndef HYPERSHIFT_WORKER_COPY_FRAMING_H_
#define HYPERSHIFT_WORKER_COPY_FRAMING_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hypershift {

// Steps through the fields of one binary tuple.
//
//   HS_ASSIGN_OR_RETURN(TupleFields fields, TupleFields::Parse(tuple));
//   while (!fields.done()) { HS_ASSIGN_OR_RETURN(absl::string_view raw, fields.Next()); … }
//   HS_RETURN_IF_ERROR(fields.CheckEnd());
class TupleFields {
 public:
  // `tuple` begins with the 16-bit field count.
  static absl::StatusOr<TupleFields> Parse(absl::string_view tuple);

  int count() const { return count_; }
  bool done() const { return index_ == count_; }
  // The next field as it stands in the stream: its 32-bit length (-1 = NULL) and its bytes.
  absl::StatusOr<absl::string_view> Next();
  // An error unless the fields filled the tuple exactly.
  absl::Status CheckEnd() const;

 private:
  TupleFields(int count, absl::string_view rest) : count_(count), rest_(rest) {}
  int count_;
  int index_ = 0;
  absl::string_view rest_;
};

// That `tuple` begins as one of `field_count` fields.
absl::Status CheckFieldCount(absl::string_view tuple, int field_count);

// That `tuple` is exactly one tuple of `field_count` fields.
absl::Status CheckTuple(absl::string_view tuple, int field_count);

// Follows a binary COPY stream message by message, as a server sends it: the header at the front of the first message
// (a tuple or the trailer may follow in it), then one tuple a message, then the trailer.
//
// That a message is exactly one tuple is checked in full for the first kCheckedTuples and for every kCheckInterval-th
// after them, the field count for all: going through the fields of each costs more than hashing them, and nothing
// relies on it. The bytes are passed on as they came, whoever looks into a tuple checks it again, and in the end the
// target must have taken as many rows as messages were counted.
class BinaryCopyFraming {
 public:
  static constexpr int64_t kCheckedTuples = 1024;
  static constexpr int64_t kCheckInterval = 16;

  explicit BinaryCopyFraming(int field_count) : field_count_(field_count) {}

  // The tuple in this message; an empty optional if it holds none.
  absl::StatusOr<std::optional<absl::string_view>> Message(absl::string_view message);
  // An error unless the trailer has come: the stream was cut short.
  absl::Status End() const;

 private:
  enum class Expect { kHeader, kTuple, kNothing };
  const int field_count_;
  Expect expect_ = Expect::kHeader;
  int64_t tuples_ = 0;
};

// The line in this message of a text COPY stream, without its newline; an error unless it is exactly one line.
absl::StatusOr<absl::string_view> TextCopyLine(absl::string_view message);

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_COPY_FRAMING_H_
