#include "model/open_model.h"

#include <c10/core/GradMode.h>

#include <iterator>

#include "checkpoint/checkpoint.h"
#include "core/cpu_level.h"
#include "core/device.h"
#include "core/runtime.h"
#include "core/stopwatch.h"
#include "model/double_quantisation.h"
#include "model/load_weights.h"
#include "model/pack_weights.h"

namespace facellm {
namespace {

void describe(OpenedModel& opened, at::ScalarType dtype) {
  auto& info = opened.info;
  info.device = opened.model->options().device().str();
  info.dtype = dtype_name(dtype);
  for (const auto& [name, tensor] : opened.model->parameters()) {
    info.parameter_count += tensor.numel();
    if (!tensor.is_meta()) info.parameter_bytes += static_cast<int64_t>(tensor.nbytes());
  }
  info.parameter_bytes += info.packed_bytes;
}

}  // namespace

OpenedModel open_model(const LoadRequest& request, const LoadProgress& progress,
                       const Cancellation& cancellation, const PlaceWeights& place, WeightOrder order) {
  // Not InferenceMode: these tensors may be trained.
  const c10::NoGradGuard no_grad;
  cpu_features();  // a wrong FACELLM_CPU_ISA is told before anything is read
  const auto device = parse_device(request.device);
  const auto dtype = parse_dtype(request.dtype);
  OpenedModel opened{};
  Stopwatch watch(device);
  {
    const auto lap = watch.lap(opened.info.load_ms);
    const auto checkpoint = Checkpoint::open(request.files, request.weight_map, stored_dtypes(request.config.quantisation));
    // Text layers that are kept in fewer bits never lie on the device in the model's dtype, not even empty.
    const bool is_quantised = request.weights.text != "stored";
    const bool is_trained = order == WeightOrder::kFrozen || order == WeightOrder::kFrozenText;
    const bool is_frozen = is_quantised && (is_trained || (order == WeightOrder::kPacked && !device.is_cpu()));
    opened.model = std::make_unique<InternVl>(request.config, has_lm_head(request.config, checkpoint), device, dtype,
                                              place || is_frozen ? LayerWeights::kLeftOut : LayerWeights::kOwn);
    WeightSources sources{request.uses_mmap, place ? place(*opened.model) : WeightPlacement()};
    if (order != WeightOrder::kAsStored) opened.info.weights = request.weights;
    auto& packed = sources.packed;
    if (order == WeightOrder::kPacked) packed = make_room_for_packed(*opened.model, request.weights, request.is_deterministic);
    if (is_trained) packed = make_room_for_frozen(*opened.model, request.weights);
    const auto to_freeze = is_trained || !device.is_cpu() ? packed : PackedSiteList();
    // A placement says of every parameter without memory where it goes.
    if (order == WeightOrder::kFrozenText && !place) {
      auto pictures = make_room_for_pictures(*opened.model);
      packed.insert(packed.end(), std::make_move_iterator(pictures.begin()), std::make_move_iterator(pictures.end()));
    }
    opened.files = load_weights(*opened.model, checkpoint, progress, cancellation, sources);
    double_quantise(packed, checkpoint);
    opened.info.packed_bytes = packed_bytes(packed);
    if (!to_freeze.empty()) freeze(*opened.model, to_freeze, is_trained);
    describe(opened, dtype);
  }
  watch.read();
  opened.info.peak_bytes = peak_bytes(opened.info.device);
  return opened;
}

}  // namespace facellm
