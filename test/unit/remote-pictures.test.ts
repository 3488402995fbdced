/** Pictures by address: which addresses are asked, and that nothing else is, whatever names resolve to and redirects say. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  createServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { isPublicAddress } from '../../lib/serving/public-address.js';
import {
  addressesOf,
  answerOf,
  type Connect,
  NotFetched,
  RemotePictures,
} from '../../lib/serving/remote-pictures.js';

const PUBLIC = '93.184.216.34';
const never = new AbortController().signal;

describe('addresses', () => {
  const refused = [
    ...['127.0.0.1', '127.255.255.254', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
    ...['169.254.169.254', '100.64.0.1', '0.0.0.0', '192.0.0.8', '192.0.2.1', '198.18.0.1'],
    ...[
      '198.51.100.7',
      '203.0.113.7',
      '224.0.0.1',
      '239.255.255.255',
      '255.255.255.255',
      '192.88.99.1',
    ],
    ...['::', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.1.2.3', '::127.0.0.1'],
    ...[
      '64:ff9b::127.0.0.1',
      '64:ff9b::a00:1',
      '64:ff9b:1::1',
      '2002:7f00:1::',
      '2002:c0a8:101::1',
    ],
    ...['2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2', '2001:10::1', '2001:db8::1', '3fff::1'],
    ...['fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12:3456::1', 'ff02::1', '100::1', 'localhost', ''],
  ];
  for (const address of refused) {
    it(`${address || 'nothing'} is not public`, () =>
      assert.equal(isPublicAddress(address), false));
  }
  it('others are', () => {
    const taken = [PUBLIC, '8.8.8.8', '100.63.0.1', '100.128.0.1', '172.32.0.1', '::ffff:8.8.8.8'];
    for (const address of [...taken, '64:ff9b::808:808', '2002:808:808::1', '2606:4700::1111']) {
      assert.equal(isPublicAddress(address), true, address);
    }
  });
});

describe('remote pictures', () => {
  let server: Server;
  let answer: RequestListener;
  let asked: { path: string; address: string; headers: IncomingMessage['headers'] }[];
  before((done) => {
    server = createServer((incoming, outgoing) => answer(incoming, outgoing)).listen(
      0,
      '127.0.0.1',
      done,
    );
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
    answer = (_, outgoing) => outgoing.end('picture');
  });

  /** Instead of TLS to the address: what was meant to be asked is noted. */
  const connect: Connect = async ({ address, url, signal }) => {
    const { port } = server.address() as AddressInfo;
    const target = { host: '127.0.0.1', port, path: url.pathname, signal, agent: false };
    const response = await answerOf(get(target));
    asked.push({ path: url.href, address, headers: response.headers });
    return response;
  };
  const remote = (
    names: Readonly<Record<string, readonly string[]>>,
    more: { readonly hosts?: 'any'; readonly wholeMs?: number } = {},
  ): RemotePictures =>
    new RemotePictures({
      ...{ hosts: new Set(Object.keys(names)), mostBytes: 1000, connect, ...more },
      resolve: (name) =>
        names[name] === undefined
          ? Promise.reject(new Error(`no ${name}`))
          : Promise.resolve(names[name]),
    });
  const fails = (work: Promise<unknown>): Promise<void> =>
    assert.rejects(work, (error) => error instanceof NotFetched && error.message === '');

  it('a picture of a host of the list, from the address that was judged', async () => {
    const bytes = await remote({ 'a.example': [PUBLIC] }).fetch('https://a.example/x.png', never);
    assert.equal(Buffer.from(bytes).toString(), 'picture');
    assert.deepEqual(
      asked.map(({ address }) => address),
      [PUBLIC],
    );
  });

  const forms = [
    ...[
      'http://a.example/x',
      'https://a.example:8443/x',
      'https://u@a.example/x',
      'https://u:p@a.example/',
    ],
    ...[
      'https://b.example/x',
      'https://a.example.b.example/',
      'https://a.example@b.example/',
      'https://a.example./x',
    ],
    ...[
      'file:///etc/passwd',
      'ftp://a.example/x',
      'https:///x',
      'https://',
      '//a.example/x',
      'https://xn--a.example/',
    ],
    ...[
      'https://2130706433/',
      'https://0x7f000001/',
      'https://0177.0.0.1/',
      'https://127.1/',
      'https://[::1]/',
    ],
    ...[
      'https://[::ffff:127.0.0.1]/',
      'https://localhost/',
      'https://169.254.169.254/latest/meta-data',
    ],
    `https://a.example/${'x'.repeat(3000)}`,
  ];
  for (const form of forms) {
    it(`nothing is asked for ${form.slice(0, 60)}`, async () => {
      const list = remote({ 'a.example': [PUBLIC] });
      assert.equal(list.allows(form), false);
      await fails(list.fetch(form, never));
      assert.deepEqual(asked, []);
    });
  }

  const written = [
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '127.0.0.1',
    '[::1]',
    '[::ffff:7f00:1]',
  ];
  for (const host of [...written, '[64:ff9b::7f00:1]', '0', '10.1', '[fe80::1]']) {
    it(`nor where any host may be asked, for ${host}`, async () => {
      const any = new RemotePictures({
        ...{ hosts: 'any', mostBytes: 1000, connect },
        // As the system does with an address.
        resolve: (name) => Promise.resolve([name]),
      });
      await fails(any.fetch(`https://${host}/x.png`, never));
      assert.deepEqual(asked, []);
    });
  }

  it('a name is judged by all its addresses, once', async () => {
    for (const addresses of [['127.0.0.1'], [PUBLIC, '10.0.0.1'], ['::ffff:10.0.0.1'], []]) {
      await fails(remote({ 'a.example': addresses }).fetch('https://a.example/x', never));
    }
    assert.equal(asked.length, 0);
    let times = 0;
    const rebinding = new RemotePictures({
      ...{ hosts: new Set(['a.example']), mostBytes: 1000, connect },
      resolve: () => Promise.resolve([times++ === 0 ? PUBLIC : '127.0.0.1']),
    });
    await rebinding.fetch('https://a.example/x', never);
    assert.deepEqual([times, asked[0]?.address], [1, PUBLIC]);
    // Who asks again is judged again.
    await fails(rebinding.fetch('https://a.example/x', never));
  });

  it('redirects are judged as addresses are, and followed three times', async () => {
    const names = { 'a.example': [PUBLIC], 'b.example': ['8.8.8.8'], 'c.example': ['10.0.0.1'] };
    const to = (location: string): void => {
      answer = ({ url }, outgoing) => {
        if (url === '/end') outgoing.end('picture');
        else outgoing.writeHead(302, { location }).end();
      };
    };
    to('https://b.example/end');
    await remote(names).fetch('https://a.example/x', never);
    assert.deepEqual(
      asked.map(({ address }) => address),
      [PUBLIC, '8.8.8.8'],
    );
    for (const location of [
      ...[
        'https://c.example/end',
        'http://a.example/end',
        'https://127.0.0.1/end',
        'https://d.example/end',
      ],
      ...[
        'https://a.example:444/end',
        'file:///etc/passwd',
        'https://u@a.example/end',
        '//c.example/end',
        '/x',
      ],
    ]) {
      to(location);
      asked = [];
      await fails(remote(names).fetch('https://a.example/x', never));
      assert.ok(asked.every(({ address }) => address === PUBLIC) && asked.length <= 4, location);
    }
    assert.equal(asked.length, 4);
  });

  it('too much, compressed, cut short, late, empty and refused look the same', async () => {
    const answers: readonly RequestListener[] = [
      (_, outgoing) => outgoing.end(Buffer.alloc(1001)),
      (_, outgoing) =>
        outgoing.writeHead(200, { 'content-length': '1001' }).end(Buffer.alloc(1001)),
      (_, outgoing) => outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      (_, outgoing) => {
        outgoing.writeHead(200, { 'content-length': '100' }).write('x');
        setTimeout(() => outgoing.destroy(), 20);
      },
      (_, outgoing) => outgoing.end(),
      (_, outgoing) => outgoing.writeHead(404).end('x'),
      (incoming) => incoming.socket.destroy(),
      (_, outgoing) => void outgoing.writeHead(200).write('x'),
      () => {},
    ];
    for (answer of answers) {
      await fails(
        remote({ 'a.example': [PUBLIC] }, { wholeMs: 300 }).fetch('https://a.example/x', never),
      );
    }
  });

  it('ends with who asked', async () => {
    const stop = new AbortController();
    answer = () => stop.abort(new Error('gone'));
    const work = remote({ 'a.example': [PUBLIC] }).fetch('https://a.example/x', stop.signal);
    await assert.rejects(work, /gone/);
  });

  it('an answer that becomes another protocol is none', async () => {
    let isClosed: Promise<unknown> = Promise.reject(new Error('never asked'));
    isClosed.catch(() => undefined);
    answer = (_, outgoing) => {
      const { socket } = outgoing;
      isClosed = once(socket as Socket, 'close');
      socket?.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      );
    };
    const work = remote({ 'a.example': [PUBLIC] }).fetch('https://a.example/x', never);
    await fails(work);
    // Nothing of it stays open.
    await isClosed;
  });

  it('nothing is waited for longer than a picture may take', async () => {
    const deaf = new RemotePictures({
      ...{ hosts: 'any', mostBytes: 1000, wholeMs: 50, resolve: () => Promise.resolve([PUBLIC]) },
      connect: () => new Promise(() => {}),
    });
    await fails(deaf.fetch('https://a.example/x', never));
  });

  it('a name that no server answers for is given up', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1');
    await once(silent, 'listening');
    const stop = new AbortController();
    silent.once('message', () => stop.abort());
    try {
      const servers = [`127.0.0.1:${silent.address().port}`];
      assert.deepEqual(await addressesOf('a.example', stop.signal, servers), []);
      assert.deepEqual(await addressesOf('10.0.0.1', never, servers), ['10.0.0.1']);
    } finally {
      silent.close();
    }
  });
});
