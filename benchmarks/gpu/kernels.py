"""The kernels of answering, each beside another way to the same: python3 kernels.py LIBRARY, which is kernels.cu and the kernels, compiled by
nvcc. Each call is a node of a graph, over matrices that no cache holds. Lines as in kernel_rows.py."""

import ctypes

import torch

from kernel_rows import CACHE, error_of, library, microseconds, number, pointer, stream, tell

PRODUCTS = {
    "1b": {"qkv": (896, 1152, False), "o": (896, 896, False), "gate_up": (896, 4864, True), "down": (4864, 896, False), "head": (896, 151674, False)},
    "8b": {"qkv": (3584, 4608, False), "o": (3584, 3584, False), "gate_up": (3584, 18944, True), "down": (18944, 3584, False), "head": (3584, 151674, False)},
}


def product(size, name, rows):
    inner, outputs, gated = PRODUCTS[size][name]
    weights = outputs * (2 if gated else 1)
    copies = max(2, min(64, CACHE // (2 * inner * weights)))
    w = [torch.randn(weights, inner, dtype=torch.bfloat16, device="cuda") * inner**-0.5 for _ in range(copies)]
    x = torch.randn(rows, inner, dtype=torch.bfloat16, device="cuda")
    out = torch.empty(rows, outputs, dtype=torch.bfloat16, device="cuda")

    def ours(i):
        library.few_rows(pointer(x), pointer(w[i]), pointer(out), number(rows), number(inner), number(outputs), ctypes.c_bool(gated), stream())

    def theirs(i):
        y = torch.nn.functional.linear(x, w[i])
        return torch.nn.functional.silu(y[:, :outputs]) * y[:, outputs:] if gated else y

    ours(0)
    y = x.float() @ w[0].float().T
    truth = torch.nn.functional.silu(y[:, :outputs]) * y[:, outputs:] if gated else y
    error = error_of(out, truth)
    mine, torchs = microseconds(ours, copies), microseconds(theirs, copies)
    tell(f"{size} {name}, {rows} row(s)", mine, "libtorch", torchs, 2 * inner * weights, error)


def normed(name, rows):
    """Of the 1B: a norm and what follows it in one kernel, beside one kernel an operation."""
    inner, outputs, gated = PRODUCTS["1b"][name]
    weights = outputs * (2 if gated else 1)
    copies = min(64, CACHE // (2 * inner * weights))
    make = lambda *shape: torch.randn(*shape, dtype=torch.bfloat16, device="cuda")
    w = [make(weights, inner) * inner**-0.5 for _ in range(copies)]
    residual, delta, norm = make(rows, inner), make(rows, inner), make(inner)
    cos, sin, slots = make(rows, 64), make(rows, 64), torch.arange(rows, dtype=torch.int64, device="cuda")
    places = [[torch.zeros(*shape, dtype=torch.bfloat16, device="cuda") for shape in ((rows, inner), (rows, inner), (rows, outputs), (2, 64, 64), (2, 64, 64), (14, rows, 64))] for _ in range(2)]
    heads = None if gated else (number * 4)(14, 2, 64, 64)

    def work(is_fused):
        sum, normalised, product, keys, values, q = places[is_fused]
        def run(i):
            library.normed(*map(pointer, (residual, delta, norm, sum, normalised, w[i], product)), number(rows), number(inner), number(outputs), heads, *map(pointer, (cos, sin, slots, keys, values, q)), ctypes.c_bool(is_fused), stream())
        return run

    work(False)(0), work(True)(0)
    same = all(torch.equal(places[0][i], places[1][i]) for i in ((0, 2) if gated else (0, 3, 4, 5)))
    tell(f"1b norm and {name}{'' if gated else ', rotation, cache'}, {rows} row(s)", microseconds(work(True), copies), "a kernel an operation", microseconds(work(False), copies), 2 * inner * weights, 0 if same else 1)


def gates(rows, size):
    copies = max(2, min(64, CACHE // (6 * rows * size)))
    gate_up = [torch.randn(rows, 2 * size, dtype=torch.bfloat16, device="cuda") for _ in range(copies)]
    outs = [torch.empty(rows, size, dtype=torch.bfloat16, device="cuda") for _ in range(copies)]
    ours = lambda i: library.swiglu(pointer(gate_up[i]), pointer(outs[i]), number(rows), number(size), stream())
    theirs = lambda i: torch.nn.functional.silu(gate_up[i][:, :size]) * gate_up[i][:, size:]
    ours(0)
    truth = torch.nn.functional.silu(gate_up[0][:, :size].float()) * gate_up[0][:, size:].float()
    error = error_of(outs[0], truth)
    tell(f"SwiGLU of {rows} x {size}", microseconds(ours, copies), "libtorch", microseconds(theirs, copies), 6 * rows * size, error)


def patches(tiles):
    """Of the released models: bytes to normalised patch rows, and what follows their projection."""
    side, patch, width = 32, 14, 1024
    size, count, row = side * patch, side * side, 3 * patch * patch
    mean, std = [255 * x for x in (0.485, 0.456, 0.406)], [255 * x for x in (0.229, 0.224, 0.225)]
    copies = max(2, min(64, CACHE // (tiles * count * row)))
    pixels = [torch.randint(0, 256, (tiles, 3, size, size), dtype=torch.uint8, device="cuda") for _ in range(copies)]
    out = torch.empty(tiles, count, row, dtype=torch.bfloat16, device="cuda")
    numbers, scale = (number * 3)(tiles, side, patch), (ctypes.c_float * 6)(*mean, *std)
    means, stds = (torch.tensor(x, device="cuda").view(1, 3, 1, 1) for x in (mean, std))
    ours = lambda i: library.patchify(pointer(pixels[i]), pointer(out), numbers, scale, stream())
    theirs = lambda i: ((pixels[i].float() - means) / stds).bfloat16().view(tiles, 3, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5).reshape(tiles, count, row)
    ours(0)
    same = torch.equal(out, theirs(0))
    tell(f"patch rows of {tiles} tile(s)", microseconds(ours, copies), "libtorch", microseconds(theirs, copies), 3 * out.numel(), 0 if same else 1)

    make = lambda *shape: torch.randn(*shape, dtype=torch.bfloat16, device="cuda")
    copies = max(2, min(64, CACHE // (2 * tiles * count * width)))
    products, token, positions = [make(tiles, count, width) for _ in range(copies)], make(1, 1, width), make(1, count + 1, width)
    embedded = torch.empty(tiles, count + 1, width, dtype=torch.bfloat16, device="cuda")
    ours = lambda i: library.embed_patches(*map(pointer, (products[i], token, positions, embedded)), number(tiles), number(count), number(width), stream())
    theirs = lambda i: torch.cat([token.expand(tiles, 1, width), products[i]], 1) + positions
    ours(0)
    same = torch.equal(embedded, theirs(0))
    tell(f"class token and positions of {tiles} tile(s)", microseconds(ours, copies), "libtorch", microseconds(theirs, copies), 4 * embedded.numel() + 2 * positions.numel(), 0 if same else 1)


FORMS = {"int8": 1, "int4": 2}  # of WeightForm


def packed(form, rows, inner, group):
    """Blocks of random codes (native/kernels/common/weight_blocks.h), with scales that make weights of a usual size."""
    blocks = (rows + 31) // 32
    scale = inner**-0.5 / (64 if form == "int8" else 4)
    if form == "int8":
        made = torch.randint(0, 256, (blocks, 256 + inner // 4 * 128), dtype=torch.uint8, device="cuda")
        made[:, :128] = torch.full((blocks, 32), scale, device="cuda").view(torch.uint8)
        return made
    made = torch.randint(0, 256, (blocks, inner // group, 64 + group * 16), dtype=torch.uint8, device="cuda")
    made[:, :, :64] = torch.full((blocks, inner // group, 32), scale, dtype=torch.float16, device="cuda").view(torch.uint8)
    return made.view(blocks, -1)


def quantised(size, name, form, rows):
    inner, outputs, gated = PRODUCTS[size][name]
    weights, group = outputs * (2 if gated else 1), 64 if size == "1b" else 128
    copies = max(2, min(64, CACHE // (inner * weights // (1 if form == "int8" else 2))))
    w = [packed(form, weights, inner, group) for _ in range(copies)]
    x = torch.randn(rows, inner, dtype=torch.bfloat16, device="cuda")
    out = torch.empty(rows, outputs, dtype=torch.bfloat16, device="cuda")
    shape = (number * 5)(rows, inner, outputs, w[0].shape[1], group)

    def ours(i):
        library.quantised(FORMS[form], pointer(x), pointer(w[i]), pointer(out), shape, ctypes.c_bool(gated), stream())

    exact = torch.empty(weights, inner, device="cuda")
    library.dequantise(FORMS[form], pointer(w[0]), pointer(exact), (number * 4)(weights, inner, w[0].shape[1], group), ctypes.c_bool(False), stream())
    ours(0)
    y = x.float() @ exact.T
    truth = torch.nn.functional.silu(y[:, :outputs]) * y[:, outputs:] if gated else y
    error = error_of(out, truth)
    stored = [exact.bfloat16() for _ in range(max(2, min(64, CACHE // (2 * inner * weights))))]

    def theirs(i):
        y = torch.nn.functional.linear(x, stored[i % len(stored)])
        return torch.nn.functional.silu(y[:, :outputs]) * y[:, outputs:] if gated else y

    tell(f"{size} {name} in {form}, {rows} row(s)", microseconds(ours, copies), "libtorch in bf16", microseconds(theirs, copies), w[0].nbytes, error)


def put_back(size, name, form):
    """Of many rows: a weight as bf16, beside copying so much memory."""
    inner, outputs, gated = PRODUCTS[size][name]
    weights, group = outputs * (2 if gated else 1), 64 if size == "1b" else 128
    w = [packed(form, weights, inner, group) for _ in range(4)]
    out = torch.empty(weights, inner, dtype=torch.bfloat16, device="cuda")
    shape = (number * 4)(weights, inner, w[0].shape[1], group)
    work = lambda i: library.dequantise(FORMS[form], pointer(w[i]), pointer(out), shape, ctypes.c_bool(True), stream())
    source = torch.empty(w[0].nbytes + out.nbytes, dtype=torch.uint8, device="cuda")
    half = source.numel() // 2
    copy = lambda i: source[:half].copy_(source[half : 2 * half])
    tell(f"{size} {name} put back from {form}", microseconds(work, 4), "copying as many bytes", microseconds(copy, 4), w[0].nbytes + out.nbytes, 0)


PARTS = {"1b": {"qkv": (896, 128, 128), "gate_up": (4864, 4864)}, "8b": {"qkv": (3584, 512, 512), "gate_up": (18944, 18944)}}


def low_rank(size, name, stacks, rows, rank=16):
    """What adapters add to a product's output, for rows of several stacks at once, beside libtorch's two products of each part."""
    inner, outputs, _ = PRODUCTS[size][name]
    columns = PARTS[size].get(name, (outputs,))
    total, ranks = sum(columns), rank * len(columns)
    make = lambda *shape: torch.randn(*shape, dtype=torch.bfloat16, device="cuda")
    size_of_one = 2 * stacks * (ranks * inner + rank * total)
    copies = max(2, min(64, CACHE // size_of_one))
    a = [[make(ranks, inner) * inner**-0.5 for _ in range(stacks)] for _ in range(copies)]
    b = [[[make(n, rank) * rank**-0.5 for n in columns] for _ in range(stacks)] for _ in range(copies)]
    x, out, before = make(stacks * rows, inner), make(stacks * rows, total), make(stacks * rows, total)
    u = make(stacks * rows, ranks)
    numbers = (number * (6 + len(columns)))(stacks, rows, inner, total, rank, len(columns), *columns)
    pointers = lambda tensors: (ctypes.c_void_p * len(tensors))(*[t.data_ptr() for t in tensors])
    of_a = [pointers(one) for one in a]
    of_b = [pointers([part for stack in one for part in stack]) for one in b]
    begins = [sum(columns[:i]) for i in range(len(columns))]

    def ours(i):
        library.low_rank(pointer(x), pointer(u), pointer(out), of_a[i], of_b[i], numbers, stream())

    def theirs(i):
        for s in range(stacks):
            own = slice(s * rows, (s + 1) * rows)
            y = x[own] @ a[i][s].T
            for p, n in enumerate(columns):
                out[own, begins[p] : begins[p] + n].addmm_(y[:, p * rank : (p + 1) * rank], b[i][s][p].T, alpha=2)

    out.copy_(before)
    ours(0)
    truth = before.float()
    for s in range(stacks):
        own = slice(s * rows, (s + 1) * rows)
        y = x[own].float() @ a[0][s].float().T
        for p, n in enumerate(columns):
            truth[own, begins[p] : begins[p] + n] += 2 * y[:, p * rank : (p + 1) * rank] @ b[0][s][p].float().T
    error = error_of(out, truth)
    tell(f"{size} {name}, {stacks} stack(s) of adapters, {rows} row(s) each", microseconds(ours, copies), "libtorch", microseconds(theirs, copies), size_of_one, error)


def attention(size, rows, context, splits):
    heads, kv, width = {"1b": (14, 2, 64), "8b": (28, 4, 128)}[size]
    block, blocks = 64, (context + 63) // 64
    slots = rows * blocks * block
    copies = max(2, min(24, CACHE // (4 * kv * slots * width)))
    make = lambda *shape: torch.randn(*shape, dtype=torch.bfloat16, device="cuda")
    q, out = make(heads, rows, width), torch.empty(rows, heads * width, dtype=torch.bfloat16, device="cuda")
    pools = [(make(kv, slots, width), make(kv, slots, width)) for _ in range(copies)]
    table = torch.randperm(rows * blocks, device="cuda").int().view(rows, blocks)
    lengths = torch.full((rows,), context, dtype=torch.int64, device="cuda")
    parts = [torch.empty(rows * heads * splits * n, device="cuda") for n in (width, 1, 1)]
    shape = (number * 12)(rows, heads, kv, width, slots, block, blocks, splits, slots * width, width, slots * width, width)

    def run(by_groups):
        def work(i):
            k, v = pools[i]
            library.paged_decode(*map(pointer, (q, k, v, table, lengths, *parts, out)), shape, ctypes.c_bool(by_groups), stream())
        return work

    rows_of = (table.long()[:, :, None] * block + torch.arange(block, device="cuda")).view(rows, -1)[:, :context]
    k, v = (x[:, rows_of].permute(1, 0, 2, 3).repeat_interleave(heads // kv, 1).float() for x in pools[0])
    truth = torch.nn.functional.scaled_dot_product_attention(q.permute(1, 0, 2)[:, :, None].float(), k, v).view(rows, -1)
    run(True)(0)
    error = error_of(out, truth)
    tell(f"{size} attention, {rows} row(s) behind {context}, {splits} split(s)", microseconds(run(True), copies),
         "the kernel for all heads", microseconds(run(False), copies), 4 * kv * rows * context * width, error)


for rows in (1, 8):
    normed("qkv", rows)
    normed("gate_up", rows)
gates(316, 4864)
for tiles in (1, 13):
    patches(tiles)
for size in PRODUCTS:
    for name in PRODUCTS[size]:
        for rows in (1, 8, 16):
            if (size, name) != ("8b", "down"):
                product(size, name, rows)
    for form in FORMS:
        for name in PRODUCTS[size]:
            for rows in (1, 8, 16, 64):
                quantised(size, name, form, rows)
        put_back(size, "gate_up", form)
    for name in ("qkv", "gate_up", "down"):
        for stacks, rows in ((1, 1), (8, 1), (2, 4), (1, 16)):
            low_rank(size, name, stacks, rows)
    for rows, context, splits in ((1, 380, 32), (8, 380, 16), (64, 380, 2), (64, 4096, 2), (1, 4096, 32)):
        attention(size, rows, context, splits)
