#include "generation/step_batch.h"

#include <algorithm>
#include <cstring>

#include "generation/check_request.h"
#include "generation/choice_tree.h"
#include "layers/invariant_attention.h"

namespace facellm {
namespace {

class Packer {
 public:
  Packer(const InternVl& model, const KvPool& pool, const RowFill& fill) : model_(model), pool_(pool), fill_(fill) {}

  void add(const RowShare& share) {
    const auto& row = *share.row;
    const auto begin = static_cast<int64_t>(ids_.size());
    Segment segment{begin, share.tokens, row.computed + share.tokens, -1, {}, {}};
    place(row, segment);
    if (share.choices.empty()) {
      for (int64_t t = row.computed; t < segment.kv_length; ++t) {
        ids_.push_back(row.ids[static_cast<size_t>(t)]);
        positions_.push_back(t);
      }
    } else {
      const auto tree = lay_out(std::get<Choosing>(row.request->work).request, share.choices);
      ids_.insert(ids_.end(), tree.ids.begin(), tree.ids.end());
      for (const int64_t depth : tree.depths) positions_.push_back(row.computed + depth);
      segment.mask = tree_mask(tree, row.computed, model_.options().device());
    }
    if (is_single(share)) singles_.push_back(segments_.size());
    rows_.push_back(&row);
    segments_.push_back(std::move(segment));
  }

  StepBatch finish(const std::vector<RowShare>& shares) {
    const auto device = model_.options().device();
    fill_up();
    const auto tokens = static_cast<int64_t>(ids_.size());
    // One transfer for everything that is a number a token.
    auto numbers = std::move(ids_);
    numbers.insert(numbers.end(), positions_.begin(), positions_.end());
    numbers.insert(numbers.end(), slots_.begin(), slots_.end());
    // On a GPU one row alone goes the way of the others.
    const bool has_singles = singles_.size() > (device.is_cpu() ? 0 : 1);
    if (has_singles) append_singles(numbers);
    const auto on_device = at::tensor(numbers, at::kLong).to(device);
    StepBatch batch;
    batch.embeddings = model_.language_model().embed(on_device.narrow(0, 0, tokens));
    for (size_t i = 0; i < shares.size(); ++i) put_pictures(shares[i], segments_[i], batch.embeddings);
    batch.positions = on_device.narrow(0, tokens, tokens);
    batch.slots = on_device.narrow(0, 2 * tokens, tokens);
    batch.is_invariant = is_invariant();
    if (batch.is_invariant) {
      complete_invariant_masks(segments_, model_.config().text.head_dim, model_.options());
    } else {
      complete_masks(segments_, device);
    }
    if (has_singles) batch.singles = take_singles(on_device.narrow(0, 3 * tokens, on_device.size(0) - 3 * tokens));
    batch.segments = std::move(segments_);
    return batch;
  }

 private:
  bool is_invariant() const { return fill_.multiple > 1; }

  // A row that goes on by one token, where a kernel serves such rows together (kernels/paged_decode_attention).
  bool is_single(const RowShare& share) const {
    const auto& text = model_.config().text;
    const bool takes = model_.options().device().is_cpu() ||
                       takes_decode_heads(text.num_attention_heads, text.num_key_value_heads, text.head_dim);
    return takes && share.tokens == 1 && share.choices.empty() && !is_invariant();
  }

  int64_t most_blocks() const {
    size_t most = 0;
    for (const size_t i : singles_) most = std::max(most, rows_[i]->blocks.blocks().size());
    return static_cast<int64_t>(most + most % 2);  // two numbers of a table in one of the transfer
  }

  // Their places, lengths and block tables.
  void append_singles(std::vector<int64_t>& numbers) const {
    for (const size_t i : singles_) numbers.push_back(segments_[i].begin);
    for (const size_t i : singles_) numbers.push_back(segments_[i].kv_length);
    const auto blocks = static_cast<size_t>(most_blocks());
    std::vector<int32_t> table(singles_.size() * blocks, 0);
    for (size_t r = 0; r < singles_.size(); ++r) {
      const auto& own = rows_[singles_[r]]->blocks.blocks();
      std::copy(own.begin(), own.end(), table.begin() + static_cast<std::ptrdiff_t>(r * blocks));
    }
    const size_t begin = numbers.size();
    numbers.resize(begin + table.size() / 2);
    std::memcpy(numbers.data() + begin, table.data(), table.size() * sizeof(int32_t));
  }

  // From what append_singles() gave, on the device. Their segments are not needed any more.
  SingleTokens take_singles(const at::Tensor& numbers) {
    const auto count = static_cast<int64_t>(singles_.size());
    SingleTokens result{numbers.narrow(0, 0, count), {}};
    const int64_t blocks = most_blocks();
    const auto table = numbers.narrow(0, 2 * count, count * blocks / 2).view(at::kInt).view({count, blocks});
    result.rows = {table, numbers.narrow(0, count, count), pool_.block_size(),
                   numbers.is_cpu() ? 1 : decode_splits(count, model_.config().text.num_key_value_heads)};
    for (auto i = singles_.rbegin(); i != singles_.rend(); ++i) segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(*i));
    if (segments_.empty()) result.places = at::Tensor();
    return result;
  }

  void fill_up() {
    for (int64_t slot = fill_.spare_slot + 1; static_cast<int64_t>(ids_.size()) % fill_.multiple != 0; ++slot) {
      ids_.push_back(0);
      positions_.push_back(0);
      slots_.push_back(slot);
    }
  }

  // Slots of the new tokens, and of all that they may see.
  void place(const Row& row, Segment& segment) {
    const int64_t size = pool_.block_size();
    const auto& blocks = row.blocks.blocks();
    const auto slot = [&](int64_t t) { return blocks[static_cast<size_t>(t / size)] * size + t % size; };
    for (int64_t t = row.computed; t < segment.kv_length; ++t) slots_.push_back(slot(t));
    bool is_in_line = true;
    for (int64_t b = 1; b * size < segment.kv_length; ++b) {
      is_in_line = is_in_line && blocks[static_cast<size_t>(b)] == blocks[static_cast<size_t>(b) - 1] + 1;
    }
    if (is_in_line && !is_invariant()) {
      segment.first_slot = slot(0);
      return;
    }
    std::vector<int64_t> all;
    for (int64_t t = 0; t < segment.kv_length; ++t) all.push_back(slot(t));
    while (is_invariant() && all.size() % kKeyStretch != 0) all.push_back(fill_.spare_slot);
    segment.slots = at::tensor(all, at::kLong).to(model_.options().device());
  }

  // The k-th placeholder of a prompt receives the k-th vector of its pictures.
  void put_pictures(const RowShare& share, const Segment& segment, const at::Tensor& embeddings) const {
    const auto& request = *share.row->request;
    const int64_t end = std::min(share.row->computed + share.tokens, request.prompt_tokens());
    for (int64_t t = share.row->computed; t < end;) {
      const auto at_token = static_cast<size_t>(t);
      const int32_t picture = request.picture_of[at_token];
      int64_t count = 1;
      while (t + count < end && request.picture_of[static_cast<size_t>(t + count)] == picture) ++count;
      if (picture >= 0) {
        const auto& features = request.pictures[static_cast<size_t>(picture)].features;
        embeddings.narrow(0, segment.begin + t - share.row->computed, count)
            .copy_(features.narrow(0, request.place_of[at_token], count));
      }
      t += count;
    }
  }

  const InternVl& model_;
  const KvPool& pool_;
  const RowFill& fill_;
  std::vector<int64_t> ids_, positions_, slots_;
  std::vector<Segment> segments_;
  std::vector<const Row*> rows_;  // of the segments
  std::vector<size_t> singles_;   // segments of one token that a kernel serves together
};

}  // namespace

void locate_placeholders(const InternVlConfig& config, const Prompt& prompt, ActiveRequest& request) {
  int32_t picture = 0, place = 0;
  for (const int32_t id : prompt.ids) {
    const bool is_placeholder = id == config.image_token_id;
    request.picture_of.push_back(is_placeholder ? picture : -1);
    request.place_of.push_back(place);
    if (is_placeholder && ++place == image_tokens(config, request.pictures[static_cast<size_t>(picture)].input)) {
      ++picture;
      place = 0;
    }
  }
}

StepBatch make_step_batch(const InternVl& model, const KvPool& pool, const std::vector<RowShare>& shares,
                          const RowFill& fill) {
  Packer packer(model, pool, fill);
  for (const auto& share : shares) packer.add(share);
  return packer.finish(shares);
}

}  // namespace facellm
