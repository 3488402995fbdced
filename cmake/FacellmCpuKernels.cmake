# The units of native/kernels/cpu: flags of their own, whatever the rest is compiled for, and nothing that a linker could
# share with other units (test/contract/cpu-units.test.ts asks nm).
set(cpu_units "${CMAKE_CURRENT_SOURCE_DIR}/native/kernels/cpu")
# Contracted, a unit with FMA would round less often than the reference.
set(cpu_flags -O3 -fno-exceptions -fno-rtti -ffp-contract=off)
set_property(SOURCE "${cpu_units}/scalar.cpp" "${cpu_units}/scalar_quantised.cpp" "${cpu_units}/scalar_attention.cpp"
  PROPERTY COMPILE_OPTIONS ${cpu_flags})
set_property(SOURCE "${cpu_units}/avx2.cpp" "${cpu_units}/avx2_attention.cpp" PROPERTY COMPILE_OPTIONS ${cpu_flags} -mavx2 -mfma)
set_property(SOURCE "${cpu_units}/avx2_quantised.cpp" PROPERTY COMPILE_OPTIONS ${cpu_flags} -mavx2 -mfma -mf16c)
# One text for all levels (row_lanes.h). sqrtf is an instruction, not a call that may set errno; lanes wider than a level's registers
# never leave a unit.
set(row_flags ${cpu_flags} -fno-math-errno -Wno-psabi)
set_property(SOURCE "${cpu_units}/scalar_rows.cpp" PROPERTY COMPILE_OPTIONS ${row_flags})
set_property(SOURCE "${cpu_units}/avx2_rows.cpp" PROPERTY COMPILE_OPTIONS ${row_flags} -mavx2 -mfma)
set_property(SOURCE "${cpu_units}/avx512_rows.cpp" PROPERTY COMPILE_OPTIONS
  ${row_flags} -mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq)
# prefetchw: whatever has AVX-512 has it. GCC 12 takes its own intrinsics for reads of uninitialised variables (its bug 105593).
set_property(SOURCE "${cpu_units}/avx512.cpp" "${cpu_units}/avx512_attention.cpp" PROPERTY COMPILE_OPTIONS
  ${cpu_flags} -mavx2 -mfma -mprfchw -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -Wno-uninitialized -Wno-maybe-uninitialized)
set_property(SOURCE "${cpu_units}/avx512_quantised.cpp" PROPERTY COMPILE_OPTIONS ${cpu_flags} -mavx2 -mfma -mf16c -mavx512f
  -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -Wno-uninitialized -Wno-maybe-uninitialized)

# Beside at::linear and libtorch's attention: what decides which of the two is taken.
add_executable(facellm_cpu_products EXCLUDE_FROM_ALL benchmarks/cpu/products.cpp)
target_link_libraries(facellm_cpu_products PRIVATE facellm_kernels)
add_executable(facellm_cpu_attention EXCLUDE_FROM_ALL benchmarks/cpu/attention.cpp)
target_link_libraries(facellm_cpu_attention PRIVATE facellm_layers)
