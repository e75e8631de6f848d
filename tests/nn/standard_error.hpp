#pragma once

#include <cstdio>
#include <string>
#include <unistd.h>

namespace cotape::testing {

/// Catches what the program writes to standard error while it lives.
class StandardErrorCapture {
  public:
    StandardErrorCapture() : file_(std::tmpfile()), saved_(dup(STDERR_FILENO)) {
        std::fflush(stderr);
        dup2(fileno(file_), STDERR_FILENO);
    }
    ~StandardErrorCapture() {
        std::fflush(stderr);
        dup2(saved_, STDERR_FILENO);
        close(saved_);
        std::fclose(file_);
    }
    StandardErrorCapture(const StandardErrorCapture&) = delete;
    StandardErrorCapture& operator=(const StandardErrorCapture&) = delete;

    std::string text() const {
        std::fflush(stderr);
        std::string text(static_cast<std::size_t>(lseek(fileno(file_), 0, SEEK_CUR)), '\0');
        ssize_t count = pread(fileno(file_), text.data(), text.size(), 0);
        text.resize(static_cast<std::size_t>(count));
        return text;
    }

  private:
    std::FILE* file_;
    int saved_;
};

} // namespace cotape::testing
