#include "coordinator/web_server.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/bearer_token.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics_text.h"
#include "common/mutex.h"
#include "common/status_macros.h"
#include "coordinator/migration_metrics.h"
#include "coordinator/web_assets.h"
#include "coordinator/web_json.h"

namespace hypershift {
namespace {

constexpr char kJson[] = "application/json; charset=utf-8";
constexpr char kNoToken[] =
    "This coordinator was started without a token (--token-file), so the page can only show. Use the hypershift "
    "command.";
constexpr size_t kDefaultBuckets = 400;
constexpr size_t kMaxBuckets = 2000;

std::string ContentType(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  return "image/svg+xml";
}

HttpResponse JsonResponse(int status, std::string json) {
  HttpResponse response = SharedResponse(kJson, std::move(json));
  response.status = status;
  return response;
}

HttpResponse JsonError(int status, const std::string& message) { return JsonResponse(status, ErrorJson(message)); }

HttpResponse JsonError(const absl::Status& status) {
  int code = 500;
  if (absl::IsNotFound(status)) code = 404;
  if (absl::IsInvalidArgument(status)) code = 400;
  if (absl::IsFailedPrecondition(status)) code = 409;
  if (absl::IsUnimplemented(status)) code = 501;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) code = 503;
  std::string message(status.message());
  if (absl::IsUnimplemented(status)) message = "This coordinator can't do that.";
  return JsonError(code, message);
}

// What has been made of the migration as it was read last, so that many readers cost no more than one.
class ResponseCache {
 public:
  using Overview = std::shared_ptr<const MigrationOverview>;
  using Tasks = std::shared_ptr<const TaskFigures>;

  HttpResponse Get(const std::string& key, const Overview& overview, const Tasks& tasks,
                   const std::function<HttpResponse()>& make) {
    MutexLock lock(&mutex_);
    Entry& entry = entries_[key];
    if (entry.response.body == nullptr || entry.overview != overview || entry.tasks != tasks) {
      entry = {overview, tasks, make()};
    }
    HttpResponse response = entry.response;
    if (entries_.size() > kMaxEntries) entries_.clear();
    return response;
  }

 private:
  static constexpr size_t kMaxEntries = 64;
  struct Entry {
    Overview overview;
    Tasks tasks;
    HttpResponse response;
  };
  Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

class WebServerImpl final : public WebServer {
 public:
  WebServerImpl(const WebOptions& options, std::unique_ptr<MigrationReader::Stub> stub)
      : token_(options.token), linger_(options.linger), reader_(std::move(stub)) {
    for (const WebAsset& asset : WebAssets()) {
      const std::string path = absl::StrCat("/", asset.name == "index.html" ? "" : asset.name);
      assets_.emplace(path, SharedResponse(ContentType(asset.name), std::string(asset.bytes)));
    }
  }

  absl::Status Begin(const HttpOptions& options) {
    HS_ASSIGN_OR_RETURN(server_,
                        HttpServer::Start(options, [this](const HttpRequest& request) { return Answer(request); }));
    return absl::OkStatus();
  }

  std::string url() const override { return server_->url(); }

  void Linger() override {
    reader_.Expire();
    const absl::Time deadline = SystemClock::Get()->Now() + linger_;
    MutexLock lock(&mutex_);
    lingering_ = true;
    while (lingering_ && SystemClock::Get()->Now() < deadline) {
      changed_.WaitFor(&mutex_, deadline - SystemClock::Get()->Now());
    }
    lingering_ = false;
  }

  void StopLingering() override {
    MutexLock lock(&mutex_);
    lingering_ = false;
    changed_.NotifyAll();
  }

 private:
  HttpResponse Answer(const HttpRequest& request) {
    if (absl::StartsWith(request.path, "/api/")) return request.method == "POST" ? Steer(request) : Show(request);
    if (request.method != "GET" && request.method != "HEAD") return TextResponse(405, "only to be read\n");
    if (request.path == "/metrics") return Metrics();
    auto asset = assets_.find(request.path);
    if (asset == assets_.end()) return TextResponse(404, "there is no such page\n");
    return asset->second;
  }

  HttpResponse Show(const HttpRequest& request) {
    if (request.method != "GET" && request.method != "HEAD") return JsonError(405, "only GET and POST are answered");
    if (request.path == "/api/v1/history") return JsonResponse(200, HistoryJson(reader_.Throughput()));
    const auto overview = reader_.Overview();
    if (!overview.ok()) return JsonError(overview.status());
    const auto tasks = reader_.Tasks();
    if (!tasks.ok()) return JsonError(tasks.status());
    if (request.path == "/api/v1/state") {
      return cache_.Get("state", *overview, *tasks, [&] {
        const std::string read_only = token_.empty() ? kNoToken : "";
        return JsonResponse(200, StateJson(**overview, **tasks, reader_.Throughput(), read_only));
      });
    }
    if (request.path == "/api/v1/ranges") return Ranges(request, *tasks);
    return JsonError(404, "there is no such answer");
  }

  HttpResponse Ranges(const HttpRequest& request, const std::shared_ptr<const TaskFigures>& tasks) {
    auto name = request.query.find("table");
    auto found = tasks->ranges.find(name == request.query.end() ? "" : name->second);
    if (found == tasks->ranges.end()) return JsonError(404, "no table of that name is split by time");
    size_t limit = kDefaultBuckets;
    auto buckets = request.query.find("buckets");
    if (buckets != request.query.end() && (!absl::SimpleAtoi(buckets->second, &limit) || limit < 1)) {
      return JsonError(400, "buckets is no number above 0");
    }
    limit = std::min(limit, kMaxBuckets);
    // Only the tasks matter to it.
    return cache_.Get(absl::StrCat(limit, " ", found->first), nullptr, tasks,
                      [&] { return JsonResponse(200, RangesJson(found->first, found->second, limit)); });
  }

  HttpResponse Metrics() {
    const auto overview = reader_.Overview();
    const auto tasks = reader_.Tasks();
    if (!overview.ok() || !tasks.ok()) return TextResponse(503, "the migration can't be read\n");
    return cache_.Get("metrics", *overview, *tasks, [&] {
      return MetricsResponse(
          MigrationMetrics(**overview, **tasks, reader_.Throughput().BytesPerSecond(), reader_.cost()));
    });
  }

  HttpResponse Steer(const HttpRequest& request) {
    if (token_.empty()) return JsonError(403, kNoToken);
    if (!Authorizes(request.authorization, token_)) return JsonError(401, "That is not this coordinator's token.");
    if (request.path == "/api/v1/check") return JsonResponse(200, "{}");  // Whether the token is right.
    absl::Status status;
    if (request.path == "/api/v1/pause") {
      status = reader_.Pause();
    } else if (request.path == "/api/v1/resume") {
      status = reader_.Resume();
    } else if (request.path == "/api/v1/retry") {
      auto table = request.query.find("table");
      status = reader_.RetryTable(table == request.query.end() ? "" : table->second).status();
    } else {
      return JsonError(404, "there is no such command");
    }
    LogInfo("steered from the web page", {{"command", request.path.substr(request.path.rfind('/') + 1)},
                                          {"status", status.ok() ? "ok" : status.message()}});
    if (!status.ok()) return JsonError(status);
    reader_.Expire();
    return JsonResponse(200, "{}");
  }

  const Secret token_;
  const absl::Duration linger_;
  std::map<std::string, HttpResponse> assets_;
  ResponseCache cache_;
  MigrationReader reader_;

  Mutex mutex_;
  CondVar changed_;
  bool lingering_ ABSL_GUARDED_BY(mutex_) = false;

  // Last, so that it ends before what its handler uses.
  std::unique_ptr<HttpServer> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WebServer>> WebServer::Start(const WebOptions& options,
                                                            std::unique_ptr<MigrationReader::Stub> stub) {
  HS_RETURN_IF_ERROR(CheckHttpOptions(options.http));
  auto server = std::make_unique<WebServerImpl>(options, std::move(stub));
  HS_RETURN_IF_ERROR(server->Begin(options.http));
  return server;
}

}  // namespace hypershift
