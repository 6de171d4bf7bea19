#include "tests/simulation/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace hypershift::simulation {

void World::Push(Event event) {
  event.number = ++last_number_;
  events_.push_back(std::move(event));
  std::push_heap(events_.begin(), events_.end(), Later());
}

void World::At(absl::Duration delay, std::function<void()> body) { Push({now_ + delay, 0, Waiter(), std::move(body)}); }

void World::WakeAt(absl::Duration delay, const Waiter& waiter) { Push({now_ + delay, 0, waiter, nullptr}); }

void World::Run(absl::Time end, const std::function<bool()>& done) {
  while (!events_.empty() && events_.front().time <= end && !done()) {
    std::pop_heap(events_.begin(), events_.end(), Later());
    const Event event = std::move(events_.back());
    events_.pop_back();
    now_ = std::max(now_, event.time);
    if (event.waiter.fiber == nullptr) {
      event.body();
    } else {
      event.waiter.process->Wake(event.waiter);
    }
  }
  if (!done()) now_ = std::max(now_, end);
}

void World::Print(const std::string& line) const {
  const double seconds = absl::ToDoubleSeconds(now_ - absl::FromUnixSeconds(1700000000));
  std::fprintf(stderr, "%10.4f %s\n", seconds, line.c_str());
}

Process::~Process() { Kill(); }

void Process::Spawn(std::function<void()> body) {
  Member& member = members_.emplace_back();
  member.fiber = std::make_unique<Fiber>([this, body = std::move(body)] {
    try {
      if (alive_) body();
    } catch (const Killed&) {
    }
  });
  // Not at once: the caller is in the middle of something.
  member.ticket = world_->NextTicket();
  world_->WakeAt(absl::ZeroDuration(), {this, member.fiber.get(), member.ticket});
}

void Process::Post(std::function<void()> body) {
  if (!alive_) return;
  if (stopped_) {
    posted_while_stopped_.push_back(std::move(body));
  } else {
    body();
  }
}

void Process::Continue() {
  if (!stopped_) return;
  stopped_ = false;
  for (std::function<void()>& body : posted_while_stopped_) {
    world_->At(absl::ZeroDuration(), [this, body = std::move(body)] { Post(body); });
  }
  posted_while_stopped_.clear();
  for (const Waiter& waiter : woken_while_stopped_) world_->WakeAt(absl::ZeroDuration(), waiter);
  woken_while_stopped_.clear();
}

void Process::Kill() {
  if (running_ != nullptr) std::abort();
  if (!alive_) return;
  alive_ = false;
  posted_while_stopped_.clear();
  woken_while_stopped_.clear();
  for (Member& member : members_) {
    // One that never began has nothing on its stack, but must run to end.
    if (!member.fiber->ended()) Run(&member);
  }
  members_.clear();
}

bool Process::ended() {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) { return member.fiber->ended(); });
}

void Process::Run(Member* member) {
  Member* const outer = std::exchange(running_, member);
  member->ticket = 0;
  member->fiber->Resume();
  running_ = outer;
}

void Process::Wake(const Waiter& waiter) {
  if (!alive_) return;
  if (stopped_) {
    woken_while_stopped_.push_back(waiter);
    return;
  }
  for (auto it = members_.begin(); it != members_.end(); ++it) {
    if (it->fiber.get() != waiter.fiber || it->ticket != waiter.ticket) continue;
    Run(&*it);
    if (it->fiber->ended()) members_.erase(it);
    return;
  }
}

Waiter Process::PrepareWait() {
  running_->ticket = world_->NextTicket();
  return {this, running_->fiber.get(), running_->ticket};
}

void Process::Block() {
  if (!alive_) throw Killed();
  running_->fiber->Yield();
  if (!alive_) throw Killed();
}

void Process::Sleep(absl::Duration duration) {
  world_->WakeAt(duration, PrepareWait());
  Block();
}

}  // namespace hypershift::simulation
