/** Interfaces that TypeScript files declare, with their members, read by the compiler itself. */
import { readFileSync } from 'node:fs';

import ts from 'typescript';

export interface DeclaredInterface {
  /** Names in the order of the file; an optional member counts. */
  readonly members: readonly string[];
  /** Those of them that are called. */
  readonly methods: readonly string[];
}

/** @param files paths; a name may stand in one of them only */
export function declaredInterfaces(files: readonly string[]): Map<string, DeclaredInterface> {
  const found = new Map<string, DeclaredInterface>();
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2023);
    for (const statement of source.statements) {
      if (!ts.isInterfaceDeclaration(statement)) continue;
      if (found.has(statement.name.text)) throw new Error(`${statement.name.text} stands twice`);
      if (statement.heritageClauses !== undefined) {
        throw new Error(`${statement.name.text} extends another, whose members are not read`);
      }
      const nameOf = (member: ts.TypeElement): string => {
        if (member.name !== undefined && ts.isIdentifier(member.name)) return member.name.text;
        throw new Error(`${statement.name.text} has a member without a plain name`);
      };
      found.set(statement.name.text, {
        members: statement.members.map(nameOf),
        methods: statement.members.filter(ts.isMethodSignature).map(nameOf),
      });
    }
  }
  return found;
}
