// A proxy that loses the answer to a COMMIT.
#ifndef HYPERSHIFT_TESTS_INTEGRATION_CUTTING_PROXY_H_
#define HYPERSHIFT_TESTS_INTEGRATION_CUTTING_PROXY_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace hypershift {

// Stands between a client and a server, and cuts the line when it has passed on a COMMIT, before the answer comes back.
class CuttingProxy {
 public:
  explicit CuttingProxy(int port) : server_port_(port) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~CuttingProxy() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : pairs_) thread.join();
    close(listener_);
  }
  int port() const { return port_; }
  int cuts() const { return cuts_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void Accept() {
    while (true) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      const int server = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address = Loopback(server_port_);
      EXPECT_EQ(connect(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
      pairs_.emplace_back([this, client, server] { Pass(client, server); });
    }
  }
  void Pass(int client, int server) {
    std::vector<char> buffer(1 << 16);
    pollfd entries[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    bool open = true;
    while (open && poll(entries, 2, -1) > 0) {
      for (int side = 0; open && side < 2; ++side) {
        if (entries[side].revents == 0) continue;
        const ssize_t size = recv(entries[side].fd, buffer.data(), buffer.size(), 0);
        open = size > 0 && send(entries[1 - side].fd, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL) == size;
        const absl::string_view passed(buffer.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
        if (side == 0 && passed.find(absl::string_view("COMMIT\0", 7)) != absl::string_view::npos && cuts_ == 0) {
          ++cuts_;
          absl::SleepFor(absl::Milliseconds(300));  // The server commits meanwhile.
          open = false;
        }
      }
    }
    close(client);
    close(server);
  }

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> cuts_{0};
  std::thread acceptor_;
  std::vector<std::thread> pairs_;
};

}  // namespace hypershift

#endif  // HYPERSHIFT_TESTS_INTEGRATION_CUTTING_PROXY_H_
