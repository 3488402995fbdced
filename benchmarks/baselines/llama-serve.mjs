/**
 * llama.cpp behind a route: `node llama-serve.mjs PACKAGE GGUF THREADS SLOTS`, where PACKAGE is an installed @fugood/llama.node, whose slots answer
 * several requests in one batch as llama-server's do. POST /v1/chat/completions of text alone, greedy, with as many tokens
 * as are asked for; its address on standard output.
 */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [location = '', model = '', threads = '', slots = ''] = process.argv.slice(2);
const { loadModel } = createRequire(import.meta.url)(resolve(location));
const context = await loadModel({
  ...{ model, n_ctx: 512 * Number(slots), n_batch: 512, n_parallel: Number(slots) },
  ...{ n_threads: Number(threads), n_gpu_layers: 0 },
});
await context.parallel.enable({ n_parallel: Number(slots), n_batch: 512 });

/** As the checkpoint's own chat template has it. */
const promptOf = ({ messages }) =>
  messages
    .map(({ role, content }) => {
      const text =
        typeof content === 'string' ? content : content.map((part) => part.text).join('');
      return `<|im_start|>${role}\n${text}<|im_end|>\n`;
    })
    .join('') + '<|im_start|>assistant\n';

async function answer(body, response) {
  const send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  const asked = {
    ...{ prompt: promptOf(body), n_predict: body.max_tokens, ignore_eos: true },
    ...{ temperature: 0, top_k: 1, penalty_repeat: 1, seed: 1 },
  };
  const onToken = (_, { token }) => {
    if (body.stream) send({ choices: [{ delta: { content: token } }] });
  };
  const queued = await context.parallel.completion(asked, onToken);
  const { text, timings, tokens_predicted } = await queued.promise;
  const usage = {
    prompt_tokens: timings.cache_n + timings.prompt_n,
    completion_tokens: tokens_predicted,
  };
  if (body.stream) {
    send({ choices: [], usage });
    response.end('data: [DONE]\n\n');
  } else {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ choices: [{ message: { content: text } }], usage }));
  }
}

const server = createServer(async (request, response) => {
  try {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    await answer(JSON.parse(text), response);
  } catch (error) {
    if (!response.headersSent) response.statusCode = 500;
    response.end(String(error));
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
