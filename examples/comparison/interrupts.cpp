#include "interrupts.hpp"

#include <csignal>

namespace comparison {
namespace {

volatile std::sig_atomic_t noted = 0;

void note(int) {
    noted = 1;
    std::signal(SIGINT, SIG_DFL);
}

} // namespace

NoteInterrupts::NoteInterrupts() : before_(std::signal(SIGINT, note)) {}
NoteInterrupts::~NoteInterrupts() { std::signal(SIGINT, before_); }
bool NoteInterrupts::interrupted() { return noted != 0; }

} // namespace comparison
