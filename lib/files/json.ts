/** JSON without exceptions, and what to say of a file that is none. */
import { impostorOf } from './impostor.js';
import { faultPlace } from './json-fault.js';

/** Any parsed JSON object; its values are checked where they are used. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export type ParsedJson =
  | { readonly isValid: true; readonly value: unknown }
  | { readonly isValid: false; readonly reason: string };

export function parseJson(text: string): ParsedJson {
  try {
    return { isValid: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { isValid: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Completes a sentence that begins with a file's name: where its text stops being JSON, or what lies there in its
 * place. Only for a text that {@link parseJson} has refused.
 */
export function jsonFault(text: string, reason: string): string {
  return impostorOf(text)?.text ?? `is not JSON at ${faultPlace(text)}: ${reason}`;
}
