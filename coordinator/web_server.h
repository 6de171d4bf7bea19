// The coordinator's HTTP side: metrics, and the page that shows a migration and steers it.
//
// It uses nothing but MigrationService. Everybody who reaches it may look; steering takes the token, in the header
// Authorization, so that no other page can send it along.
//
// Thread-safe. Owns its server and the thread that samples the throughput; both end in the destructor.
#ifndef HYPERSHIFT_COORDINATOR_WEB_SERVER_H_
#define HYPERSHIFT_COORDINATOR_WEB_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/http_server.h"
#include "common/secret.h"
#include "coordinator/migration_reader.h"

namespace hypershift {

struct WebOptions {
  HttpOptions http;
  // Empty: nothing can be steered from the page.
  Secret token;
  // How long the end of a migration can still be looked at.
  absl::Duration linger = absl::Seconds(3);
};

class WebServer {
 public:
  // Errors are those of HttpServer::Start.
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(const WebOptions& options,
                                                          std::unique_ptr<MigrationReader::Stub> stub);
  virtual ~WebServer() = default;

  // "http://127.0.0.1:43211/"
  virtual std::string url() const = 0;

  // Once, when the migration has ended: shows how for as long as `linger` says, or until somebody calls
  // StopLingering().
  virtual void Linger() = 0;
  virtual void StopLingering() = 0;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_COORDINATOR_WEB_SERVER_H_
