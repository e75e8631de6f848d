#pragma once

#include <stdexcept>

namespace cotape {

/// Base of everything Cotape throws. The message reads `operation: what was required, what arrived`; the state from
/// before the failed call is unchanged.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Shapes or axes that do not fit together.
class ShapeError : public Error {
  public:
    using Error::Error;
};

/// Element types that differ, or that an operation does not take.
class DtypeError : public Error {
  public:
    using Error::Error;
};

/// A value outside what an operation or an option accepts.
class ValueError : public Error {
  public:
    using Error::Error;
};

/// A variable of another, a cleared or a destroyed tape; a tape used in a way it does not allow.
class TapeError : public Error {
  public:
    using Error::Error;
};

/// A file that cannot be read, or that does not hold what it claims.
class DataError : public Error {
  public:
    using Error::Error;
};

/// The first NaN or infinity of an evaluation, in finite-check mode.
class NonFiniteError : public Error {
  public:
    using Error::Error;
};

} // namespace cotape
