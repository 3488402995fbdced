// A remedy for a race in the mathematics library that libtorch brings along.
#pragma once

namespace facellm {

// MKL picks a kernel of each vector function (exp, erf, sqrt, ...) when it is first called. Where two threads
// make that first call together, one of them may compute its share of that one call with a kernel of low
// accuracy (up to 4000 ulp): the first answer of a process then differs from every later one (pytorch issue
// 188792; oneMKL 2024.2, which libtorch 2.13 holds; not seen from oneMKL 2025.0 on). Called once on one thread
// before any work, this makes every first call where none can compete. Where memory for a few numbers is
// missing it does nothing: the work that follows will tell.
void warm_up_mkl() noexcept;

}  // namespace facellm
