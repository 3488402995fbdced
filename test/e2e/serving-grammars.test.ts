/** Schemas of two keys: one that floods the server with new ones is told to wait, the other is answered. */
import assert from 'node:assert/strict';

import type { FaceLlm } from '../../lib/index.js';
import { createKey } from '../../lib/serving/index.js';
import { errorOf, loadTiny, post, type Reply, serveTiny } from '../support/server.js';

/** New for each number; written under a grammar. */
const asked = (pattern: string): object => ({
  ...{ messages: [{ role: 'user', content: 'Hi?' }], max_tokens: 8 },
  response_format: {
    type: 'json_schema',
    json_schema: { name: 'text', schema: { type: 'string', pattern: `^${pattern}$` } },
  },
});

describe('serving: grammars of many keys', () => {
  let model: FaceLlm;
  before(async () => {
    // Of its own: the thread that compiles is started by the first schema, which the others find under way.
    model = await loadTiny();
  });
  after(() => model.dispose());

  it('too many new schemas of a key are 429 with a time, another key is answered', async () => {
    const [floods, asks] = [createKey('floods'), createKey('asks')];
    await using server = await serveTiny(model, {
      apiKeys: [floods.line, asks.line],
      limits: { grammars: 2 },
    });
    const ask = (key: string, body: object): Promise<Reply> =>
      post(server, '/v1/chat/completions', body, { authorization: `Bearer ${key}` });
    const flood = Array.from({ length: 20 }, (_, i) => ask(floods.key, asked(`a{${i + 1}}b`)));
    const other = await ask(asks.key, asked('cd'));
    assert.equal(other.status, 200, other.text);
    const replies = await Promise.all(flood);
    const refused = replies.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0);
    assert.ok(replies.filter(({ status }) => status === 200).length >= 2);
    assert.equal(
      replies.length,
      refused.length + replies.filter((one) => one.status === 200).length,
    );
    for (const reply of refused) {
      const { code, type } = errorOf(reply);
      assert.deepEqual([code, type], ['rate_limit_exceeded', 'rate_limit_error']);
      assert.equal(reply.headers.get('retry-after'), '2');
    }
    // The same schema many times is one new one.
    const same = await Promise.all(
      Array.from({ length: 8 }, () => ask(floods.key, { ...asked('e{3}f'), n: 2 })),
    );
    assert.deepEqual([...new Set(same.map(({ status }) => status))], [200]);
  });
});
