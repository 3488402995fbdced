// What was found, in words; and CUDA's error codes, which is all that the host would learn from a GPU.
#include <string>

#include "cuda_runtime_api.h"
#include "state.h"
#include "symbols.h"

namespace cuda_on_cpu {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

std::string line_at(uint32_t code, const Site& site) {
  if (code != 0) return line_of(code);
  return site.line() == 0 ? "" : std::string(site.file_name()) + ":" + std::to_string(site.line());
}

// (x, y, z) of a number, in a grid or a block of this size.
std::string index(int64_t number, dim3 size) {
  const auto n = static_cast<uint64_t>(number);
  return "(" + std::to_string(n % size.x) + "," + std::to_string(n / size.x % size.y) + "," +
         std::to_string(n / (uint64_t{size.x} * size.y)) + ")";
}

std::string who(const Place& place, const char* several) {
  const Launch& launch = *running.launch;
  std::string text = place.thread >= 0 ? "thread " + index(place.thread, launch.block) : several;
  if (place.block >= 0) text += " of block " + index(place.block, launch.grid);
  return text;
}

}  // namespace

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kLaunch: return "launch";
    case Fault::kOutOfBounds: return "out of bounds";
    case Fault::kMisaligned: return "misaligned";
    case Fault::kUninitialised: return "uninitialised";
    case Fault::kRace: return "race";
    case Fault::kDivergence: return "divergence";
    case Fault::kWarp: return "warp";
    case Fault::kAsyncCopy: return "asynchronous copy";
  }
  return "?";
}

Report describe(const Finding& finding) {
  Report report;
  report.fault = finding.fault;
  report.kernel = kernel_name(running.launch->kernel);
  report.text = std::string(name_of(finding.fault)) + " in " + report.kernel + ": ";
  if (finding.fault == Fault::kLaunch) {
    report.text += finding.what;
    return report;
  }
  report.place = {running.block, finding.thread, line_at(finding.code, finding.site)};
  report.text += who(report.place, "a thread") + " " + finding.what + ", at " + report.place.line;
  if (!finding.how.empty()) {
    report.other = {finding.other_block, finding.other_thread, line_at(finding.other_code, finding.other_site)};
    const bool is_same_block = report.other.block == report.place.block;
    const bool is_alone = report.other.thread >= 0;
    Place shown = report.other;
    if (is_same_block) shown.block = -1;
    report.text += "; " + who(shown, is_same_block ? "several threads" : "a thread") + " " + finding.how;
    if (!report.other.line.empty() && finding.how != "has left the kernel") {
      report.text += std::string(is_alone || !is_same_block ? "" : ", last") + " at " + report.other.line;
    }
    if (finding.fault == Fault::kRace) {
      report.text += is_same_block ? ", with no barrier between" : ", and blocks have no order";
    }
  }
  return report;
}

void set_last_error(int error) { last_error = static_cast<cudaError_t>(error); }

}  // namespace cuda_on_cpu

extern "C" {

cudaError_t cudaPeekAtLastError() { return cuda_on_cpu::last_error; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = cuda_on_cpu::last_error;
  cuda_on_cpu::last_error = cudaSuccess;
  return error;
}

// CUDA's own words: the product tells by them what became of the GPU (native/core/device_health.cpp).
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorMisalignedAddress: return "misaligned address";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
  }
  return "unrecognized error code";
}
}
