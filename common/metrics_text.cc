#include "common/metrics_text.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/ascii.h"

namespace hypershift {

void DurationHistogram::Add(absl::Duration duration) {
  const double seconds = std::max(absl::ToDoubleSeconds(duration), 0.0);
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[static_cast<size_t>(bound - kBounds.begin())];
  sum_seconds_ += seconds;
}

prometheus::ClientMetric::Histogram DurationHistogram::ToMetric() const {
  prometheus::ClientMetric::Histogram histogram;
  for (size_t i = 0; i < counts_.size(); ++i) {
    histogram.sample_count += counts_[i];
    const double bound = i < kBounds.size() ? kBounds[i] : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({histogram.sample_count, bound});
  }
  histogram.sample_sum = sum_seconds_;
  return histogram;
}

void MetricFamilies::BeginCounter(const std::string& name, const std::string& help) {
  families_.push_back({name, help, prometheus::MetricType::Counter, {}});
}

void MetricFamilies::BeginGauge(const std::string& name, const std::string& help) {
  families_.push_back({name, help, prometheus::MetricType::Gauge, {}});
}

void MetricFamilies::BeginHistogram(const std::string& name, const std::string& help) {
  families_.push_back({name, help, prometheus::MetricType::Histogram, {}});
}

prometheus::ClientMetric& MetricFamilies::AddMetric(const MetricLabels& labels) {
  prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
  for (const auto& [name, value] : labels) metric.label.push_back({name, ValidUtf8(value)});
  return metric;
}

void MetricFamilies::Add(double value, const MetricLabels& labels) {
  const bool counter = families_.back().type == prometheus::MetricType::Counter;
  prometheus::ClientMetric& metric = AddMetric(labels);
  (counter ? metric.counter.value : metric.gauge.value) = value;
}

void MetricFamilies::Add(const DurationHistogram& histogram, const MetricLabels& labels) {
  AddMetric(labels).histogram = histogram.ToMetric();
}

void MetricFamilies::Gauge(const std::string& name, const std::string& help, double value, const MetricLabels& labels) {
  BeginGauge(name, help);
  Add(value, labels);
}

void MetricFamilies::Counter(const std::string& name, const std::string& help, double value,
                             const MetricLabels& labels) {
  BeginCounter(name, help);
  Add(value, labels);
}

std::vector<prometheus::MetricFamily> MetricFamilies::Take() {
  families_.erase(
      std::remove_if(families_.begin(), families_.end(), [](const auto& family) { return family.metric.empty(); }),
      families_.end());
  return std::move(families_);
}

std::string KindLabel(v1::TaskKind::Kind kind) {
  constexpr size_t kPrefix = 5;  // "KIND_"
  return absl::AsciiStrToLower(v1::TaskKind::Kind_Name(kind).substr(kPrefix));
}

std::string ValidUtf8(const std::string& text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

HttpResponse MetricsResponse(const prometheus::Collectable& metrics) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, metrics.Collect());
  return SharedResponse("text/plain; version=0.0.4; charset=utf-8", text.str());
}

}  // namespace hypershift
