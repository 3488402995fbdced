/** What machines ask all the time: is the process alive, would it take a request, and its figures. */
import type { Exchange, Reply } from './exchange.js';

/** 503 once the engine has stood still for longer than it may with work before it. */
export function healthRoute({ state, outgoing }: Exchange): Reply {
  const silent = Date.now() - state.pulse.progressAt;
  const isWell = silent <= state.policy.limits.stallLimit;
  if (!isWell) outgoing.statusCode = 503;
  return { status: isWell ? 'ok' : 'stalled' };
}

/** 503 while it drains and after a fault that nothing mends. */
export function readyRoute({ state, outgoing }: Exchange): Reply {
  const status = state.hasFailed ? 'failed' : state.admission.isDraining ? 'draining' : 'ready';
  if (status !== 'ready') outgoing.statusCode = 503;
  return { status };
}

/** As Prometheus reads it. */
export async function metricsRoute({ state, outgoing, headers }: Exchange): Promise<Reply> {
  await state.pulse.ask();
  const text = await state.metrics.text();
  outgoing.writeHead(200, { ...headers, 'content-type': state.metrics.contentType });
  outgoing.end(text);
  return undefined;
}
