#include "lora/export_checkpoint.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>

#include "checkpoint/quantise_weight.h"
#include "checkpoint/safetensors_writer.h"
#include "core/device.h"
#include "core/error.h"
#include "lora/adapter.h"
#include "model/load_weights.h"

namespace facellm {
namespace {

// A block of rows of a stored tensor and what is folded into it.
struct Piece {
  TensorSource source;
  std::optional<QuantisedTensors> quantised;  // in the files
  std::vector<LoraSlice> slices;
};

// Of a weight that is written quantised: made with the first of its tensors, and kept for the others.
struct Scales {
  at::ScalarType dtype;
  at::Tensor values = {};
};

// A tensor to write: one parameter, or q, k and v of the original layout below each other.
struct Output {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  std::vector<Piece> pieces;
  std::string suffix = {};  // of a weight that is written quantised: which of its tensors this is
  std::shared_ptr<Scales> scales = {};
};

using SlicesByParameter = std::map<std::string, std::vector<LoraSlice>>;

SlicesByParameter slices_of(const std::vector<std::shared_ptr<Adapter>>& adapters) {
  SlicesByParameter slices;
  for (const auto& adapter : adapters) {
    for (const auto& member : adapter->members()) {
      slices[member.module + ".weight"].push_back(member.slice);
    }
  }
  return slices;
}

// The tensors of the new checkpoint in the model's order.
std::vector<Output> lay_out(const ExportRequest& request, const Checkpoint& checkpoint,
                            const std::vector<Assignment>& assignments, const SlicesByParameter& slices) {
  std::vector<Output> outputs;
  std::map<std::string, size_t> places;
  for (const auto& [name, target, source, quantised] : assignments) {
    const auto place = request.is_original_layout ? original_tensor(name) : TensorSource{name};
    if (place.name.empty()) {
      throw Error(ErrorCode::kCheckpointInvalid,
                  name + " has no place in the original layout; write the HF layout");
    }
    const auto stored = quantised ? at::kBFloat16 : checkpoint.entries().find(source.name)->second.dtype;
    const auto dtype = request.dtype.empty() ? stored : parse_dtype(request.dtype);
    const auto [entry, is_new] = places.emplace(place.name, outputs.size());
    if (is_new) outputs.push_back({place.name, dtype, target.sizes().vec(), {}});
    auto& output = outputs[entry->second];
    if (!is_new) {
      output.shape[0] += target.size(0);
      output.dtype = c10::promoteTypes(output.dtype, dtype);
    }
    const auto found = slices.find(name);
    output.pieces.push_back({source, quantised, found == slices.end() ? std::vector<LoraSlice>{} : found->second});
  }
  return outputs;
}

// Each of `modules` as the tensors that its quantised weight is.
std::vector<Output> quantised_outputs(std::vector<Output> outputs, const Quantisation& form, const std::set<std::string>& modules) {
  std::vector<Output> result;
  for (auto& output : outputs) {
    const auto module = output.name.substr(0, output.name.rfind('.'));
    if (!output.name.ends_with(".weight") || !modules.contains(module)) {
      result.push_back(std::move(output));
      continue;
    }
    // fp32 keeps fp32 scales; others bf16, as compressed-tensors' own files of such models.
    const auto scales = std::make_shared<Scales>(Scales{output.dtype == at::kFloat ? at::kFloat : at::kBFloat16});
    for (const auto& part : quantised_parts(form, output.shape[0], output.shape[1], scales->dtype)) {
      result.push_back({module + part.suffix, part.dtype, part.shape, output.pieces, part.suffix, scales});
    }
  }
  return result;
}

// Projections of the text layers: what quantised files hold quantised (docs/quantisation.md).
std::set<std::string> quantised_modules(InternVl& model) {
  std::set<std::string> modules;
  for (const auto& site : model.linears()) {
    for (const auto& slice : site.slices) {
      if (slice.name.starts_with("language_model.")) modules.insert(slice.name);
    }
  }
  return modules;
}

int64_t byte_size(const Output& output) {
  int64_t size = static_cast<int64_t>(c10::elementSize(output.dtype));
  for (const int64_t extent : output.shape) size *= extent;
  return size;
}

at::Tensor stored_rows(const Checkpoint& checkpoint, const Quantisation& form, const Piece& piece) {
  const auto& source = piece.source;
  if (piece.quantised) {
    const auto weight = read_quantised(checkpoint, form, *piece.quantised);
    const int64_t count = weight.rows() / source.parts;
    const auto rows = at::empty({count, weight.inner()}, at::kFloat);
    auto* const to = rows.mutable_data_ptr<float>();
    at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
      weight.dequantise(source.part * count + begin, end - begin, to + begin * weight.inner());
    });
    return rows;
  }
  const auto& entry = checkpoint.entries().find(source.name)->second;
  auto shape = entry.shape;
  shape[0] /= source.parts;
  const auto rows = at::empty(shape, at::TensorOptions(entry.dtype));
  const auto bytes = static_cast<uint64_t>(rows.nbytes());
  checkpoint.read(entry.file, entry.begin + static_cast<uint64_t>(source.part) * bytes, bytes,
                  rows.mutable_data_ptr());
  return rows;
}

LoraSlice rows_of(const LoraSlice& slice, int64_t begin, int64_t count) {
  auto block = slice;
  block.b = slice.b.narrow(0, begin, count);
  if (slice.magnitude.defined()) block.magnitude = slice.magnitude.narrow(0, begin, count);
  return block;
}

// Block by block, so that fp32 copies stay small beside the tensor.
void fold(const at::Tensor& weight, const std::vector<LoraSlice>& slices, const at::Tensor& target) {
  constexpr int64_t kBlockElements = int64_t{1} << 24;
  const int64_t rows = weight.size(0);
  const int64_t step = std::max<int64_t>(kBlockElements / std::max<int64_t>(weight.size(1), 1), 1);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    auto block = weight.narrow(0, begin, count);
    for (const auto& slice : slices) block = merged_rows(block, rows_of(slice, begin, count));
    target.narrow(0, begin, count).copy_(block);
  }
}

void require_finite(const at::Tensor& tensor, const std::string& name) {
  if (tensor.numel() == 0) return;
  const auto [least, largest] = at::aminmax(tensor);
  if (at::isfinite(least).item<bool>() && at::isfinite(largest).item<bool>()) return;
  throw Error(ErrorCode::kNonFinite,
              name + " holds NaN or infinity, in the source or after merging; nothing was exported");
}

at::Tensor make(const Output& output, const Checkpoint& checkpoint, const Quantisation& form);

// One of the tensors of a weight that is written quantised, from what it would be in fp32.
at::Tensor make_part(const Output& output, const Checkpoint& checkpoint, const Quantisation& form, const Quantisation& written) {
  Output plain{output.name, at::kFloat, {}, output.pieces};
  const auto rows = stored_rows(checkpoint, form, plain.pieces[0]);
  plain.shape = rows.sizes().vec();
  if (output.suffix == ".weight_shape") return at::tensor({plain.shape[0], plain.shape[1]}, at::kLong);
  const auto weight = make(plain, checkpoint, form);
  auto& [dtype, scales] = *output.scales;
  if (!scales.defined()) scales = quantised_scales(written, weight, dtype);
  return output.suffix == ".weight_scale" ? scales : quantised_codes(written, weight, scales);
}

at::Tensor make(const Output& output, const Checkpoint& checkpoint, const Quantisation& form) {
  const auto& first = output.pieces[0];
  const auto whole = stored_rows(checkpoint, form, first);
  if (output.pieces.size() == 1 && first.slices.empty() && whole.scalar_type() == output.dtype) {
    require_finite(whole, output.name);
    return whole;
  }
  const auto result = at::empty(output.shape, at::TensorOptions(output.dtype));
  int64_t begin = 0;
  for (const auto& piece : output.pieces) {
    const auto rows = stored_rows(checkpoint, form, piece);
    const auto target = result.narrow(0, begin, rows.size(0));
    if (piece.slices.empty()) {
      target.copy_(rows);
    } else {
      fold(rows, piece.slices, target);
    }
    begin += rows.size(0);
  }
  require_finite(result, output.name);
  return result;
}

std::vector<std::vector<Output>> into_shards(std::vector<Output> outputs, int64_t max_bytes) {
  std::vector<std::vector<Output>> shards(1);
  int64_t size = 0;
  for (auto& output : outputs) {
    const int64_t own = byte_size(output);
    if (!shards.back().empty() && size + own > max_bytes) {
      shards.emplace_back();
      size = 0;
    }
    size += own;
    shards.back().push_back(std::move(output));
  }
  for (auto& shard : shards) {
    std::sort(shard.begin(), shard.end(), [](const Output& a, const Output& b) {
      return std::tuple(-static_cast<int64_t>(c10::elementSize(a.dtype)), a.name) <
             std::tuple(-static_cast<int64_t>(c10::elementSize(b.dtype)), b.name);
    });
  }
  return shards;
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  char text[64];
  std::snprintf(text, sizeof(text), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return text;
}

void check_room(int64_t needed, int64_t available, const std::string& directory) {
  constexpr int64_t kHeaders = 1 << 20;  // headers, configuration, tokenizer take a few MB at most
  if (needed + kHeaders <= available) return;
  throw Error(ErrorCode::kRunWrite, "the export takes " + std::to_string(needed) + " bytes, the disk of " +
                                        directory + " has " + std::to_string(available) +
                                        " left; make room or name another folder. Nothing was written");
}

}  // namespace

ExportResult export_checkpoint(const ExportRequest& request, const LoadProgress& progress,
                               const Cancellation& cancellation) {
  const c10::InferenceMode inference;
  const auto& form = request.config.quantisation;
  const auto checkpoint = Checkpoint::open(request.files, request.weight_map, stored_dtypes(form));
  // Names and shapes alone: a model on the meta device has no storage.
  InternVl model(request.config, has_lm_head(request.config, checkpoint), at::Device(at::kMeta), at::kFloat);
  const auto assignments = assign_weights(model.parameters(), checkpoint, form);
  std::vector<std::shared_ptr<Adapter>> adapters;
  for (const auto& [file, spec] : request.adapters) {
    adapters.push_back(Adapter::load(model, spec, Checkpoint::open({file}, {}), at::kFloat));
  }
  auto outputs = lay_out(request, checkpoint, assignments, slices_of(adapters));
  const auto& written = request.quantisation;
  if (!written.format.empty()) {
    if (!is_written(written)) {
      throw Error(ErrorCode::kInvalidArgument, "quantisation: no files of the form " + written.format + " with " +
                                                   std::to_string(written.bits) + " bits are written");
    }
    outputs = quantised_outputs(std::move(outputs), written, quantised_modules(model));
  }
  ExportResult result{{}, 0};
  for (const auto& output : outputs) result.tensor_bytes += byte_size(output);
  check_room(result.tensor_bytes, request.available_bytes, request.directory);

  int64_t done = 0;
  const auto shards = into_shards(std::move(outputs), request.max_shard_bytes);
  for (size_t i = 0; i < shards.size(); ++i) {
    ExportedFile file{shard_name(i, shards.size()), {}};
    std::vector<TensorToWrite> tensors;
    const Output* previous = nullptr;
    const auto finish_previous = [&] {
      if (previous == nullptr) return;
      done += byte_size(*previous);
      progress(done, result.tensor_bytes);
      previous = nullptr;
    };
    for (const auto& output : shards[i]) {
      file.tensors.push_back(output.name);
      tensors.push_back({output.name, output.dtype, output.shape, [&] {
                           finish_previous();
                           cancellation.check();
                           previous = &output;
                           return output.suffix.empty() ? make(output, checkpoint, form)
                                                        : make_part(output, checkpoint, form, written);
                         }});
    }
    write_safetensors(request.directory + "/" + file.name, tensors, {{"format", "pt"}});
    finish_previous();
    result.files.push_back(std::move(file));
  }
  return result;
}

}  // namespace facellm
