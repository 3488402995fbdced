"""The kernels of learning, each beside libtorch: python3 learning_kernels.py LIBRARY, as kernels.py. Calls take turns over copies of all that they read
and write, so that no cache holds it. Autograd's own backward passes run on the stream of the forward pass, which no graph captures: they are
launched one by one."""

import torch

from kernel_rows import CACHE, error_of, library, microseconds, microseconds_eagerly, number, pointer, stream, tell

make = lambda *shape: torch.randn(*shape, dtype=torch.bfloat16, device="cuda")


def backward(name, inputs_of, forward, ours, numbers):
    """The gradient of the first input; `numbers`: so many of bf16 are read and written at least. ours(inputs, gradient, out)."""
    copies = max(2, min(64, CACHE // (2 * numbers)))
    inputs = [inputs_of() for _ in range(copies)]
    leaves = [[x.detach().requires_grad_(i == 0) for i, x in enumerate(one)] for one in inputs]
    with torch.enable_grad():
        results = [forward(*one) for one in leaves]
    grads, outs = [torch.randn_like(y) for y in results], [torch.empty_like(one[0]) for one in inputs]
    work = lambda i: ours(inputs[i], grads[i], outs[i])
    theirs = lambda i: torch.autograd.grad(results[i], leaves[i][0], grads[i], retain_graph=True)
    wide = [x.detach().float().requires_grad_(i == 0) for i, x in enumerate(inputs[0])]
    with torch.enable_grad():
        (truth,) = torch.autograd.grad(forward(*wide), wide[0], grads[0].float())
    work(0)
    error = error_of(outs[0], truth)
    tell(f"{name}, backward", microseconds(work, copies), "autograd, without a graph", microseconds_eagerly(theirs, copies), 2 * numbers, error)


def gates(rows, size):
    forward = lambda x: torch.nn.functional.silu(x[:, :size]) * x[:, size:]
    ours = lambda inputs, grad, out: library.swiglu_backward(*map(pointer, (*inputs, grad, out)), number(rows), number(size), stream())
    backward(f"SwiGLU of {rows} x {size}", lambda: [make(rows, 2 * size)], forward, ours, 5 * rows * size)


def norm(rows, hidden):
    forward = lambda x, w: torch.nn.functional.rms_norm(x, (hidden,), w, 1e-6)
    ours = lambda inputs, grad, out: library.norm_backward(*map(pointer, (*inputs, grad, out)), number(rows), number(hidden), stream())
    backward(f"RMSNorm of {rows} x {hidden}", lambda: [make(rows, hidden), make(hidden)], forward, ours, 3 * rows * hidden)


def rotation(rows, heads, kv, width):
    size = (heads + 2 * kv) * width

    def forward(x, c, s, _):
        h = x.view(rows, -1, width)[:, : heads + kv]
        return h * c[:, None] + torch.cat((-h[..., width // 2 :], h[..., : width // 2]), -1) * s[:, None]

    # The gradient of values is passed on: without one, zeros.
    zeros = lambda: torch.zeros(rows, kv, width, dtype=torch.bfloat16, device="cuda")
    inputs_of = lambda: [make(rows, size), make(rows, width), make(rows, width), zeros()]
    shape = (number * 4)(rows, heads, kv, width)
    ours = lambda inputs, grad, out: library.rope_backward(*map(pointer, (grad, inputs[3], inputs[1], inputs[2], out)), shape, stream())
    backward(f"rotation of {rows} x {heads} heads", inputs_of, forward, ours, 2 * rows * size)


def cross_entropy(rows, vocabulary):
    """A row of logits is read twice, the second time from a cache where it fits: what must be is one reading and one writing."""
    copies = max(2, CACHE // (2 * rows * vocabulary))
    logits = [make(rows, vocabulary) * 3 for _ in range(copies)]
    labels, scales, losses = torch.randint(vocabulary, (rows,), device="cuda"), torch.full((rows,), 1 / rows, device="cuda"), torch.empty(rows, device="cuda")
    own = [x.clone() for x in logits]
    work = lambda i: library.cross_entropy(*map(pointer, (own[i], labels, scales, losses)), number(rows), number(vocabulary), stream())
    one_hot = lambda gradient: gradient.scatter_add_(1, labels[:, None], torch.full((rows, 1), -1.0, device="cuda"))

    def theirs(i):
        wide = logits[i].float()
        return torch.nn.functional.cross_entropy(wide, labels), one_hot(torch.softmax(wide, 1)).mul_(scales[:, None]).bfloat16()

    work(0)
    error = error_of(own[0], one_hot(torch.softmax(logits[0].float(), 1)) / rows)
    tell(f"losses and gradients of {rows} x {vocabulary} logits", microseconds(work, copies), "libtorch", microseconds(theirs, copies), 4 * rows * vocabulary, error)


for hidden, size, heads, kv, width in ((896, 4864, 14, 2, 64), (3584, 18944, 28, 4, 128)):
    gates(3584, size)
    norm(3584, hidden)
    rotation(3584, heads, kv, width)
cross_entropy(512, 151674)
