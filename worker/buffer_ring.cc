#include "worker/buffer_ring.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"

namespace hypershift {

BufferRing::BufferRing(int buffers, size_t buffer_bytes)
    : buffer_bytes_(std::max<size_t>(buffer_bytes, 1)), buffers_(static_cast<size_t>(std::max(buffers, 2))) {
  Reset();
}

void BufferRing::Reset() {
  MutexLock lock(&mutex_);
  current_ = nullptr;
  free_.clear();
  // The one used last comes out first: it may still be in the processor's cache.
  for (Buffer& buffer : buffers_) free_.push_back(&buffer);
  full_.clear();
  taken_.reset();
  waited_for_room_ = waited_for_bytes_ = absl::ZeroDuration();
  lent_ = false;
  abandoned_ = false;
  finished_.reset();
}

bool BufferRing::Append(absl::string_view bytes) {
  if (bytes.size() >= buffer_bytes_) return PushCurrent() && Lend(bytes);
  while (!bytes.empty()) {
    if (!EnsureRoom()) return false;
    const size_t taken = std::min(bytes.size(), buffer_bytes_ - current_->size);
    std::memcpy(current_->memory.get() + current_->size, bytes.data(), taken);
    current_->size += taken;
    bytes.remove_prefix(taken);
  }
  return true;
}

bool BufferRing::EnsureRoom() {
  if (current_ != nullptr && current_->size < buffer_bytes_) return true;
  if (!PushCurrent()) return false;
  {
    MutexLock lock(&mutex_);
    while (free_.empty() && !abandoned_) WaitCounted(&waited_for_room_);
    if (abandoned_) return false;
    current_ = free_.back();
    free_.pop_back();
  }
  // Not make_unique: that would write zeros over every byte first.
  if (current_->memory == nullptr) current_->memory.reset(new char[buffer_bytes_]);
  current_->size = 0;
  return true;
}

bool BufferRing::PushCurrent() {
  MutexLock lock(&mutex_);
  if (current_ != nullptr) {
    full_.push_back({current_, absl::string_view(current_->memory.get(), current_->size)});
    current_ = nullptr;
    changed_.NotifyAll();
  }
  return !abandoned_;
}

bool BufferRing::Lend(absl::string_view bytes) {
  MutexLock lock(&mutex_);
  lent_ = true;
  full_.push_back({nullptr, bytes});
  changed_.NotifyAll();
  while (lent_ && !abandoned_) WaitCounted(&waited_for_room_);
  return !abandoned_;
}

bool BufferRing::EndPart() {
  if (!PushCurrent()) return false;
  MutexLock lock(&mutex_);
  full_.push_back({nullptr, {}, true});
  changed_.NotifyAll();
  return !abandoned_;
}

void BufferRing::Finish(absl::Status status) {
  if (status.ok()) PushCurrent();
  MutexLock lock(&mutex_);
  if (!status.ok()) full_.clear();
  finished_ = std::move(status);
  changed_.NotifyAll();
}

absl::StatusOr<std::optional<absl::string_view>> BufferRing::Next() {
  MutexLock lock(&mutex_);
  GiveBackTaken();
  while (full_.empty() && !finished_.has_value()) WaitCounted(&waited_for_bytes_);
  if (full_.empty()) {
    if (!finished_->ok()) return *finished_;
    return std::nullopt;
  }
  const Piece piece = full_.front();
  full_.pop_front();
  if (piece.ends_part) return std::nullopt;
  taken_ = piece;
  return piece.bytes;
}

// Asks the clock only when there is something to wait for: not for every buffer.
void BufferRing::WaitCounted(absl::Duration* waited) {
  const absl::Time begin = absl::Now();
  changed_.Wait(&mutex_);
  *waited += absl::Now() - begin;
}

absl::Duration BufferRing::waited_for_room() const {
  MutexLock lock(&mutex_);
  return waited_for_room_;
}

absl::Duration BufferRing::waited_for_bytes() const {
  MutexLock lock(&mutex_);
  return waited_for_bytes_;
}

void BufferRing::GiveBackTaken() {
  if (!taken_.has_value()) return;
  if (taken_->buffer != nullptr) {
    free_.push_back(taken_->buffer);
  } else {
    lent_ = false;
  }
  taken_.reset();
  changed_.NotifyAll();
}

void BufferRing::Abandon() {
  MutexLock lock(&mutex_);
  abandoned_ = true;
  changed_.NotifyAll();
}

}  // namespace hypershift
