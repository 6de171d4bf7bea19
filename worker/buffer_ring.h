// A bounded ring of large buffers between the thread that reads COPYs from the source and the one that writes them to
// the target, so that the two overlap and memory stays fixed. A stream has parts, one for each COPY.
//
// Two threads: one producer (Append, EndPart, Finish), one consumer (Next, Abandon). Owns its buffers; they are
// allocated when first needed and kept from one task to the next. A piece as large as a buffer is not copied but lent:
// the producer waits until the consumer has done with it, so rows of hundreds of megabytes go one at a time.
#ifndef HYPERSHIFT_WORKER_BUFFER_RING_H_
#define HYPERSHIFT_WORKER_BUFFER_RING_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace hypershift {

class BufferRing {
 public:
  // At least two buffers of at least one byte each; smaller arguments are raised to that.
  BufferRing(int buffers, size_t buffer_bytes);
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  // Empties the ring for the next stream. Only while no other thread uses it.
  void Reset();

  // Producer: adds bytes to the stream; blocks while all buffers are full. False: the consumer has gone, stop.
  bool Append(absl::string_view bytes);
  // Producer: ends a part; what follows is the next one's. False: the consumer has gone, stop.
  bool EndPart();
  // Producer: ends the stream. With an error, bytes not yet taken are dropped and Next() returns the error.
  void Finish(absl::Status status);

  // Consumer: the next piece of the part, valid until the next call; blocks until there is one. An empty optional: the
  // part has ended, and the next call gives the next one's first piece; or, where no part was begun, the stream has
  // ended well. An error: what Finish() was told.
  absl::StatusOr<std::optional<absl::string_view>> Next();
  // Consumer: wants no more; the producer's Append() returns false from now on.
  void Abandon();

  size_t buffer_bytes() const { return buffer_bytes_; }

  // Since Reset(): how long the producer has waited for room, and the consumer for bytes. Any thread.
  absl::Duration waited_for_room() const;
  absl::Duration waited_for_bytes() const;

 private:
  struct Buffer {
    std::unique_ptr<char[]> memory;
    size_t size = 0;
  };
  // A piece of the stream on its way: in a buffer of ours, or lent (buffer == nullptr), or the end of a part.
  struct Piece {
    Buffer* buffer;
    absl::string_view bytes;
    bool ends_part = false;
  };

  // Producer: makes sure current_ is a buffer with room. False: the consumer has gone.
  bool EnsureRoom();
  bool PushCurrent();
  bool Lend(absl::string_view bytes);
  // Consumer: returns what Next() gave out before.
  void WaitCounted(absl::Duration* waited) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBackTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t buffer_bytes_;
  Buffer* current_ = nullptr;  // The producer's alone: the buffer being filled.

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<Buffer> buffers_;
  std::vector<Buffer*> free_ ABSL_GUARDED_BY(mutex_);
  std::deque<Piece> full_ ABSL_GUARDED_BY(mutex_);
  std::optional<Piece> taken_ ABSL_GUARDED_BY(mutex_);
  absl::Duration waited_for_room_ ABSL_GUARDED_BY(mutex_);
  absl::Duration waited_for_bytes_ ABSL_GUARDED_BY(mutex_);
  bool lent_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> finished_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hypershift

#endif  // HYPERSHIFT_WORKER_BUFFER_RING_H_
