#pragma once

#include <cotape/core/op.hpp>

namespace cotape {

// Elementwise arithmetic with broadcasting. A number beside a Var takes its element type.

Var operator+(Operand a, Operand b);
Var operator-(Operand a, Operand b);
Var operator*(Operand a, Operand b);
/// IEEE division: x / 0 is infinite, 0 / 0 NaN.
Var operator/(Operand a, Operand b);
Var operator-(Operand x);

Var square(Operand x);
Var reciprocal(Operand x);
Var sqrt(Operand x);
/// 1 / sqrt(x).
Var rsqrt(Operand x);
/// |x|; its derivative at 0, and at NaN, is 0.
Var abs(Operand x);
/// x to the power `exponent`, as std::pow: NaN for negative x and fractional exponents. With the exponent 0, its
/// derivatives in x are 0, at NaN and next to 0 too. With a Var as exponent, the derivative in it is y log(x), taken as
/// 0 where x is 0 and the exponent is not negative.
Var pow(Operand x, Operand exponent);

} // namespace cotape
