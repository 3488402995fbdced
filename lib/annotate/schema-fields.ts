/** A schema's properties as columns, and an extracted object as their values. */
import { createError } from '../errors.js';
import { type AskedSchema, type ExtractResult, formOf, schemaIdentity } from '../model/index.js';
import type { Json, SchemaNode } from '../structured/index.js';
import { type AnnotationValue, type ClosedField, type AnnotationField, slug } from './columns.js';

/** What is extracted from each face, or picture. */
export type AnnotationSchema = AskedSchema;

/** A range of more whole numbers than these is a number and no list of choices. */
const MOST_NUMBERS = 16;

const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value));
const stepOf = (name: string): string => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;

function fieldsOf(node: SchemaNode, name: string, path: string): readonly AnnotationField[] {
  switch (node.kind) {
    case 'object':
      return node.properties.flatMap((property) => {
        const own = /^[A-Za-z]\w*$/.test(property.name) ? property.name : slug(property.name);
        return fieldsOf(
          property.node,
          name === '' ? own : `${name}_${own}`,
          path + stepOf(property.name),
        );
      });
    case 'values': {
      const values = node.values.map(({ value }) => value);
      const numbers = values.filter((value) => typeof value === 'number');
      const isNumeric = numbers.length === values.length;
      if (values.length < 2) return [{ kind: 'json', name, path }];
      if (isNumeric && values.length > MOST_NUMBERS) return [{ kind: 'number', name, path }];
      const choices = values.map(textOf);
      return [
        {
          kind: 'closed',
          name,
          path,
          question: '',
          choices,
          ...(isNumeric && { values: numbers }),
        },
      ];
    }
    case 'number':
      return [{ kind: node.orNull ? 'json' : 'number', name, path }];
    case 'string':
      return [{ kind: 'string', name, path }];
    case 'grammar':
      // A pattern or format is a text; what else needs a grammar of its own has no one value.
      return [{ kind: node.of.kind === 'text' ? 'string' : 'json', name, path }];
    default:
      return [{ kind: 'json', name, path }];
  }
}

/** @throws DataError FACELLM_QUESTIONS_INVALID; InvalidArgumentError for a schema that cannot be held to */
export function schemaFields({ schema }: AnnotationSchema): readonly AnnotationField[] {
  const form = formOf({ schema });
  if ('node' in form && form.node.kind === 'object') return fieldsOf(form.node, '', '');
  throw createError('FACELLM_QUESTIONS_INVALID', 'the schema cannot be asked', {
    details: ['schema: expected an object, whose properties become columns'],
  });
}

/** What answers follow from: a zod type is its JSON schema. */
export function schemaSettings({ question, schema, maxNewTokens }: AnnotationSchema): object {
  return {
    question,
    schema: schemaIdentity(formOf({ schema })),
    maxNewTokens: maxNewTokens ?? null,
  };
}

function valueAt(json: unknown, path: string): Json | undefined {
  let value = json;
  for (const step of path.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value as Json;
}

/** Of one property of given values: the distribution over them, by the texts of the choices. */
export interface FieldShares {
  readonly shares: readonly number[];
  readonly calibrated: readonly number[] | undefined;
}

/** Undefined of a property that the object does not have, or that was not reached. */
export function sharesOf(
  { fields }: Pick<ExtractResult<unknown>, 'fields'>,
  { path, choices }: ClosedField,
): FieldShares | undefined {
  const found = fields.find((one) => one.path === path);
  if (found === undefined) return undefined;
  const all = [found, ...found.alternatives];
  const of = (choice: string) => all.find(({ value }) => textOf(value) === choice);
  const calibrated = choices.map((choice) => of(choice)?.calibratedProbability);
  return {
    shares: choices.map((choice) => of(choice)?.probability ?? 0),
    calibrated: calibrated.every((share) => share !== undefined) ? calibrated : undefined,
  };
}

/** Of the object as it was written: a zod type may make something else of it. */
export function valueOf(
  { text, isComplete, fields }: Pick<ExtractResult<unknown>, 'text' | 'isComplete' | 'fields'>,
  path: string,
): AnnotationValue | undefined {
  const found = fields.find((one) => one.path === path);
  const value = found?.value ?? (isComplete ? valueAt(JSON.parse(text), path) : undefined);
  return value === undefined ? undefined : { value, probability: found?.probability ?? null };
}
