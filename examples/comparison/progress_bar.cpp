#include "progress_bar.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

namespace comparison {
namespace {

constexpr std::int64_t width = 30;

bool terminal_shows_bars() {
    const char* terminal = std::getenv("TERM");
    return isatty(STDERR_FILENO) && terminal && std::string_view(terminal) != "dumb";
}

} // namespace

ProgressBar::ProgressBar(std::string label, std::int64_t total)
    : label_(std::move(label)), total_(total), visible_(terminal_shows_bars()) {}

void ProgressBar::advance() {
    ++done_;
    Clock::time_point now = Clock::now();
    if (!visible_ || (now - drawn_ < std::chrono::milliseconds(50) && done_ < total_)) return;
    drawn_ = now;
    std::int64_t filled = done_ * width / total_;
    double seconds = std::chrono::duration<double>(now - start_).count();
    double left = seconds / static_cast<double>(done_) * static_cast<double>(total_ - done_);
    fmt::print(stderr, "\r{} [{:=<{}}{: <{}}] {}/{}  {:.0f} s left \x1b[K", label_, "", filled, "", width - filled,
               done_, total_, left);
    std::fflush(stderr);
}

void ProgressBar::clear() {
    if (visible_ && done_ > 0) fmt::print(stderr, "\r\x1b[K");
    done_ = 0;
}

} // namespace comparison
