// Random choices that a seed repeats on every machine: xorshift64* (Vigna, "An experimental exploration of Marsaglia's
// xorshift generators, scrambled", 2016), its state spread by SplitMix64 so that neighbouring seeds have nothing in
// common. The standard library's distributions are not used: each library may draw differently.
#ifndef HYPERSHIFT_TESTS_SIMULATION_RANDOM_H_
#define HYPERSHIFT_TESTS_SIMULATION_RANDOM_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace hypershift::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) {
    uint64_t value = seed + 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    state_ = (value ^ (value >> 31)) | 1;
  }

  // In [0, 1).
  double Fraction() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<double>((state_ * 0x2545f4914f6cdd1d) >> 11) * 0x1.0p-53;
  }
  bool Chance(double probability) { return probability > 0 && Fraction() < probability; }
  // Both ends included.
  int Int(int low, int high) { return low + static_cast<int>(Fraction() * (high - low + 1)); }
  size_t Index(size_t size) { return static_cast<size_t>(Fraction() * static_cast<double>(size)); }
  absl::Duration Between(absl::Duration low, absl::Duration high) { return low + (high - low) * Fraction(); }
  // Each order of magnitude is as likely as the others.
  absl::Duration Magnitude(absl::Duration low, absl::Duration high) {
    return low * std::exp(Fraction() * std::log(absl::FDivDuration(high, low)));
  }

 private:
  uint64_t state_;
};

}  // namespace hypershift::simulation

#endif  // HYPERSHIFT_TESTS_SIMULATION_RANDOM_H_
