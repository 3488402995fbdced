// Imported before a program (`node --import`), writes the package of each module that it loads to the file FACELLM_LOADED, a line each.
import { register } from 'node:module';

const hooks = `import { appendFileSync } from 'node:fs';
export async function load(url, context, next) {
  const [, name] = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url) ?? [];
  if (name !== undefined) appendFileSync(${JSON.stringify(process.env.FACELLM_LOADED)}, name + '\\n');
  return next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
