// Promise: everything is there for grpcurl: a coordinator names its services through the standard reflection API, and
// describes them.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/coordinator.h"

namespace hypershift {
namespace {

// A field of grpc.reflection.v1alpha.ServerReflectionRequest, as bytes: its messages are in no installed header.
std::string Field(int number, const std::string& value) {
  return absl::StrCat(std::string(1, static_cast<char>(number << 3 | 2)),
                      std::string(1, static_cast<char>(value.size())), value);
}

std::string Reflect(const std::string& address, const std::string& request) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto call =
      stub.PrepareCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  if (!queue.Next(&tag, &ok) || !ok) return "";
  const grpc::Slice slice(request);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  if (!queue.Next(&tag, &ok) || !ok) return "";
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  if (!queue.Next(&tag, &ok) || !ok) return "";
  std::string text;
  std::vector<grpc::Slice> slices;
  if (!answer.Dump(&slices).ok()) return "";
  for (const grpc::Slice& part : slices) text.append(reinterpret_cast<const char*>(part.begin()), part.size());
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return text;
}

TEST(ReflectionTest, NamesAndDescribesTheServices) {
  const std::unique_ptr<Coordinator> coordinator = Coordinator::Create({});
  const absl::StatusOr<std::string> address = coordinator->Listen();
  ASSERT_TRUE(address.ok()) << address.status();
  constexpr int kListServices = 7;
  constexpr int kFileContainingSymbol = 4;
  const std::string services = Reflect(*address, Field(kListServices, "*"));
  for (const char* name : {"hypershift.v1.MigrationService", "hypershift.v1.WorkerService", "grpc.health.v1.Health"}) {
    EXPECT_TRUE(absl::StrContains(services, name)) << name;
  }
  const std::string file = Reflect(*address, Field(kFileContainingSymbol, "hypershift.v1.MigrationService"));
  for (const char* method : {"GetMigration", "ListTables", "ListTasks", "ListWorkers", "Watch", "RetryTable", "Pause",
                             "Resume", "Stop", "Cancel", "DrainWorker", "SetLimits"}) {
    EXPECT_TRUE(absl::StrContains(file, method)) << method;
  }
}

}  // namespace
}  // namespace hypershift
