#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace comparison {

/// A line on the terminal that shows how far a loop has come and how long it still takes. Prints nothing where standard
/// error is no terminal, or a dumb one.
class ProgressBar {
  public:
    ProgressBar(std::string label, std::int64_t total);
    ~ProgressBar() { clear(); }
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void advance();
    void clear();

  private:
    using Clock = std::chrono::steady_clock;

    std::string label_;
    std::int64_t total_;
    std::int64_t done_ = 0;
    bool visible_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point drawn_{};
};

} // namespace comparison
