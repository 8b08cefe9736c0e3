# What both builds of device code need, here and in the tests: Boost.Context for the emulator and,
# with ATTEST_GPU, the CUDA language. Sets ATTEST_HAS_GPU.
find_package(Boost REQUIRED COMPONENTS context)

set(ATTEST_HAS_GPU OFF)
if(NOT ATTEST_GPU STREQUAL "OFF")
  include(CheckLanguage)
  set(CMAKE_CUDA_ARCHITECTURES ${ATTEST_CUDA_ARCHITECTURES})
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(ATTEST_HAS_GPU ON)
    enable_language(CUDA)
  elseif(ATTEST_GPU STREQUAL "ON")
    message(FATAL_ERROR "cuda: ATTEST_GPU=ON needs nvcc, found none; install the CUDA Toolkit")
  endif()
endif()
if(ATTEST_HAS_GPU)
  find_package(CUDAToolkit REQUIRED)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 13 has it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  endif()
endif()
message(STATUS "attest: GPU build of the kernels: ${ATTEST_HAS_GPU}")
