#pragma once

#include <string>

namespace cotape {

/// What the numbers of this process depend on, a line each: the instruction set of Cotape's loops, the threads, the
/// libraries that multiply matrices with their versions, and the CPU that OpenBLAS takes this one for.
std::string runtime_info();

/// The command that sets OpenBLAS right where it has mistaken this CPU for one without AVX (as Debian 12's does with
/// CPUs newer than itself), and runs its products several times too slowly; empty otherwise.
std::string blas_remedy();

} // namespace cotape
