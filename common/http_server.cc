#include "common/http_server.h"

#include <httplib.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/gzip.h"
#include "common/http_address.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/status_macros.h"

namespace hypershift {
namespace {

constexpr int kThreads = 8;
// Connections that wait for a thread; more wait in the kernel.
constexpr size_t kMaxWaiting = 64;
constexpr time_t kReadSeconds = 3;
constexpr time_t kWriteSeconds = 5;
constexpr size_t kMaxPayloadBytes = 4096;
constexpr absl::Duration kStartWait = absl::Seconds(5);
constexpr absl::Duration kStopWait = absl::Seconds(3);

// Lets requests through to the handler until it is closed.
class Gate {
 public:
  explicit Gate(HttpServer::Handler handler) : handler_(std::move(handler)) {}

  HttpResponse Call(const HttpRequest& request) {
    {
      MutexLock lock(&mutex_);
      if (closed_) return TextResponse(503, "ending\n");
      ++inside_;
    }
    HttpResponse response = handler_(request);
    MutexLock lock(&mutex_);
    if (--inside_ == 0) changed_.NotifyAll();
    return response;
  }

  void Close() {
    MutexLock lock(&mutex_);
    closed_ = true;
    while (inside_ > 0) changed_.Wait(&mutex_);
  }

 private:
  const HttpServer::Handler handler_;
  Mutex mutex_;
  CondVar changed_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// The library's own pool takes any number of connections and waits for ever for the slowest client.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  // Outlives the pool if a client keeps one of its threads.
  struct Shared {
    Mutex mutex;
    CondVar changed;
    std::deque<std::function<void()>> waiting ABSL_GUARDED_BY(mutex);
    int threads ABSL_GUARDED_BY(mutex) = kThreads;
    bool ending ABSL_GUARDED_BY(mutex) = false;
  };

  explicit ConnectionThreads(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    for (int i = 0; i < kThreads; ++i) std::thread([shared = shared_] { Run(shared.get()); }).detach();
  }

  void enqueue(std::function<void()> connection) override {
    MutexLock lock(&shared_->mutex);
    while (shared_->waiting.size() >= kMaxWaiting) shared_->changed.Wait(&shared_->mutex);
    shared_->waiting.push_back(std::move(connection));
    shared_->changed.NotifyAll();
  }

  void shutdown() override {
    const absl::Time deadline = absl::Now() + kStopWait;
    MutexLock lock(&shared_->mutex);
    shared_->ending = true;
    shared_->changed.NotifyAll();
    while (shared_->threads > 0 && absl::Now() < deadline) {
      shared_->changed.WaitFor(&shared_->mutex, deadline - absl::Now());
    }
  }

 private:
  static void Run(Shared* shared) {
    while (true) {
      std::function<void()> connection;
      {
        MutexLock lock(&shared->mutex);
        while (shared->waiting.empty() && !shared->ending) shared->changed.Wait(&shared->mutex);
        if (shared->waiting.empty()) break;
        connection = std::move(shared->waiting.front());
        shared->waiting.pop_front();
        shared->changed.NotifyAll();
      }
      connection();
    }
    MutexLock lock(&shared->mutex);
    --shared->threads;
    shared->changed.NotifyAll();
  }

  const std::shared_ptr<Shared> shared_;
};

httplib::Headers SafeHeaders() {
  return {{"Content-Security-Policy",
           "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"},
          {"X-Content-Type-Options", "nosniff"},
          {"X-Frame-Options", "DENY"},
          {"Referrer-Policy", "no-referrer"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Cache-Control", "no-store"}};
}

// With a known length, so that the library does not compress it anew for every reader.
void Send(const httplib::Request& request, const HttpResponse& answer, httplib::Response* response) {
  response->status = answer.status;
  std::shared_ptr<const std::string> body = answer.body;
  if (answer.gzip_body != nullptr) {
    response->set_header("Vary", "Accept-Encoding");
    if (request.get_header_value("Accept-Encoding").find("gzip") != std::string::npos) {
      response->set_header("Content-Encoding", "gzip");
      body = answer.gzip_body;
    }
  }
  if (body == nullptr || body->empty()) return response->set_content("", answer.content_type);
  response->set_content_provider(body->size(), answer.content_type,
                                 [body](size_t offset, size_t length, httplib::DataSink& sink) {
                                   return sink.write(body->data() + offset, length);
                                 });
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(std::string host, bool tls, std::unique_ptr<httplib::Server> server, Handler handler)
      : host_(std::move(host)),
        tls_(tls),
        server_(std::move(server)),
        gate_(std::make_shared<Gate>(std::move(handler))),
        connections_(std::make_shared<ConnectionThreads::Shared>()) {}

  ~HttpServerImpl() override {
    if (!thread_.joinable()) return;
    gate_->Close();
    server_->stop();
    thread_.join();
    MutexLock lock(&connections_->mutex);
    // A client that still sends its request, byte by byte, uses it: the process ends soon.
    if (connections_->threads > 0) (void)server_.release();
  }

  absl::Status Begin(const HttpAddress& address) {
    Configure();
    const int port = address.port == 0 ? server_->bind_to_any_port(host_) : address.port;
    if (port < 0 || (address.port != 0 && !server_->bind_to_port(host_, port))) {
      return absl::UnavailableError(absl::StrCat(address.Text(), " can't be bound: is the port in use?"));
    }
    address_ = HttpAddress{address.host, port}.Text();
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    const absl::Time deadline = absl::Now() + kStartWait;
    // stop() has no effect before that.
    while (!server_->is_running() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }
  std::string url() const override { return absl::StrCat(tls_ ? "https://" : "http://", address_, "/"); }

 private:
  void Configure() {
    server_->set_keep_alive_max_count(1);
    server_->set_read_timeout(kReadSeconds);
    server_->set_write_timeout(kWriteSeconds);
    server_->set_payload_max_length(kMaxPayloadBytes);
    server_->set_tcp_nodelay(true);
    // Not SO_REUSEPORT, the library's default: two programs would share a port without a word.
    server_->set_socket_options([](auto socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_->set_default_headers(SafeHeaders());
    server_->new_task_queue = [connections = connections_] { return new ConnectionThreads(connections); };
    server_->set_pre_routing_handler(
        [gate = gate_, host = host_](const httplib::Request& request, httplib::Response& response) {
          Send(request, Answer(request, host, gate.get()), &response);
          return httplib::Server::HandlerResponse::Handled;
        });
  }

  static HttpResponse Answer(const httplib::Request& request, const std::string& host, Gate* gate) {
    if (!HostIsExpected(request.get_header_value("Host"), host)) {
      return TextResponse(421, "this server is not known by that name: use its IP address or localhost\n");
    }
    HttpRequest plain;
    plain.method = request.method;
    plain.path = request.path;
    for (const auto& [name, value] : request.params) plain.query.emplace(name, value);
    plain.authorization = request.get_header_value("Authorization");
    return gate->Call(plain);
  }

  const std::string host_;
  const bool tls_;
  std::unique_ptr<httplib::Server> server_;
  const std::shared_ptr<Gate> gate_;
  const std::shared_ptr<ConnectionThreads::Shared> connections_;
  std::string address_;
  std::thread thread_;
};

}  // namespace

HttpResponse TextResponse(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.body = std::make_shared<const std::string>(std::move(text));
  return response;
}

HttpResponse SharedResponse(std::string content_type, std::string body) {
  constexpr size_t kWorthCompressing = 1400;  // What fits into one packet is not.
  HttpResponse response;
  response.content_type = std::move(content_type);
  if (body.size() > kWorthCompressing) response.gzip_body = std::make_shared<const std::string>(Gzip(body));
  response.body = std::make_shared<const std::string>(std::move(body));
  return response;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options, Handler handler) {
  HS_RETURN_IF_ERROR(CheckHttpOptions(options));
  HS_ASSIGN_OR_RETURN(const HttpAddress address, HttpAddress::Parse(options.address));
  const bool tls = !options.tls_certificate_file.empty();
  std::unique_ptr<httplib::Server> server;
  if (tls) {
    server = std::make_unique<httplib::SSLServer>(options.tls_certificate_file.c_str(), options.tls_key_file.c_str());
  } else {
    server = std::make_unique<httplib::Server>();
  }
  if (!server->is_valid()) {
    return absl::InvalidArgumentError(absl::StrCat(options.tls_certificate_file, " and ", options.tls_key_file,
                                                   " are no certificate and its key, as PEM files that can be read"));
  }
  auto started = std::make_unique<HttpServerImpl>(address.host, tls, std::move(server), std::move(handler));
  HS_RETURN_IF_ERROR(started->Begin(address));
  return started;
}

}  // namespace hypershift
