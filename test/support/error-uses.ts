/** Where sources name error codes: read from their syntax, so that no file has to be listed by hand. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';

/** Relative to `root`, `/` between folders. */
export function sourceFiles(root: string, folder: string, names: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => names.test(name))
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`);
}

export interface CodeUse {
  readonly code: string;
  readonly place: string;
  /** Class of a `new X(code, ...)`. */
  readonly className?: string;
}

export interface CodeUses {
  /** Codes handed on, by which an error comes to be: not those that are only compared with. */
  readonly raised: readonly CodeUse[];
  /** Every other string that reads as one. */
  readonly named: readonly CodeUse[];
  /** Read from the environment, or written to that of a process. */
  readonly variables: ReadonlySet<string>;
}

const EQUALITIES: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
]);
const isName = (text: string): boolean => /^FACELLM_[A-Z0-9_]+$/.test(text);

/** Class of a `new X(...)` whose first argument `node` is, or is an outcome of. */
function classAround(node: ts.Node): string | undefined {
  let child = node;
  while (ts.isConditionalExpression(child.parent) || ts.isParenthesizedExpression(child.parent)) {
    child = child.parent;
  }
  const { parent } = child;
  return ts.isNewExpression(parent) && parent.arguments?.[0] === child
    ? parent.expression.getText()
    : undefined;
}

/** Of the TypeScript and JavaScript `files`. */
export function codesOfScripts(root: string, files: readonly string[]): CodeUses {
  const raised: CodeUse[] = [];
  const named: CodeUse[] = [];
  const variables = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
    const constants = new Map<string, string>();
    const visit = (node: ts.Node): void => {
      if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
        const { name, initializer } = node;
        if (ts.isStringLiteral(initializer)) constants.set(name.getText(), initializer.text);
      }
      if (ts.isPropertyAccessExpression(node)) variables.add(node.name.text);
      if (ts.isElementAccessExpression(node) || ts.isComputedPropertyName(node)) {
        const key = ts.isComputedPropertyName(node) ? node.expression : node.argumentExpression;
        variables.add(ts.isStringLiteral(key) ? key.text : (constants.get(key.getText()) ?? ''));
      }
      if (ts.isStringLiteralLike(node) && isName(node.text)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart());
        const use = { code: node.text, place: `${file}:${line + 1}` };
        const { parent } = node;
        const isCompared =
          (ts.isBinaryExpression(parent) && EQUALITIES.has(parent.operatorToken.kind)) ||
          ts.isCaseClause(parent) ||
          ts.isArrayLiteralExpression(parent) ||
          ts.isLiteralTypeNode(parent);
        const className = classAround(node);
        if (isCompared) named.push(use);
        else raised.push(className === undefined ? use : { ...use, className });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { raised, named, variables: new Set([...variables].filter(isName)) };
}

/** Names of `ErrorCode` that C++ sources hand on, and codes that they write as text. */
export function codesOfNative(
  root: string,
  files: readonly string[],
): { readonly raised: ReadonlySet<string>; readonly written: readonly CodeUse[] } {
  const raised = new Set<string>();
  const written: CodeUse[] = [];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\/.*$/gm, '');
    for (const [, name = ''] of text.matchAll(/(?<![=!]= ?|case )ErrorCode::(k\w+)(?! ?[=!]=)/g)) {
      raised.add(name);
    }
    for (const [, code = ''] of text.matchAll(/"(FACELLM_[A-Z0-9_]+)"/g)) {
      written.push({ code, place: file });
    }
  }
  return { raised, written };
}
