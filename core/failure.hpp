#pragma once

#include <exception>
#include <mutex>

namespace cotape {

/// Carries an exception out of an OpenMP region, which none may leave by itself.
class Failure {
  public:
    /// Runs `action` on any thread, and keeps what it throws: of several exceptions, the first.
    template <class Action>
    void attempt(Action action) {
        try {
            action();
        } catch (...) {
            std::lock_guard lock(mutex_);
            if (!exception_) exception_ = std::current_exception();
        }
    }

    /// Throws what was kept, behind the region.
    void rethrow() const {
        if (exception_) std::rethrow_exception(exception_);
    }

  private:
    std::mutex mutex_;
    std::exception_ptr exception_;
};

} // namespace cotape
