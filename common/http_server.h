// A small HTTP server inside a program, for its metrics and its page: one handler for every request.
//
// For few and trusted readers, not for the open Internet, yet nobody can make it take more than its share: threads,
// waiting connections, the sizes of requests and the time to read them are limited, and each connection carries one
// request. Every answer carries headers that keep a browser from loading anything from elsewhere, and a request whose
// Host names another machine is refused, so that no page of others can reach it through a name that resolves to here.
//
// Owns its threads. The handler is called from several of them at once, and never after the destructor has returned.
#ifndef HYPERSHIFT_COMMON_HTTP_SERVER_H_
#define HYPERSHIFT_COMMON_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/secret.h"

namespace hypershift {

struct HttpOptions {
  // host:port; port 0 = any that is free.
  std::string address;
  // PEM files: both, or neither for plain text.
  std::string tls_certificate_file;
  std::string tls_key_file;
  // Plain text also off loopback.
  bool insecure = false;
};

struct HttpRequest {
  std::string method;  // "GET", "HEAD", "POST", …
  std::string path;    // Decoded, without the query.
  std::map<std::string, std::string> query;
  std::string authorization;  // The header's value, or empty.
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body;
  // The same compressed, if there is any: for readers that take it.
  std::shared_ptr<const std::string> gzip_body;
};

HttpResponse TextResponse(int status, std::string text);
// A body that many readers will ask for, compressed once.
HttpResponse SharedResponse(std::string content_type, std::string body);

// kInvalidArgument, one line: not host:port, or plain text off loopback without `insecure`.
absl::Status CheckHttpOptions(const HttpOptions& options);

// Whether a request with this Host header is meant for a server that listens on `listen_host`: loopback's names, IP
// addresses and that name itself. Pure.
bool HostIsExpected(absl::string_view host_header, absl::string_view listen_host);

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  // kInvalidArgument: see CheckHttpOptions, or files that are no certificate and its key. kUnavailable: the address
  // can't be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options, Handler handler);
  // Answers what has been asked, for a few seconds at most.
  virtual ~HttpServer() = default;

  // With the port it got: "127.0.0.1:43211".
  virtual const std::string& address() const = 0;
  // "http://127.0.0.1:43211/"
  virtual std::string url() const = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COMMON_HTTP_SERVER_H_
