// Logging: one line per event on standard error, "message key=value …" or JSON, through spdlog.
//
// Call InitLog once at the start of a program, before threads exist. LOG_* may be called from any thread. Values with
// spaces, quotes or control characters are quoted, so that a line can't be forged by data from a server.
#ifndef HYPERSHIFT_COMMON_LOG_H_
#define HYPERSHIFT_COMMON_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/config.h"

namespace hypershift {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogOptions {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
  // Where finished lines go instead of standard error: a progress display that must draw around them. Called under the
  // logger's lock.
  std::function<void(absl::string_view line)> sink;
};

void InitLog(const LogOptions& options);
// Replaces the sink only; an empty function restores standard error.
void SetLogSink(std::function<void(absl::string_view line)> sink);

// One key=value pair of a log line. Takes what absl::StrCat takes; not a Secret.
struct LogField {
  template <typename T>
  LogField(absl::string_view field_key, const T& field_value) : key(field_key), value(absl::StrCat(field_value)) {}
  std::string key;
  std::string value;
};

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});

inline void LogDebug(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_LOG_H_
