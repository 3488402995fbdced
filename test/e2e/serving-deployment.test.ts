/** The files of examples/serving: a server runs by its configuration, and what the others name is there. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { validate } from 'dockerfile-utils';
import { parse } from 'yaml';

import * as golden from '../support/golden.js';
import { CHECKPOINT, until } from '../support/server.js';
import { skip } from '../support/skip.js';

const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = join(ROOT, 'examples', 'serving');
const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const text = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');
const facellm = (...args: string[]): string =>
  spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: ROOT }).stdout;

/** Of a Dockerfile's line in its form of a list. */
const wordsOf = (instruction: string): string[] =>
  JSON.parse(
    new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(text('Dockerfile'))?.[1] ?? '',
  ) as string[];

interface Dashboard {
  readonly panels: readonly { title: string; targets: readonly { expr: string }[] }[];
  readonly templating: { readonly list: readonly { query: string | { query: string } }[] };
}

describe('serving: files to run it by', () => {
  let folder: string;
  let child: ChildProcess | undefined;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'facellm-deployment-'));
  });
  after(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('docs/serving.md tells of each', () => {
    const docs = readFileSync(join(ROOT, 'docs', 'serving.md'), 'utf8');
    for (const name of readdirSync(FOLDER))
      assert.ok(docs.includes(`examples/serving/${name}`), name);
  });

  it('docs/serving.md has every flag of the command', () => {
    const docs = readFileSync(join(ROOT, 'docs', 'serving.md'), 'utf8');
    const flags = [...facellm('serve', '--help').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(
      ([, flag]) => flag ?? '',
    );
    assert.ok(flags.length > 60);
    const without = flags.filter(
      (flag) => flag !== '--help' && !new RegExp(`^\\| \`(-\\w, )?${flag}[ \`]`, 'm').test(docs),
    );
    assert.deepEqual(without, []);
  });

  it('Dockerfile: valid, and its flags are those of the command', () => {
    assert.deepEqual(validate(text('Dockerfile')), []);
    assert.notDeepEqual(validate('FORM node'), [], 'what is wrong is found');
    const words = [...wordsOf('ENTRYPOINT'), ...wordsOf('CMD')];
    assert.deepEqual(words.slice(0, 2), ['node_modules/.bin/facellm', 'serve']);
    const help = facellm('serve', '--help');
    for (const flag of words.filter((word) => word.startsWith('--'))) {
      assert.ok(help.includes(`  ${flag} `), flag);
    }
    assert.match(facellm('--help'), /^ {2}build /m);
  });

  it('the unit for systemd, by its own check', function () {
    const version = spawnSync('systemd-analyze', ['--version']);
    if (version.status !== 0) return skip(this, 'systemd-analyze is not installed');
    // Whether the command is there is the only thing that another machine would answer otherwise.
    const unit = text('facellm.service');
    assert.match(
      unit,
      /^ExecStart=\/srv\/facellm\/node_modules\/\.bin\/facellm serve --config \S+$/m,
    );
    const check = (name: string, content: string): string => {
      writeFileSync(join(folder, name), content.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
      const { stderr } = spawnSync('systemd-analyze', ['verify', join(folder, name)], {
        encoding: 'utf8',
      });
      // Of this unit alone: it reads those that it wants, too, whose faults are the machine's.
      return stderr
        .split('\n')
        .filter((line) => line.includes(name))
        .join('\n');
    };
    assert.equal(check('facellm.service', unit), '');
    assert.match(check('wrong.service', unit.replace('Restart=', 'Restrat=')), /Restrat/);
  });

  it('serve.yaml is taken; a dashboard and a scrape ask for what that server tells', async () => {
    const [key = '', line = ''] = facellm('keygen', 'prometheus', '--rights', 'metrics').split(
      '\n',
    );
    writeFileSync(join(folder, 'keys'), `${line}\n`);
    const own = [
      '--model',
      CHECKPOINT,
      '--api-keys',
      join(folder, 'keys'),
      '--port',
      '0',
      '--device',
      golden.TEST_DEVICE,
    ];
    child = spawn(
      process.execPath,
      [MAIN, 'serve', '--config', join(FOLDER, 'serve.yaml'), ...own],
      { cwd: ROOT },
    );
    let [out, told] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (told += chunk.toString()));
    const code = once(child, 'exit');
    await until(() => out.includes('\n') || child?.exitCode !== null);
    assert.equal(child.exitCode, null, told);

    const reply = await fetch(`${out.trim()}/metrics`, {
      headers: { authorization: `Bearer ${key}` },
    });
    assert.equal(reply.status, 200);
    const names = new Set(
      [...(await reply.text()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
    );
    const { panels, templating } = JSON.parse(text('grafana-dashboard.json')) as Dashboard;
    const asked = [
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...templating.list.map(({ query }) => (typeof query === 'string' ? query : query.query)),
    ];
    let found = 0;
    for (const expression of asked) {
      for (const [name] of expression.matchAll(/facellm:\w+/g)) {
        const base = name.replace(/_(bucket|sum|count)$/, '');
        assert.ok(names.has(name) || names.has(base), `${name} in ${expression}`);
        found++;
      }
    }
    assert.ok(found > panels.length, 'every panel asks for something');

    const { scrape_configs: jobs } = parse(text('prometheus.yml')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    const { host, port } = parse(text('serve.yaml')) as { host: string; port: number };
    assert.deepEqual(jobs[0]?.static_configs[0]?.targets, [`${host}:${port}`]);
    assert.ok(text('nginx.conf').includes(`proxy_pass http://${host}:${port};`));
    child.kill('SIGTERM');
    assert.deepEqual(await code, [0, null]);
  });
});
