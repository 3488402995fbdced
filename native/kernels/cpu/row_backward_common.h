// The gradients of row_kernels.h, included by each unit behind row_kernels_common.h into a namespace without a name. All in fp32, rounded
// once where nothing else is said.

// Of y = w xhat, xhat = r x, r = (mean(x^2) + eps)^-1/2, with g = w dy: dx = r (g - xhat mean(g xhat)) + what comes to x besides.
template <typename T>
void norm_backward_rows(const NormBackwardRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size;
  const auto* const weight = static_cast<const T*>(rows->weight);
  for (int64_t i = begin; i < end; ++i) {
    const auto* const x = static_cast<const T*>(rows->sum) + i * size;
    const auto* const dy = static_cast<const T*>(rows->of_normalised) + i * size;
    const auto* const other = rows->of_sum == nullptr ? nullptr : static_cast<const T*>(rows->of_sum) + i * size;
    auto* const out = static_cast<T*>(rows->out) + i * size;
    Lanes squares{}, products{};
    for (int64_t k = 0; k < size; k += kLanes) {
      const int64_t left = size - k;
      const Lanes own = load(x + k, left);
      squares = squares + own * own;
      products = products + load(dy + k, left) * load(weight + k, left) * own;
    }
    const auto count = static_cast<float>(size);
    const float mean = total(squares) / count + rows->eps, scale = 1 / __builtin_sqrtf(mean);
    const float share = total(products) / count / mean;
    for (int64_t k = 0; k < size; k += kLanes) {
      const int64_t left = size - k;
      Lanes dx = (load(dy + k, left) * load(weight + k, left) - load(x + k, left) * share) * scale;
      if (other != nullptr) dx = dx + load(other + k, left);
      store(out + k, dx, left);
    }
  }
}

void add_rms_norm_backward(const NormBackwardRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? norm_backward_rows<Bf16>(rows, begin, end) : norm_backward_rows<float>(rows, begin, end);
}

// Of y = silu(g) u, with s = 1 / (1 + e^-g): dg = dy u s (1 + g (1 - s)), du = dy g s.
template <typename T>
void gate_backward_rows(const GateBackwardRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size;
  for (int64_t i = begin; i < end; ++i) {
    const auto* const gate = static_cast<const T*>(rows->gate_up) + i * rows->stride;
    const auto* const dy = static_cast<const T*>(rows->of_out) + i * size;
    auto* const out = static_cast<T*>(rows->out) + i * 2 * size;
    for (int64_t k = 0; k < size; k += kLanes) {
      const int64_t left = size - k;
      const Lanes g = load(gate + k, left), d = load(dy + k, left);
      // By e^-|g|, which is never too large; neither s nor 1 - s is a difference.
      const Lanes small = exponential(where_negative(g, g, -g)), all = small + 1;
      const Lanes larger_part = (Lanes{} + 1) / all, smaller_part = small / all;
      const Lanes s = where_negative(g, smaller_part, larger_part), rest = where_negative(g, larger_part, smaller_part);
      store(out + k, d * load(gate + size + k, left) * s * (g * rest + 1), left);
      store(out + size + k, d * (g * s), left);
    }
  }
}

void swiglu_backward(const GateBackwardRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? gate_backward_rows<Bf16>(rows, begin, end) : gate_backward_rows<float>(rows, begin, end);
}

// The other way round: products are rounded, as in rotate().
template <typename T>
void rotate_back(T* to, const T* head, const T* cos, const T* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i;
    const Lanes first = load(head + i, left), second = load(head + half + i, left);
    store(to + i, rounded<T>(first * load(cos + i, left)) + rounded<T>(second * load(sin + half + i, left)), left);
    store(to + half + i, rounded<T>(second * load(cos + half + i, left)) + rounded<T>(-first * load(sin + i, left)), left);
  }
}

template <typename T>
void rope_backward_rows(const RopeBackwardRows* rows, int64_t begin, int64_t end) {
  const int64_t dim = rows->head_dim, heads = rows->heads, kv_heads = rows->kv_heads;
  for (int64_t t = begin; t < end; ++t) {
    auto* const token = static_cast<T*>(rows->out) + t * (heads + 2 * kv_heads) * dim;
    const auto* const cos = static_cast<const T*>(rows->cos) + t * dim;
    const auto* const sin = static_cast<const T*>(rows->sin) + t * dim;
    for (int64_t h = 0; h < heads; ++h) {
      rotate_back(token + h * dim, static_cast<const T*>(rows->of_q) + h * rows->q_head + t * rows->q_token, cos, sin, dim / 2);
    }
    for (int64_t h = 0; h < kv_heads; ++h) {
      rotate_back(token + (heads + h) * dim, static_cast<const T*>(rows->of_keys) + h * rows->key_head + t * rows->key_token, cos, sin,
                  dim / 2);
      __builtin_memcpy(token + (heads + kv_heads + h) * dim,
                       static_cast<const T*>(rows->of_values) + h * rows->value_head + t * rows->value_token,
                       static_cast<size_t>(dim) * sizeof(T));
    }
  }
}

void rope_backward(const RopeBackwardRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? rope_backward_rows<Bf16>(rows, begin, end) : rope_backward_rows<float>(rows, begin, end);
}

// Numbers whose sum is one term of the sum over a row: chains of a vocabulary's length would lose digits.
constexpr int64_t kTerm = 64 * kLanes;

template <typename T>
void cross_entropy_rows(const CrossEntropyRows* rows, int64_t begin, int64_t end) {
  const int64_t size = rows->size, wide = size / kLanes * kLanes;
  for (int64_t i = begin; i < end; ++i) {
    auto* const logits = static_cast<T*>(rows->logits) + i * size;
    const int64_t label = rows->labels[i];
    Lanes most = Lanes{} - __builtin_inff();
    for (int64_t k = 0; k < wide; k += kLanes) most = larger(load(logits + k), most);
    float v[kLanes];
    store(v, most);
    float largest = v[0];
    for (int64_t k = 1; k < kLanes; ++k) largest = v[k] > largest ? v[k] : largest;
    float left[kLanes], of_label[kLanes];
    store(left, load(logits + wide, size - wide));
    for (int64_t k = 0; k < size - wide; ++k) largest = left[k] > largest ? left[k] : largest;
    store(of_label, load(logits + label, 1));
    rows->distances[i] = largest - of_label[0];

    Lanes sum{};
    for (int64_t first = 0; first < wide; first += kTerm) {
      Lanes term{};
      for (int64_t k = first; k < wide && k < first + kTerm; k += kLanes) term = term + exponential(load(logits + k) - largest);
      sum = sum + term;
    }
    store(v, exponential(load(left) - largest));
    float all = total(sum);
    for (int64_t k = 0; k < size - wide; ++k) all += v[k];
    rows->totals[i] = all;
    if (rows->scales == nullptr) continue;

    const float scale = rows->scales[i], share = scale / all;
    for (int64_t k = 0; k < size; k += kLanes) store(logits + k, exponential(load(logits + k, size - k) - largest) * share, size - k);
    // Of p - 1, rounded once.
    store(v, exponential(load(of_label) - largest) * share - scale);
    store(logits + label, load(v), 1);
  }
}

void cross_entropy(const CrossEntropyRows* rows, int64_t begin, int64_t end) {
  return rows->is_bf16 ? cross_entropy_rows<Bf16>(rows, begin, end) : cross_entropy_rows<float>(rows, begin, end);
}
