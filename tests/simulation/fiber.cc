#include "tests/simulation/fiber.h"

#include <sys/mman.h>

#include <cstdlib>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define HS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HS_ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#define HS_THREAD_SANITIZER 1
#endif
#endif

#ifdef HS_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HS_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace hypershift::simulation {
namespace {

constexpr size_t kStackBytes = 512 << 10;  // Of address space; what is never touched costs nothing.
constexpr size_t kGuardBytes = 64 << 10;

Fiber* g_entering = nullptr;

}  // namespace

// Mapped once and used again: a simulation has hundreds, a test run millions.
struct Fiber::Stack {
  Stack() {
    memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) std::abort();
#ifdef HS_THREAD_SANITIZER
    thread = __tsan_create_fiber(0);
#endif
  }
  ~Stack() {
    munmap(memory, kGuardBytes + kStackBytes);
#ifdef HS_THREAD_SANITIZER
    __tsan_destroy_fiber(thread);
#endif
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* bottom() const { return static_cast<char*>(memory) + kGuardBytes; }

  static std::vector<std::unique_ptr<Stack>>& Free() {
    static std::vector<std::unique_ptr<Stack>> free;
    return free;
  }

  void* memory = nullptr;
  void* thread = nullptr;
};

std::unique_ptr<Fiber::Stack> Fiber::TakeStack() {
  if (Stack::Free().empty()) return std::make_unique<Stack>();
  std::unique_ptr<Stack> stack = std::move(Stack::Free().back());
  Stack::Free().pop_back();
  return stack;
}

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), stack_(TakeStack()) {
  getcontext(&inside_);
  inside_.uc_stack.ss_sp = stack_->bottom();
  inside_.uc_stack.ss_size = kStackBytes;
  inside_.uc_link = nullptr;
  makecontext(&inside_, &Fiber::Enter, 0);
}

Fiber::~Fiber() {
  if (!ended_) std::abort();
  Stack::Free().push_back(std::move(stack_));
}

void Fiber::Enter() { std::exchange(g_entering, nullptr)->Run(); }

void Fiber::Run() {
#ifdef HS_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake_stack_inside_, &outside_stack_bottom_, &outside_stack_bytes_);
#endif
  body_();
  body_ = nullptr;
  ended_ = true;
  SwitchOut(/*for_good=*/true);
  std::abort();
}

void Fiber::Resume() {
  if (ended_) std::abort();
  g_entering = this;  // Read only the first time.
  SwitchIn();
}

void Fiber::Yield() { SwitchOut(/*for_good=*/false); }

void Fiber::SwitchIn() {
#ifdef HS_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(&fake_stack_outside_, stack_->bottom(), kStackBytes);
#endif
#ifdef HS_THREAD_SANITIZER
  outside_thread_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(stack_->thread, 0);
#endif
  swapcontext(&outside_, &inside_);
#ifdef HS_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake_stack_outside_, nullptr, nullptr);
#endif
}

void Fiber::SwitchOut([[maybe_unused]] bool for_good) {
#ifdef HS_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_inside_, outside_stack_bottom_, outside_stack_bytes_);
#endif
#ifdef HS_THREAD_SANITIZER
  __tsan_switch_to_fiber(outside_thread_, 0);
#endif
  swapcontext(&inside_, &outside_);
#ifdef HS_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake_stack_inside_, &outside_stack_bottom_, &outside_stack_bytes_);
#endif
}

}  // namespace hypershift::simulation
