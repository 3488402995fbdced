// Pieces of whole blocks of rows in file order, of which each thread takes the next one, as in copy_weights.
#include "model/pack_weights.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "core/error.h"
#include "kernels/cpu/isa.h"
#include "layers/frozen_weight.h"
#include "model/product_kernels.h"
#include "model/scan_finite.h"

namespace facellm {
namespace {

// Bytes of the files: what is read must still be in the core's cache when it is packed.
constexpr int64_t kPiece = 512 << 10;
// Pieces that the disk is asked for in advance.
constexpr size_t kAhead = 128;
// Numbers of a weight that is put back part by part to answer: 128 MiB of bf16.
constexpr int64_t kMostScratch = 64 << 20;

// A part of one source within a piece.
struct Stretch {
  const PackedRows* rows;
  int64_t row;    // of the matrix
  int64_t count;
  int64_t bytes(int64_t inner) const { return count * inner * static_cast<int64_t>(c10::elementSize(rows->stored)); }
  uint64_t at(int64_t inner) const {
    return rows->at + static_cast<uint64_t>((row - rows->begin) * inner) * c10::elementSize(rows->stored);
  }
};

struct Piece {
  const PackedMatrix* matrix;
  int64_t begin_block, end_block;
  std::vector<Stretch> stretches;  // all its rows, in order
  int64_t bytes;                   // of the files
};

std::vector<Piece> cut(const std::vector<PackedRows>& rows) {
  std::vector<Piece> pieces;
  for (size_t first = 0, end; first < rows.size(); first = end) {
    const auto* const matrix = rows[first].matrix;
    end = first;
    while (end < rows.size() && rows[end].matrix == matrix) ++end;
    const int64_t inner = matrix->inner(), blocks = matrix->blocks();
    const int64_t step = std::max<int64_t>(1, kPiece / (kBlockRows * inner * 2));
    for (int64_t block = 0; block < blocks; block += step) {
      Piece piece{matrix, block, std::min(block + step, blocks), {}, 0};
      const int64_t from = block * kBlockRows, to = std::min(piece.end_block * kBlockRows, matrix->weight_rows());
      for (size_t i = first; i < end; ++i) {
        const int64_t own_from = std::max(from, rows[i].begin), own_to = std::min(to, rows[i].begin + rows[i].count);
        if (own_from >= own_to) continue;
        piece.stretches.push_back({&rows[i], own_from, own_to - own_from});
        piece.bytes += piece.stretches.back().bytes(inner);
      }
      pieces.push_back(std::move(piece));
    }
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& x, const Piece& y) {
    const auto key = [](const Piece& p) {
      const auto& first = p.stretches[0];
      return std::pair(first.rows->file, first.at(p.matrix->inner()));
    };
    return key(x) < key(y);
  });
  return pieces;
}

// A thread's memory for one piece, as stored and as its matrix wants it.
class Buffers {
 public:
  at::Tensor stored(int64_t rows, int64_t inner, at::ScalarType dtype) { return part(stored_, rows, inner, dtype); }
  at::Tensor wanted(int64_t rows, int64_t inner, at::ScalarType dtype) { return part(wanted_, rows, inner, dtype); }

 private:
  static at::Tensor part(at::Tensor& memory, int64_t rows, int64_t inner, at::ScalarType dtype) {
    const int64_t bytes = rows * inner * static_cast<int64_t>(c10::elementSize(dtype));
    if (!memory.defined() || memory.numel() < bytes) memory = at::empty({bytes}, at::kByte);
    return memory.narrow(0, 0, bytes).view(dtype).view({rows, inner});
  }

  at::Tensor stored_, wanted_;
};

// Calls `is_bad` for each source that holds NaN or infinity.
template <typename IsBad>
void pack_piece(const Checkpoint& checkpoint, const Piece& piece, Buffers& buffers, const IsBad& is_bad) {
  const int64_t inner = piece.matrix->inner();
  const auto wanted_dtype = piece.matrix->source_dtype();
  const int64_t first = piece.begin_block * kBlockRows;
  const int64_t count = std::min(piece.end_block * kBlockRows, piece.matrix->weight_rows()) - first;
  const auto wanted = buffers.wanted(count, inner, wanted_dtype);
  for (const auto& stretch : piece.stretches) {
    const auto own = wanted.narrow(0, stretch.row - first, stretch.count);
    const auto dtype = stretch.rows->stored;
    const auto stored = dtype == wanted_dtype ? own : buffers.stored(stretch.count, inner, dtype);
    checkpoint.read(stretch.rows->file, stretch.at(inner), static_cast<uint64_t>(stretch.bytes(inner)),
                    stored.mutable_data_ptr());
    if (!is_finite(stored.const_data_ptr(), stored.numel(), dtype)) is_bad(stretch.rows->source);
    if (dtype != wanted_dtype) at::Tensor(own).copy_(stored);
  }
  piece.matrix->fill(wanted.const_data_ptr(), piece.begin_block, piece.end_block);
}

WeightScheme parse_scheme(const std::string& name, int64_t group, bool is_invariant, const char* of) {
  WeightScheme scheme{.group = group, .is_invariant = is_invariant, .is_double = name == "nf4-double"};
  static const std::map<std::string, WeightForm> kForms{{"stored", WeightForm::kBf16}, {"int8", WeightForm::kInt8},
                                                        {"int4", WeightForm::kInt4},   {"fp8", WeightForm::kFp8},
                                                        {"nf4", WeightForm::kNf4},     {"nf4-double", WeightForm::kNf4}};
  const auto found = kForms.find(name);
  if (found == kForms.end()) {
    throw Error(ErrorCode::kInvalidArgument, std::string("weights.") + of +
                                                 ": expected stored, int8, int4, fp8, nf4 or nf4-double, got '" + name + "'");
  }
  scheme.form = found->second;
  return scheme;
}

struct Schemes {
  WeightScheme text, head, vision, embeddings;

  // The projector stays as it is stored: 0.4 % of a small model.
  WeightScheme of(const std::string& name, bool is_head) const {
    if (is_head) return head;
    if (name.starts_with("language_model.")) return text;
    return name.starts_with("vision_tower.") ? vision : WeightScheme{};
  }
};

Schemes parse(const WeightForms& forms, bool is_invariant) {
  const int64_t group = forms.group;
  if (group != 32 && group != 64 && group != 128) {
    throw Error(ErrorCode::kInvalidArgument,
                "weights.group: expected 32, 64 or 128, got " + std::to_string(group));
  }
  if (forms.embeddings != "stored" && forms.embeddings != "int8") {
    throw Error(ErrorCode::kInvalidArgument, "weights.embeddings: expected stored or int8, got '" + forms.embeddings + "'");
  }
  return {parse_scheme(forms.text, group, is_invariant, "text"), parse_scheme(forms.head, group, is_invariant, "head"),
          parse_scheme(forms.vision, group, is_invariant, "vision"),
          parse_scheme(forms.embeddings, group, is_invariant, "embeddings")};
}

// Whether weights in bf16 are packed for this model's products.
bool packs_bf16(const InternVl& model) {
  const auto options = model.options();
  return options.device().is_cpu() && options.dtype() == at::kBFloat16 && PackedMatrix::suits(cpu_kernels(), 1);
}

void take_room(PackedSiteList& packed) {
  if (packed.empty()) return;

  const auto memory = std::make_shared<PackedMemory>(static_cast<size_t>(packed_bytes(packed)));
  for (auto& [linear, slices, scheme] : packed) {
    auto& weight = linear->weight;
    const bool is_bf16 = scheme.form == WeightForm::kBf16;
    linear->packed = is_bf16 ? std::make_shared<PackedMatrix>(weight.size(0), weight.size(1), memory, cpu_kernels())
                             : std::make_shared<PackedMatrix>(weight.size(0), weight.size(1), scheme, memory,
                                                              quantised_kernels());
    const bool is_original_needed = is_bf16 && !PackedMatrix::suits_all_rows(cpu_kernels());
    if (!is_original_needed) weight = at::empty(weight.sizes(), weight.options().device(at::kMeta));
  }
}

// Whether embeddings and head are one matrix of 8 bits. Throws kInvalidArgument where they are one and would have two forms.
bool is_one_matrix(const InternVl& model, const Schemes& schemes) {
  if (schemes.embeddings.form == WeightForm::kBf16 || !model.ties_head()) return false;
  if (schemes.head.form == WeightForm::kInt8) return true;
  throw Error(ErrorCode::kInvalidArgument,
              "weights.embeddings: this model's head is its embeddings, one matrix; give head int8, too, or leave both as they are stored");
}

}  // namespace

ProductKernels product_kernels() {
  const auto& kernels = cpu_kernels();
  return {kernels.name, kernels.most_rows == kAnyRows ? -1 : kernels.most_rows,
          quantised_kernels().name};
}

PackedSiteList make_room_for_packed(InternVl& model, const WeightForms& forms, bool is_invariant) {
  const auto schemes = parse(forms, is_invariant);
  const bool packs_stored = packs_bf16(model);
  auto sites = model.linears();
  sites.push_back(model.head());
  PackedSiteList packed;
  for (auto& [linear, slices] : sites) {
    const auto scheme = schemes.of(slices[0].name, linear == sites.back().linear);
    const bool is_taken = scheme.form == WeightForm::kBf16
                              ? packs_stored && PackedMatrix::takes(linear->weight.size(0), linear->weight.size(1))
                              : true;
    if (is_taken) packed.push_back({linear, std::move(slices), scheme});
  }
  // A head that shares the embeddings is the one matrix of both.
  const bool is_shared = is_one_matrix(model, schemes);
  if (schemes.embeddings.form != WeightForm::kBf16 && !is_shared) {
    auto site = model.embeddings();
    packed.push_back({site.linear, std::move(site.slices), schemes.embeddings});
  }
  take_room(packed);
  if (is_shared) *model.embeddings().linear = *model.head().linear;
  return packed;
}

PackedSiteList make_room_for_frozen(InternVl& model, const WeightForms& forms) {
  const auto schemes = parse(forms, false);
  if (schemes.head.form != WeightForm::kBf16 || schemes.vision.form != WeightForm::kBf16 ||
      schemes.embeddings.form != WeightForm::kBf16) {
    throw Error(ErrorCode::kInvalidArgument, "weights: of what is trained upon only the text layers are kept in 8 or 4 bits");
  }
  if (schemes.text.form == WeightForm::kBf16) return {};
  PackedSiteList sites;
  for (auto& [linear, slices] : model.linears()) {
    if (slices[0].name.starts_with("language_model.")) sites.push_back({linear, std::move(slices), schemes.text});
  }
  take_room(sites);
  return sites;
}

PackedSiteList make_room_for_pictures(InternVl& model) {
  PackedSiteList packed;
  if (!packs_bf16(model) || !PackedMatrix::suits_all_rows(cpu_kernels())) return packed;
  for (auto& [linear, slices] : model.linears()) {
    if (slices[0].name.starts_with("language_model.")) continue;
    if (PackedMatrix::takes(linear->weight.size(0), linear->weight.size(1))) packed.push_back({linear, std::move(slices), {}});
  }
  take_room(packed);
  return packed;
}

void freeze(InternVl& model, const PackedSiteList& sites, bool is_trained) {
  // One for the language model, one for the tower, which on a GPU computes beside it.
  const auto is_text = [](const PackedSite& site) { return site.slices[0].name.starts_with("language_model."); };
  for (const bool of_text : {true, false}) {
    int64_t most = 0;
    for (const auto& site : sites) {
      if (is_text(site) == of_text) most = std::max(most, site.linear->packed->weight_rows() * site.linear->packed->inner());
    }
    const auto scratch = std::make_shared<WeightScratch>(is_trained ? most : std::min(most, kMostScratch), model.options(), is_trained);
    for (const auto& site : sites) {
      if (is_text(site) != of_text) continue;
      site.linear->frozen = std::make_shared<const FrozenWeight>(std::move(site.linear->packed), scratch);
      site.linear->packed = nullptr;
    }
  }
  // Embeddings that are the head's matrix.
  auto& embeddings = *model.embeddings().linear;
  if (embeddings.packed) embeddings = *model.head().linear;
}

int64_t packed_bytes(const PackedSiteList& packed) {
  size_t bytes = 0;
  for (const auto& site : packed) {
    bytes += PackedMatrix::bytes(site.linear->weight.size(0), site.linear->weight.size(1), site.scheme);
  }
  return static_cast<int64_t>(bytes);
}

std::vector<std::string> pack_weights(const Checkpoint& checkpoint, std::vector<PackedRows> rows,
                                      const std::function<void(int64_t done)>& progress, const Cancellation& cancellation) {
  const auto pieces = cut(rows);
  const auto prefetch = [&](size_t i) {
    if (i >= pieces.size()) return;
    const int64_t inner = pieces[i].matrix->inner();
    for (const auto& stretch : pieces[i].stretches) {
      const auto begin = stretch.at(inner);
      checkpoint.prefetch(stretch.rows->file, begin, begin + static_cast<uint64_t>(stretch.bytes(inner)));
    }
  };
  for (size_t i = 0; i < kAhead; ++i) prefetch(i);
  std::atomic<size_t> next{0};
  std::atomic<int64_t> done{0};
  int64_t told = 0;
  std::set<std::string> bad;
  std::mutex mutex;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t share, int64_t) {
    const c10::NoGradGuard no_grad;  // holds for one thread only
    Buffers buffers;
    const auto is_bad = [&](const std::string& source) {
      const std::lock_guard lock(mutex);
      bad.insert(source);
    };
    try {
      for (size_t i = next++; i < pieces.size(); i = next++) {
        cancellation.check();
        prefetch(i + kAhead);
        pack_piece(checkpoint, pieces[i], buffers, is_bad);
        done += pieces[i].bytes;
        if (share == 0 && done - told >= kReportBytes) progress(told = done);
      }
    } catch (...) {
      next = pieces.size();  // the other threads end too
      throw;
    }
  });
  cancellation.check();
  if (told < done) progress(done);
  return {bad.begin(), bad.end()};
}

}  // namespace facellm
