#pragma once

namespace comparison {

/// The user's first interrupt is noted, not obeyed at once, while an object of this class lives; a second one ends the
/// program.
class NoteInterrupts {
  public:
    NoteInterrupts();
    ~NoteInterrupts();
    NoteInterrupts(const NoteInterrupts&) = delete;
    NoteInterrupts& operator=(const NoteInterrupts&) = delete;

    static bool interrupted();

  private:
    void (*before_)(int);
};

} // namespace comparison
