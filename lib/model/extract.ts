/** One answer by a schema: prompt, engine, and the type that the caller gave. */
import type { ChatMessage } from '../chat/index.js';
import { grammarsIn, withFollowing } from '../structured/index.js';
import { FieldsCost, type Form, resolveGeneration, writeFields } from '../generation/index.js';
import { askedBy, checkSchema, subjectOf, withCalibratedFields } from './calibrated.js';
import { type ModelCall, turnEnd } from './call.js';
import { type ExtractOptions, type ExtractResult, parsed } from './extract-options.js';
import { describePrompt } from './prepared.js';

export async function extract(
  { parts, prompts, lease }: ModelCall,
  request: ExtractOptions,
  turns: readonly ChatMessage[],
  form: Form,
): Promise<ExtractResult<unknown>> {
  const startedAt = performance.now();
  const { native, tokens, pixels, tokenizer, grammars, config, maxContext } = parts;
  const { temperature = 0, seed, maxNewTokens, client, signal } = request;
  const resolved = resolveGeneration({
    ...{ seed, maxNewTokens },
    ...(temperature > 0 ? { temperature, topK: 0 } : { doSample: false }),
  });
  const asked = askedBy(turns);
  if (request.calibration !== undefined) {
    const how = {
      model: subjectOf(parts, lease.adapters),
      form: prompts.form(request, lease.adapters, asked.system),
    };
    checkSchema(request, asked, form, how);
  }
  const prompt = await prompts.write(turns, request, lease.adapters);
  const asGrammars = 'node' in form ? [...new Set(grammarsIn(form.node))] : [];
  // Before anybody is told that the answer begins.
  for (const grammar of asGrammars) {
    await grammars.check(withFollowing(grammar, ['']), { client, signal });
  }
  const preparedMs = performance.now() - startedAt;
  await request.whenPrepared?.([describePrompt(prompt)]);
  const { eosTokenIds } = config.generation;
  const { json, ...result } = await writeFields(
    {
      ...{ native, tokens, pixels, tokenizer, grammars, client, prompt, signal },
      adapters: lease.ids,
      vocabSize: config.model.text.vocabSize,
      endId: turnEnd(parts) ?? 0,
      eosIds: eosTokenIds,
      maxPositions: maxContext,
      usesPrefixCache: request.reusePrefix ?? true,
      maxNewTokens: resolved.maxNewTokens,
      sampling: resolved.sampling,
      cost: new FieldsCost(),
    },
    form,
    { temperature, seed: resolved.sampling.seed },
    request.onText ?? (() => {}),
    startedAt,
    preparedMs,
  );
  const fields = withCalibratedFields(request, asked.question, form, result.fields);
  const value = json === undefined ? undefined : await parsed(request.schema, json);
  return { ...result, fields, value };
}
