// Metrics in Prometheus' text format, and a few helpers to make families of them.
//
// Pure functions; any thread.
#ifndef HYPERSHIFT_COMMON_METRICS_TEXT_H_
#define HYPERSHIFT_COMMON_METRICS_TEXT_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/http_server.h"
#include "hypershift/v1/types.pb.h"

namespace hypershift {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// How long tasks took.
class DurationHistogram {
 public:
  // Upper bounds in seconds; above the last is +Inf.
  static constexpr std::array<double, 12> kBounds = {0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600};

  void Add(absl::Duration duration);
  prometheus::ClientMetric::Histogram ToMetric() const;

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};  // Each for itself, not cumulative.
  double sum_seconds_ = 0;
};

// Collects families one after the other; values are added to the family begun last.
class MetricFamilies {
 public:
  void BeginCounter(const std::string& name, const std::string& help);
  void BeginGauge(const std::string& name, const std::string& help);
  void BeginHistogram(const std::string& name, const std::string& help);
  void Add(double value, const MetricLabels& labels = {});
  void Add(const DurationHistogram& histogram, const MetricLabels& labels);
  // A family of one gauge or counter.
  void Gauge(const std::string& name, const std::string& help, double value, const MetricLabels& labels = {});
  void Counter(const std::string& name, const std::string& help, double value, const MetricLabels& labels = {});

  // Without families that got no value.
  std::vector<prometheus::MetricFamily> Take();

 private:
  prometheus::ClientMetric& AddMetric(const MetricLabels& labels);

  std::vector<prometheus::MetricFamily> families_;
};

// "copy", "prepare_chunk", …
std::string KindLabel(v1::TaskKind::Kind kind);
// Valid UTF-8 for a label or JSON: what is none is replaced.
std::string ValidUtf8(const std::string& text);

// The answer to GET /metrics.
HttpResponse MetricsResponse(const prometheus::Collectable& metrics);

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_METRICS_TEXT_H_
