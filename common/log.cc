#include "common/log.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/names.h"

namespace hypershift {
namespace {

std::atomic<LogFormat> g_format = LogFormat::kText;

// Hands finished lines to standard error or to the program's own function. spdlog's lock serialises it.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void SetFunction(std::function<void(absl::string_view)> function) {
    const std::lock_guard<std::mutex> lock(mutex_);
    function_ = std::move(function);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const absl::string_view line(message.payload.data(), message.payload.size());
    if (function_) {
      function_(line);
      return;
    }
    // One write, so that lines of several processes on one terminal stay whole.
    const std::string text = absl::StrCat(line, "\n");
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  void flush_() override { std::fflush(stderr); }

 private:
  std::function<void(absl::string_view)> function_;
};

struct Logger {
  std::shared_ptr<LineSink> sink = std::make_shared<LineSink>();
  spdlog::logger logger{"hypershift", sink};
};

// Never destroyed: threads may log while the program ends.
Logger& GetLogger() {
  static Logger* const kLogger = new Logger;
  return *kLogger;
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      return "ERROR";
  }
  return "";
}

// As it stands, or in quotes with the usual escapes: no value can end its line or look like another field.
std::string TextValue(absl::string_view value) {
  const bool plain = !value.empty() && std::none_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isspace(c) || absl::ascii_iscntrl(c) || c == '"' || c == '=' || c == '\\';
  });
  if (plain) return std::string(value);
  std::string quoted = "\"";
  for (char c : value) {
    if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  return Printable(quoted) + "\"";
}

std::string TextLine(absl::string_view time, LogLevel level, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat(time, " ", LevelName(level), " ", Printable(message));
  for (const LogField& field : fields) absl::StrAppend(&line, " ", Printable(field.key), "=", TextValue(field.value));
  return line;
}

std::string JsonLine(absl::string_view time, LogLevel level, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  nlohmann::ordered_json line = {{"time", std::string(time)},
                                 {"level", absl::AsciiStrToLower(LevelName(level))},
                                 {"message", std::string(message)}};
  for (const LogField& field : fields) {
    // A field can't pose as one of the line's own.
    const bool taken = field.key == "time" || field.key == "level" || field.key == "message";
    line[taken ? absl::StrCat("field_", field.key) : field.key] = field.value;
  }
  // Bytes that are not UTF-8 must not throw.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

void InitLog(const LogOptions& options) {
  g_format = options.format;
  GetLogger().logger.set_level(SpdlogLevel(options.level));
  GetLogger().sink->SetFunction(options.sink);
}

void SetLogSink(std::function<void(absl::string_view line)> sink) { GetLogger().sink->SetFunction(std::move(sink)); }

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  Logger& logger = GetLogger();
  if (!logger.logger.should_log(SpdlogLevel(level))) return;
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string line =
      g_format == LogFormat::kJson ? JsonLine(time, level, message, fields) : TextLine(time, level, message, fields);
  logger.logger.log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace hypershift
