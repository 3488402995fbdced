/** Preloaded (`--import`): whatever would leave this machine is an error that names where to. */
import dns from 'node:dns';
import net from 'node:net';

const LOCAL = /^(localhost|127\.0\.0\.1|::1)$/;
const refuse = (host) => {
  throw new Error(`the network was asked for: ${host}`);
};

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [first] = args.flat();
  const isPath = typeof first === 'string' || first?.path !== undefined;
  const host = first?.host ?? (typeof args[1] === 'string' ? args[1] : 'localhost');
  if (!isPath && !LOCAL.test(host)) refuse(host);
  return connect.apply(this, args);
};
const { lookup } = dns;
dns.lookup = (host, ...rest) => (LOCAL.test(host) ? lookup(host, ...rest) : refuse(host));
