// A function with a stack of its own that can stop in the middle and be taken up again: what runs in the simulation as
// a thread would outside, but one at a time, and in an order that the seed decides.
//
// All fibers belong to one thread. A fiber must not yield while an exception is being handled, nor while it holds a
// lock. AddressSanitizer and ThreadSanitizer are told of every switch.
#ifndef HYPERSHIFT_TESTS_SIMULATION_FIBER_H_
#define HYPERSHIFT_TESTS_SIMULATION_FIBER_H_

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace hypershift::simulation {

class Fiber {
 public:
  // Runs nothing yet.
  explicit Fiber(std::function<void()> body);
  // The body must have ended: nothing else takes down what stands on its stack.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // From outside of any fiber: runs the body on, until it yields or ends.
  void Resume();
  // From inside of this fiber: back to Resume's caller.
  void Yield();
  bool ended() const { return ended_; }

 private:
  struct Stack;

  static void Enter();
  void Run();
  void SwitchIn();
  void SwitchOut(bool for_good);
  static std::unique_ptr<Stack> TakeStack();

  std::function<void()> body_;
  std::unique_ptr<Stack> stack_;
  ucontext_t inside_;
  ucontext_t outside_;
  bool ended_ = false;
  // The sanitizers' own.
  [[maybe_unused]] void* fake_stack_inside_ = nullptr;
  [[maybe_unused]] void* fake_stack_outside_ = nullptr;
  [[maybe_unused]] const void* outside_stack_bottom_ = nullptr;
  [[maybe_unused]] size_t outside_stack_bytes_ = 0;
  [[maybe_unused]] void* outside_thread_ = nullptr;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_FIBER_H_
