// The linear layers' weights in the order of the processor's own kernels, for a model that only answers: read from the
// files piece by piece and packed while the processor's cache holds them, so that nothing lies in memory twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "core/cancellation.h"
#include "kernels/cpu/packed_matrix.h"
#include "model/internvl.h"
#include "model/load_request.h"

namespace facellm {

struct PackedSite {
  Linear* linear;
  std::vector<LinearSite::Slice> slices;
  WeightScheme scheme;
};
using PackedSiteList = std::vector<PackedSite>;

// Which weights of `model` are to be packed: those that `forms` has quantised, and of the others, the head among them, all
// that kernels/cpu takes; none of these where the model is not bf16 on a CPU, or for a processor that kernels/cpu does not make
// faster. Makes room for them on the host (Linear::packed); for a model on a GPU they are given to freeze() once filled. Where the
// kernels serve every number of rows, as they do of quantised weights, the layer's own weight becomes a meta tensor, which no
// checkpoint fills. Throws kInvalidArgument for forms that there are not. `is_invariant`: see WeightScheme.
PackedSiteList make_room_for_packed(InternVl& model, const WeightForms& forms, bool is_invariant);
// The same of the text layers that are to be trained upon, whatever the device; nothing where they stay as they are stored. Once
// filled they are given to freeze(). Throws kInvalidArgument for forms of other parts.
PackedSiteList make_room_for_frozen(InternVl& model, const WeightForms& forms);
// Which weights of the image side are to be packed for a run that trains nothing of it, and room for them: in bf16 on a CPU whose
// kernels serve every number of rows, since a tile has more than the others take; else none.
PackedSiteList make_room_for_pictures(InternVl& model);
// Makes what make_room_for_frozen gave, or of a model on a GPU make_room_for_packed, Linear::frozen on the model's device: to be
// trained upon, or to answer alone.
void freeze(InternVl& model, const PackedSiteList& sites, bool is_trained);
// Bytes of that room.
int64_t packed_bytes(const PackedSiteList& packed);

// Rows of a packed weight and the place of a file that they come from.
struct PackedRows {
  const PackedMatrix* matrix;
  int64_t begin, count;
  std::string source;  // the checkpoint's tensor
  at::ScalarType stored;
  int32_t file;
  uint64_t at;  // first byte
  int64_t bytes() const { return count * matrix->inner() * static_cast<int64_t>(c10::elementSize(stored)); }
};

// Fills every matrix that `rows` name, whole, by all threads. `progress` is told the bytes read, by the calling thread.
// Returns the sources that hold NaN or infinity. Throws as Checkpoint::read, and kCancelled; then no matrix is to be used.
std::vector<std::string> pack_weights(const Checkpoint& checkpoint, std::vector<PackedRows> rows,
                                      const std::function<void(int64_t done)>& progress, const Cancellation& cancellation);

}  // namespace facellm
